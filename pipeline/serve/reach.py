"""Boxes from the CRS of a grid to that of the city, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.contracts.city import City
from pipeline.derive.grids import Boxes, Grid, Tile
from pipeline.serve import crs
from pipeline.serve.crs import Bounds

_EDGE_POINTS = 20
#: A map within a tile is straight enough when it is off by less than this share of a tile's side: a
#: quarter of the whole numbers that coordinates in a vector tile are.
_OFF = 0.25 / 4096
_STEPS = np.linspace(-1.0, 1.0, 5)
_PLACES = np.column_stack([np.tile(_STEPS, 5), np.repeat(_STEPS, 5), np.ones(25)])
_FIT = np.linalg.pinv(_PLACES)
Affine = tuple[float, float, float, float, float, float]


def moved(boxes: Boxes, source: int, target: int) -> Boxes:
    """The boxes round ``boxes`` (n, 4) in another SRID; looked at in nine places."""
    if source == target or not len(boxes):
        return boxes
    steps = np.linspace(0.0, 1.0, 3)
    xs = boxes[:, [0]] + (boxes[:, [2]] - boxes[:, [0]]) * np.tile(steps, 3)
    ys = boxes[:, [1]] + (boxes[:, [3]] - boxes[:, [1]]) * np.repeat(steps, 3)
    x, y = crs.transformer(source, target).transform(xs, ys)
    return np.column_stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)])


@dataclass(frozen=True, slots=True)
class Straight:
    """The way from the city's CRS into one tile, which is a straight one: the six numbers that
    ST_Affine takes into the CRS of the grid, and a box in the city's CRS within which everything
    lies in the tile or its buffer; None where there is no such box."""

    numbers: Affine
    inside: Bounds | None

    def pixels(self, grid: Grid, tile: Tile, extent: int) -> Affine:
        """The six numbers into the tile's own units, which count from its north-western corner."""
        left, _, _, top = grid.bounds(tile)
        unit = grid.size(tile.zoom) / extent
        a, b, d, e, x, y = self.numbers
        return a / unit, b / unit, -d / unit, -e / unit, (x - left) / unit, (top - y) / unit


def straight(grid: Grid, tile: Tile, city: City, buffer: float) -> Straight | None:
    """The straight way into a tile with its ``buffer``; None where it would be seen that the true
    one is bent. It costs PostGIS a fraction of PROJ's."""
    left, bottom, right, top = grid.bounds(tile, buffer)
    if grid.srid == city.srid:
        return Straight((1.0, 0.0, 0.0, 1.0, 0.0, 0.0), (left, bottom, right, top))
    half = np.array([(right - left) / 2, (top - bottom) / 2])
    middle = np.array([left + half[0], bottom + half[1]])
    there = middle + _PLACES[:, :2] * half
    moved = np.column_stack(crs.transformer(grid.srid, city.srid).transform(*there.T))
    if not np.isfinite(moved).all():
        return None
    origin = moved[len(moved) // 2]
    # Rows: what half a tile east, half a tile north, and nothing are in the city's CRS.
    fitted = _FIT @ (moved - origin)
    (p, q), (r, s) = fitted[:2].tolist()
    if not p * s - q * r:
        return None
    back = np.array([[s, -q], [-r, p]]) / (p * s - q * r) * half
    if np.abs((_PLACES @ fitted - (moved - origin)) @ back).max() > _OFF * grid.size(tile.zoom):
        return None
    (a, d), (b, e) = back.tolist()
    x, y = (middle - (origin + fitted[2]) @ back).tolist()
    return Straight((a, b, d, e, x, y), _inside(moved))


def _inside(moved: Boxes) -> Bounds | None:
    """A rectangle in what a square has become, whose places are ``moved`` row by row."""
    side = math.isqrt(len(moved))
    x, y = moved[:, 0].reshape(side, side), moved[:, 1].reshape(side, side)
    west, south = float(x[:, 0].max()), float(y[0].max())
    east, north = float(x[:, -1].min()), float(y[-1].min())
    return (west, south, east, north) if west < east and south < north else None


def stored(grid: Grid, bounds: Bounds, city: City) -> tuple[Bounds, float] | None:
    """``bounds`` of ``grid`` as a box in the city's CRS, cut where no feature can be, and units of
    that CRS in one of the grid's; None where the city is not."""
    edges = list(zip(bounds, crs.domain(city, grid.srid), strict=True))
    west, south = (max(pair) for pair in edges[:2])
    east, north = (min(pair) for pair in edges[2:])
    if west >= east or south >= north:
        return None
    cut = (west, south, east, north)
    if grid.srid == city.srid:
        return cut, 1.0
    bent = crs.moved_ring(cut, grid.srid, city.srid, _EDGE_POINTS).bounds
    return bent, (bent[2] - bent[0]) / (east - west)
