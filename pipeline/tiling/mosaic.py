"""Areas from afar: each cell shows the class that holds most of it, cells of a class are one area.

Streets and gaps narrower than a cell close, patches of a few cells join what is around them, and
areas share their borders exactly: there is neither gap nor overlap, inside a chunk or across.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio import features

from pipeline.geo import Geometries
from pipeline.tiling.classes import NOTHING, Classes
from pipeline.tiling.lattice import CHUNK

#: The class of each cell of a chunk (CHUNK, CHUNK), row by row from the north.
Cells = npt.NDArray[np.uint8]
_FINER = 4
_SMALLEST = 4
_SHIFT = 8


def finest(shapes: Geometries, classes: Classes, corner: tuple[float, float], cell: float) -> Cells:
    """Cells of the chunk whose north-western ``corner`` is given, from the areas that meet it; each
    cell is looked at in 16 places, and is something where half of them are."""
    fine = np.zeros((CHUNK * _FINER, CHUNK * _FINER), dtype=np.uint8)
    if not len(shapes):
        return fine[:CHUNK, :CHUNK]
    scale = _FINER / cell * (1 << _SHIFT)
    parts, owners = shapely.get_parts(shapes, return_index=True)
    owners, parts = owners[~shapely.is_empty(parts)], parts[~shapely.is_empty(parts)]
    rings, of_part = shapely.get_rings(parts, return_index=True)
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    # The centre of a pixel of OpenCV is a whole number.
    moved = (points - corner) * (scale, -scale) - (1 << (_SHIFT - 1))
    fixed = np.rint(moved).astype(np.int32)
    lines = np.split(fixed, np.flatnonzero(np.diff(of_ring)) + 1)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(of_part)) + 1, [len(rings)]]).tolist()
    colours = classes[owners].tolist()
    for part, (begin, end) in enumerate(pairwise(starts)):
        cv2.fillPoly(fine, lines[begin:end], colours[part], shift=_SHIFT)
    return _most(fine, _FINER)


def coarser(quarters: dict[tuple[int, int], Cells]) -> Cells:
    """The chunk of the next coarser level from its ``quarters`` (right, down), as far as there."""
    whole = np.zeros((2 * CHUNK, 2 * CHUNK), dtype=np.uint8)
    for (right, down), cells in quarters.items():
        whole[down * CHUNK : (down + 1) * CHUNK, right * CHUNK : (right + 1) * CHUNK] = cells
    return _most(whole, 2)


def _most(fine: Cells, size: int) -> Cells:
    """The commonest class in each block of ``size`` x ``size``; nothing where most is nothing."""
    rows = fine.shape[0] // size
    blocks = fine.reshape(rows, size, rows, size)
    best = np.zeros((rows, rows), dtype=np.uint8)
    found = np.zeros((rows, rows), dtype=np.uint8)
    most = np.zeros((rows, rows), dtype=np.uint8)
    for number in np.unique(fine).tolist():
        if number == NOTHING:
            continue
        count = (blocks == number).sum(axis=(1, 3), dtype=np.uint8)
        found += count
        better = count > most
        best[better], most[better] = number, count[better]
    best[found * 2 < size * size] = NOTHING
    return best


def areas(cells: Cells, corner: tuple[float, float], cell: float) -> Iterator[tuple[int, bytes]]:
    """Class and WKB of every area of a chunk; nothing is a class here too, so that its borders are
    smoothed as all others, but it is not told."""
    if not cells.any():
        return
    joined = features.sieve(cells, _SMALLEST, connectivity=4)
    place = Affine(cell, 0, corner[0], 0, -cell, corner[1])
    # Cells stand still at the edge of the chunk, where the next one goes on.
    found = list(features.shapes(joined, connectivity=4, transform=place))
    rings = [[np.asarray(ring) for ring in shape["coordinates"]] for shape, _ in found]
    whole = np.array([shapely.Polygon(ring[0], ring[1:]) for ring in rings], dtype=object)
    smooth = shapely.coverage_simplify(whole, cell, simplify_boundary=False)
    for (_, number), shape in zip(found, shapely.to_wkb(smooth), strict=True):
        if int(number) != NOTHING:
            yield int(number), shape
