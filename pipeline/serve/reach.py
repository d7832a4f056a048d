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
#: Nine places in a tile, from its middle in halves of its side, row by row from the south.
_NINE = tuple((u, v) for v in (-1.0, 0.0, 1.0) for u in (-1.0, 0.0, 1.0))
Affine = tuple[float, float, float, float, float, float]
Point = tuple[float, float]


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
    ST_Affine takes into the CRS of the grid, the box in the city's CRS round the tile and its
    buffer, and a box within which everything lies in them; None where there is no such box."""

    numbers: Affine
    around: Bounds
    inside: Bounds | None

    def unit(self, bounds: Bounds) -> float:
        """Units of the city's CRS in one of the grid's, in which the tile is ``bounds``."""
        return (self.around[2] - self.around[0]) / (bounds[2] - bounds[0])

    def pixels(self, grid: Grid, tile: Tile, extent: int) -> Affine:
        """The six numbers into the tile's own units, which count from its north-western corner."""
        left, _, _, top = grid.bounds(tile)
        unit = grid.size(tile.zoom) / extent
        a, b, d, e, x, y = self.numbers
        return a / unit, b / unit, -d / unit, -e / unit, (x - left) / unit, (top - y) / unit


def straight(grid: Grid, tile: Tile, city: City, buffer: float) -> Straight | None:
    """The straight way into a tile with its ``buffer``; None where it would be seen that the true
    one is bent. It costs PostGIS a fraction of PROJ's.

    Plain numbers, not arrays: every tile that is made needs it, and there are nine places.
    """
    box = grid.bounds(tile, buffer)
    if grid.srid == city.srid:
        return Straight((1.0, 0.0, 0.0, 1.0, 0.0, 0.0), box, box)
    left, bottom, right, top = box
    east, north = (right - left) / 2, (top - bottom) / 2
    xs, ys = [left, left + east, right], [bottom, bottom + north, top]
    across = crs.transformer(grid.srid, city.srid)
    x, y = across.transform(xs * 3, [one for one in ys for _ in range(3)])
    if not math.isfinite(sum(x) + sum(y)):
        return None
    off = _OFF * grid.size(tile.zoom)
    numbers = _fitted(x, y, (xs[1], ys[1]), (east, north), off)
    if numbers is None:
        return None
    # So far the true edge may be from the places on it.
    a, b, d, e, *_ = numbers
    slack = off * (abs(a) + abs(b) + abs(d) + abs(e)) / abs(a * e - b * d)
    around = (min(x) - slack, min(y) - slack, max(x) + slack, max(y) + slack)
    return Straight(numbers, around, _inside(x, y))


def _fitted(
    x: list[float], y: list[float], middle: Point, half: Point, off: float
) -> Affine | None:
    """The straight way back from nine places, which are halves of a side apart in the grid; None
    where one of them would be off by more than ``off``."""
    p, q = ((m[2] + m[5] + m[8] - m[0] - m[3] - m[6]) / 6 for m in (x, y))
    r, s = ((m[6] + m[7] + m[8] - m[0] - m[1] - m[2]) / 6 for m in (x, y))
    area = p * s - q * r
    if not area:
        return None
    a, b = s / area * half[0], -r / area * half[0]
    d, e = -q / area * half[1], p / area * half[1]
    x0, y0 = sum(x) / 9, sum(y) / 9
    for (u, v), mx, my in zip(_NINE, x, y, strict=True):
        dx, dy = u * p + v * r + x0 - mx, u * q + v * s + y0 - my
        if abs(a * dx + b * dy) > off or abs(d * dx + e * dy) > off:
            return None
    return a, b, d, e, middle[0] - (a * x0 + b * y0), middle[1] - (d * x0 + e * y0)


def _inside(x: list[float], y: list[float]) -> Bounds | None:
    """A rectangle in what a square has become, of which nine places are given row by row."""
    west, south = max(x[::3]), max(y[:3])
    east, north = min(x[2::3]), min(y[6:])
    return (west, south, east, north) if west < east and south < north else None


def cut(grid: Grid, bounds: Bounds, city: City) -> Bounds | None:
    """The part of ``bounds`` of ``grid`` in which features can be; None where there is none."""
    edges = list(zip(bounds, crs.domain(city, grid.srid), strict=True))
    west, south = (max(pair) for pair in edges[:2])
    east, north = (min(pair) for pair in edges[2:])
    return (west, south, east, north) if west < east and south < north else None


def stored(grid: Grid, bounds: Bounds, city: City) -> tuple[Bounds, float] | None:
    """``bounds`` of ``grid`` as a box in the city's CRS, cut where no feature can be, and units of
    that CRS in one of the grid's; None where the city is not."""
    part = cut(grid, bounds, city)
    return None if part is None else moved_part(grid, part, city)


def moved_part(grid: Grid, part: Bounds, city: City) -> tuple[Bounds, float]:
    """The box in the city's CRS round a ``part`` of ``grid`` in which features can be, and units of
    that CRS in one of the grid's."""
    if grid.srid == city.srid:
        return part, 1.0
    bent = crs.moved_ring(part, grid.srid, city.srid, _EDGE_POINTS).bounds
    return bent, (bent[2] - bent[0]) / (part[2] - part[0])
