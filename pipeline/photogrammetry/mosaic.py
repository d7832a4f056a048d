"""Orthophotos of frames to one picture: at each place the frame that looks down most steeply.

That is the nearest nadir among the frames that show the place: buildings lean least there, and
an error of the terrain moves least. Over a few cells at each seam both are mixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import shapes
from rasterio.windows import Window

from pipeline.contracts.raster import RasterContract
from pipeline.photogrammetry.balance import Balance
from pipeline.photogrammetry.piece import Piece, Span, Valid, Values, common
from pipeline.rasters import plain
from pipeline.rasters.georeference import Georeference
from pipeline.spread import store
from pipeline.terrain.grid import Grid, tiles

TILE = 1024
_FEATHER = 2.0  # cells over which a neighbour's share falls to a third
_LEAST = 0.02
SHEET = 8192  # cells along a sheet of the mosaic, which is one task
_OWNERS = 1024  # cells along the reduced picture that seams are drawn from


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells to fill, in which CRS, for which contract; the day it was flown, if known."""

    grid: Grid
    crs: CRS
    contract: RasterContract
    tags: dict[str, str]


def sheets(pieces: list[Piece], grid: Grid) -> list[tuple[Grid, Span, list[int]]]:
    """The sheets that a mosaic is made in: cells, where they are in ``grid``, and which pieces
    show something of them; sheets that none shows are left out."""
    found = []
    for tile in tiles(grid, SHEET, 0):
        near = [n for n, p in enumerate(pieces) if common(p.span(grid), tile.core)]
        if near:
            found.append((grid.part(tile), tile.core, near))
    return found


def compose(pieces: list[Piece], balance: Balance, plan: Plan, target: Path) -> None:
    """Writes a mosaic, or a sheet of one, as a file of tiles with a mask, a tile at a time."""
    grid = plan.grid
    size = (grid.columns, grid.rows)
    place = Georeference(grid.transform, plan.crs)
    with plain.creating(target, plan.contract, size, place, plan.tags) as written:
        for tile in tiles(grid, TILE, 0):
            first, end, left, right = tile.core
            values, valid = _tile(pieces, balance, (first, end, left, right), grid)
            if valid.any():
                window = Window(left, first, right - left, end - first)
                plain.write_window(written, window, values, valid, 0, plan.contract.mask)


def join(made: list[tuple[str, Span]], plan: Plan, target: Path) -> None:
    """Writes sheets, by place and the cells of ``plan.grid`` that each fills, as one file."""
    grid = plan.grid
    place = Georeference(grid.transform, plan.crs)
    size = (grid.columns, grid.rows)
    with plain.creating(target, plan.contract, size, place, plan.tags) as written:
        for sheet, (top, end, left, right) in made:
            with rasterio.open(store.local(sheet)) as source:
                for row in range(0, end - top, TILE):
                    rows = min(TILE, end - top - row)
                    window = Window(0, row, right - left, rows)
                    valid = source.read_masks(1, window=window) > 0
                    if valid.any():
                        there = Window(left, top + row, right - left, rows)
                        values = source.read(window=window)
                        plain.write_window(written, there, values, valid, 0, plan.contract.mask)


def _tile(
    pieces: list[Piece], balance: Balance, span: Span, grid: Grid
) -> tuple[NDArray[np.uint8], Valid]:
    """One tile: bands mixed by weight, and which cells any frame shows."""
    shape = (span[1] - span[0], span[3] - span[2])
    near = [(n, both) for n, p in enumerate(pieces) if (both := common(p.span(grid), span))]
    nearest = np.full(shape, np.inf, np.float32)
    shown: list[tuple[int, Span, Values, Valid, Values]] = []
    for number, both in near:
        values, valid = pieces[number].read(both, grid)
        if not valid.any():
            continue
        away = _away(pieces[number].nadir, both, grid)
        part = nearest[_inside(both, span)]
        np.minimum(part, np.where(valid, away, np.inf), out=part)
        shown.append((number, both, values, valid, away))
    bands = balance.gain.shape[1]
    total, weights = np.zeros((bands, *shape), np.float32), np.zeros(shape, np.float32)
    for number, both, values, valid, away in shown:
        here = _inside(both, span)
        share = np.exp((nearest[here] - away) / np.float32(_FEATHER))
        share = np.where(valid & (share > _LEAST), share, 0)
        gain = balance.gain[number].astype(np.float32)[:, None, None]
        offset = balance.offset[number].astype(np.float32)[:, None, None]
        total[:, *here] += share * (values * gain + offset)
        weights[here] += share
    made = total / np.maximum(weights, np.float32(1e-6))
    return np.clip(np.rint(made), 0, 255).astype(np.uint8), weights > 0


def _inside(part: Span, span: Span) -> tuple[slice, slice]:
    return (
        slice(part[0] - span[0], part[1] - span[0]),
        slice(part[2] - span[2], part[3] - span[2]),
    )


def _away(nadir: tuple[float, float], span: Span, grid: Grid, step: int = 1) -> Values:
    """Distance from the nadir point, in cells."""
    east = (nadir[0] - grid.west) / grid.cell
    south = (grid.north - nadir[1]) / grid.cell
    rows = np.arange(span[0], span[1], step, dtype=np.float32) + np.float32(step / 2)
    columns = np.arange(span[2], span[3], step, dtype=np.float32) + np.float32(step / 2)
    across, down = columns - np.float32(east), rows - np.float32(south)
    return np.asarray(np.hypot(down[:, None], across[None, :]))


def reduction(grid: Grid) -> int:
    """How many cells along a side are one where seams are drawn."""
    return max(-(-max(grid.rows, grid.columns) // _OWNERS), 1)


def seams(
    pieces: list[Piece], shares: list[Valid | None], grid: Grid
) -> list[shapely.MultiPolygon]:
    """What each piece gives to the mosaic, in the order of ``pieces``; coarse to some cells.

    ``shares``: which coarse cells (``reduction``) each shows, over its span.
    """
    step = reduction(grid)
    shape = (-(-grid.rows // step), -(-grid.columns // step))
    nearest = np.full(shape, np.inf, np.float32)
    owner = np.zeros(shape, np.int32)
    for number, (piece, valid) in enumerate(zip(pieces, shares, strict=True), start=1):
        span = common(piece.span(grid), (0, grid.rows, 0, grid.columns), step)
        if span is None or valid is None:
            continue
        here = np.s_[span[0] // step : span[1] // step, span[2] // step : span[3] // step]
        away = np.where(valid, _away(piece.nadir, span, grid, step), np.inf)
        closer = away < nearest[here]
        nearest[here] = np.where(closer, away, nearest[here])
        owner[here] = np.where(closer, number, owner[here])
    coarse = Grid(grid.west, grid.north, grid.cell * step, *shape)
    found: dict[int, list[shapely.Polygon]] = {}
    for outline, number in shapes(owner, mask=owner > 0, transform=coarse.transform):
        part = shapely.Polygon(outline["coordinates"][0], outline["coordinates"][1:])
        found.setdefault(int(number), []).append(part)
    return [shapely.MultiPolygon(found.get(n, [])) for n in range(1, len(pieces) + 1)]
