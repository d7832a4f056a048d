"""Sheet: a piece of the city at true scale on paper, in millimetres from the upper left corner."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries

Bounds = tuple[float, float, float, float]
#: Scales that maps are drawn at, 1:n.
SCALES = (100, 200, 250, 500, 1000, 2000, 5000, 10_000, 25_000)
_DECIMALS = 3
_TICK_MM = 28.0
_BAR_MM = 44.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """``width`` by ``height`` mm about the point ``x``, ``y`` of the CRS at 1:``scale``; a unit of
    the CRS is ``unit_m`` metres. Lengths are those of the grid."""

    x: float
    y: float
    scale: int
    unit_m: float
    width: float
    height: float

    @property
    def mm(self) -> float:
        """Millimetres on paper of one unit of the CRS."""
        return self.unit_m * 1000 / self.scale

    @property
    def bounds(self) -> Bounds:
        """What the sheet shows, in the CRS."""
        wide, high = self.width / self.mm / 2, self.height / self.mm / 2
        return (self.x - wide, self.y - high, self.x + wide, self.y + high)

    def place(self, xy: Floats) -> Floats:
        """Coordinates (n, 2) as millimetres on the sheet."""
        west, _, _, north = self.bounds
        moved: Floats = np.round((xy - (west, north)) * (self.mm, -self.mm), _DECIMALS)
        return moved

    def path(self, shapes: Geometries) -> str:
        """Lines and rings of ``shapes`` as one SVG path."""
        lines = shapely.get_parts(shapely.boundary(_areas(shapes)))
        lines = np.concatenate([lines, _lines(shapes)])
        return "".join(self._piece(line) for line in lines)

    def _piece(self, line: shapely.LineString) -> str:
        placed = self.place(shapely.get_coordinates(line))
        points = " ".join(f"{x:g},{y:g}" for x, y in placed.tolist())
        return f"M{points}{'Z' if line.is_closed else ''}"

    def ticks(self) -> tuple[list[float], list[float]]:
        """Round eastings and northings (in the CRS) that lie about 28 mm apart on the sheet."""
        step = _round(_TICK_MM / self.mm)
        west, south, east, north = self.bounds
        return _multiples(west, east, step), _multiples(south, north, step)

    def bar_m(self) -> float:
        """The round length in metres whose scale bar is at most 44 mm long."""
        return _round(_BAR_MM * self.scale / 1000)


def scales_from(first: int) -> list[int]:
    """``first`` and the scales smaller than it, for parcels that do not fit."""
    return [first, *(scale for scale in SCALES if scale > first)]


def _areas(shapes: Geometries) -> Geometries:
    parts = shapely.get_parts(shapes)
    found: Geometries = parts[shapely.get_dimensions(parts) == 2]
    return found


def _lines(shapes: Geometries) -> Geometries:
    parts = shapely.get_parts(shapes)
    found: Geometries = parts[shapely.get_dimensions(parts) == 1]
    return found


def _round(most: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above ``most``."""
    power = 10.0 ** math.floor(math.log10(most) + 1e-9)
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]
