"""Lines and points from afar: lines are joined and smoothed, of points close by one stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from pipeline.geo import Geometries
from pipeline.tiling.classes import Classes
from pipeline.tiling.lattice import Boxes

_SHORTEST = 2
_APART = 16


def centres(shapes: Geometries) -> Boxes:
    """The middle (n, 2) of the box of each shape: by it a shape belongs to one chunk."""
    boxes = shapely.bounds(shapes)
    middles: Boxes = (boxes[:, :2] + boxes[:, 2:]) / 2
    return middles


def lines(shapes: Geometries, classes: Classes, cell: float) -> Iterator[tuple[int, bytes]]:
    """Class and WKB of the lines of a chunk: of each class joined where they meet, without bends
    of less than half a cell, and without pieces that are hardly longer than one."""
    for number in np.unique(classes).tolist():
        parts = shapely.get_parts(shapes[classes == number])
        joined = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(parts)))
        kept = joined[shapely.length(joined) >= _SHORTEST * cell]
        for shape in shapely.to_wkb(shapely.simplify(kept, cell / 2)):
            yield number, shape


def points(shapes: Geometries, classes: Classes, cell: float) -> Iterator[tuple[int, bytes]]:
    """Class and WKB of the points of a chunk: the first of those that share a square of some
    cells."""
    places = np.floor(centres(shapes) / (_APART * cell)).astype(np.int64)
    _, first = np.unique(places, axis=0, return_index=True)
    for place in np.sort(first).tolist():
        yield int(classes[place]), shapely.to_wkb(shapely.get_parts(shapes[place])[0])
