"""Grounds that are known everywhere, and surveys of them: for tests and for measuring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contourpy
import numpy as np
import shapely

from pipeline.terrain.survey import Survey

EAST, NORTH = 488_600.0, 3_833_000.0
Ground = Callable[[Any, Any], Any]
NO_LINES = np.empty(0, dtype=object)


def plane(east: Any, north: Any) -> Any:
    """The planted plane: 900.50 m at E 488650."""
    return 900 + 0.01 * (east - EAST) + 0 * north


def hills(east: Any, north: Any) -> Any:
    """A gentle plain with two hills and a hollow."""
    x, y = east - EAST, north - NORTH
    z = 920 + 0.01 * x + 0.004 * y
    for cx, cy, height, width in ((300, 700, 30, 110), (750, 300, 22, 90), (700, 800, -14, 80)):
        z = z + height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))
    return z


def surveyed(ground: Ground, side: float, interval: float, spots: int = 0) -> Survey:
    """Contours of ``ground`` over a square of ``side`` m, and spots at random places."""
    axis = np.arange(0, side + 1, 2.0)
    x, y = EAST + axis, NORTH + axis
    z = ground(*np.meshgrid(x, y))
    drawn = contourpy.contour_generator(x, y, z, name="serial")
    low, high = np.ceil(z.min() / interval), np.floor(z.max() / interval)
    found = [
        (level * interval, line)
        for level in np.arange(low, high + 1)
        for line in drawn.lines(level * interval)
        if len(line) > 1
    ]
    lines = np.array([shapely.LineString(line) for _, line in found] or NO_LINES, dtype=object)
    rng = np.random.default_rng(3)
    point = np.array([EAST, NORTH]) + rng.uniform(0, side, (spots, 2))
    heights = ground(point[:, 0], point[:, 1])
    levels = np.array([level for level, _ in found], dtype=np.float64)
    return Survey(lines, levels, NO_LINES, np.column_stack([point, heights]))
