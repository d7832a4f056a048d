"""Frame: where a piece of the city lies in a picture, and geometries as SVG paths in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """A picture of ``width`` by ``height`` whole units; ``unit`` is one of them in the CRS."""

    west: float
    north: float
    unit: float
    width: int
    height: int

    @classmethod
    def around(cls, bounds: Bounds, width: int, tallest: int, margin: float = 0.04) -> Frame:
        """The frame that shows ``bounds`` with a margin, no taller than ``tallest``."""
        xmin, ymin, xmax, ymax = bounds
        wide, high = max(xmax - xmin, 1e-6), max(ymax - ymin, 1e-6)
        pad = margin * max(wide, high)
        wide, high = wide + 2 * pad, high + 2 * pad
        unit = max(wide / width, high / tallest)
        height = min(tallest, max(round(high / unit), tallest // 2))
        west = (xmin + xmax - unit * width) / 2
        return cls(west, (ymin + ymax + unit * height) / 2, unit, width, height)

    def place(self, xy: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Coordinates as units from the upper left corner."""
        moved = (xy - (self.west, self.north)) * (1 / self.unit, -1 / self.unit)
        return np.asarray(np.round(moved), dtype=np.int64)

    def shows(self, xy: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which points lie in the picture."""
        moved = (xy - (self.west, self.north)) * (1 / self.unit, -1 / self.unit)
        with np.errstate(invalid="ignore"):
            return np.asarray(((moved >= 0) & (moved <= (self.width, self.height))).all(axis=1))

    def path(self, geometries: Geometries) -> str:
        """Lines and rings of ``geometries`` as one path; specks are left out."""
        lines = _lines(geometries)
        if not len(lines):
            return ""
        coordinates, index = shapely.get_coordinates(lines, return_index=True)
        placed = self.place(coordinates)
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        ends = np.append(starts[1:], len(placed))
        pieces = (_piece(placed[a:b].tolist()) for a, b in zip(starts, ends, strict=True))
        return "".join(pieces)


def _lines(geometries: Geometries) -> Geometries:
    parts = shapely.get_parts(shapely.get_parts(geometries))
    areas = shapely.get_dimensions(parts) == 2
    rings = shapely.get_rings(parts[areas])
    lines = parts[shapely.get_dimensions(parts) == 1]
    return np.asarray(np.concatenate([rings, lines]), dtype=object)


def _piece(points: list[list[int]]) -> str:
    """One line, each step relative to the last; steps of nothing are left out."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
    told = [f"{x} {y}" for x, y in steps if x or y]
    return f"M{points[0][0]} {points[0][1]}l{' '.join(told)}" if told else ""
