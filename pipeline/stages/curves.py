"""Curves: circular arcs become chords that leave the arc by no more than a tolerance."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from pyproj import CRS

from pipeline.stages.wkb import codes

Points = npt.NDArray[np.float64]

SAGITTA_M = 0.01
_METRES_PER_RADIAN = 6_378_137.0
# Types of WKB (ISO 13249-3): 8 CircularString to 12 MultiSurface; 7 may hold any of them.
_COLLECTION, _CIRCULAR, _COMPOUND, _CURVED_POLYGON = 7, 8, 9, 10
_MULTI = {4: 4, 5: 5, 6: 6, 11: 5, 12: 6, 7: 7}
_MOST_SEGMENTS = 20_000


def tolerance(crs: CRS | None) -> float:
    """One centimetre in the units of ``crs``; metres where none is known."""
    if crs is None or not crs.axis_info:
        return SAGITTA_M
    factor = float(crs.axis_info[0].unit_conversion_factor or 1.0)
    return SAGITTA_M / (factor * _METRES_PER_RADIAN if crs.is_geographic else factor)


def arc(start: Points, through: Points, end: Points, sagitta: float) -> Points:
    """Points (n, 2) of the circular arc over three points; where start is end, the whole circle.

    The given points are in it as they are; three in a row make straight lines.
    """
    if np.array_equal(start, end):
        centre, turn = (start + through) / 2, 2 * math.pi
    else:
        found = _circle(start, through, end)
        if found is None:
            return np.array([start, through, end])
        centre, turn = found
    radius = float(np.hypot(*(start - centre)))
    count = _segments(radius, abs(turn), sagitta)
    first = math.atan2(start[1] - centre[1], start[0] - centre[0])
    angles = first + turn * np.arange(1, count) / count
    between = centre + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return np.vstack([start, between, end])


def bulged(start: Points, end: Points, bulge: float, sagitta: float) -> Points:
    """Points of a CAD polyline's arc; ``bulge`` is the tangent of a quarter of its angle, positive
    when it turns left."""
    chord = end - start
    through = (start + end) / 2 + bulge / 2 * np.array([chord[1], -chord[0]])
    return arc(start, through, end, sagitta)


def _circle(start: Points, through: Points, end: Points) -> tuple[Points, float] | None:
    """Centre, and the angle turned from start to end (positive to the left)."""
    # Seen from the start, for coordinates of a city are large and arcs are small.
    (ax, ay), (bx, by) = through - start, end - start
    cross = 2.0 * (ax * by - ay * bx)
    if abs(cross) <= 1e-12 * max(ax * ax + ay * ay, bx * bx + by * by) or not math.isfinite(cross):
        return None
    a2, b2 = ax * ax + ay * ay, bx * bx + by * by
    centre = np.array([by * a2 - ay * b2, ax * b2 - bx * a2]) / cross
    first = math.atan2(-centre[1], -centre[0])
    last = math.atan2(by - centre[1], bx - centre[0])
    turn = (last - first) % (2 * math.pi)
    return start + centre, turn if cross > 0 else turn - 2 * math.pi


def _segments(radius: float, turn: float, sagitta: float) -> int:
    if sagitta >= radius:
        return max(2, math.ceil(turn / (math.pi / 2)))
    step = 2 * math.acos(1 - sagitta / radius)
    return int(min(max(2, math.ceil(turn / step)), _MOST_SEGMENTS))


def stroked(wkb: pa.Array, sagitta: float) -> pa.Array:
    """WKB with every curved geometry made of straight lines (2D); the rest as it is.

    What is not WKB stays too: whoever reads it will say so.
    """
    curved = _is_curved(wkb)
    if not curved.any():
        return wkb
    values = wkb.to_pylist()
    for place in np.flatnonzero(curved):
        try:
            values[place] = shapely.to_wkb(_Reader(values[place], sagitta).geometry())
        except (struct.error, ValueError, IndexError, KeyError, shapely.GEOSException):
            continue
    return pa.array(values, type=pa.binary())


_SUSPECT = np.array([_COLLECTION, _CIRCULAR, _COMPOUND, _CURVED_POLYGON, 11, 12])


def _is_curved(wkb: pa.Array) -> npt.NDArray[np.bool_]:
    """By the type, which ISO's thousands for Z and M leave to be found."""
    return np.isin((codes(wkb) & 0x0FFF_FFFF) % 1000, _SUSPECT)


class _Reader:
    """Reads one WKB with curves, part by part."""

    def __init__(self, data: bytes, sagitta: float) -> None:
        self.data = data
        self.at = 0
        self.sagitta = sagitta
        self.order = "<"
        self.width = 2

    def geometry(self) -> shapely.Geometry:
        """The geometry at this place, straight."""
        kind = self._head()
        if kind in _MULTI:
            parts = [self.geometry() for _ in range(self._count())]
            return _collected(kind, parts)
        if kind in (3, _CURVED_POLYGON):
            rings = list(self._rings(kind))
            return shapely.Polygon(rings[0], rings[1:]) if rings else shapely.Polygon()
        points = self._line(kind)
        return shapely.Point(points[0]) if kind == 1 else shapely.LineString(points)

    def _rings(self, kind: int) -> Iterator[Points]:
        for _ in range(self._count()):
            yield self._points(self._count()) if kind == 3 else self._line(self._head())

    def _line(self, kind: int) -> Points:
        if kind == 1:
            return self._points(1)
        if kind == _COMPOUND:
            parts = [self._line(self._head()) for _ in range(self._count())]
            joined = [part[bool(number) :] for number, part in enumerate(parts)]
            return np.vstack(joined) if joined else np.empty((0, 2))
        points = self._points(self._count())
        if kind == 2 or len(points) < 3:
            return points
        if kind != _CIRCULAR:
            raise ValueError(kind)
        arcs = [
            arc(points[place], points[place + 1], points[place + 2], self.sagitta)[bool(place) :]
            for place in range(0, len(points) - 2, 2)
        ]
        return np.vstack(arcs)

    def _head(self) -> int:
        self.order = ">" if self.data[self.at] == 0 else "<"
        code = self._unsigned(1)
        self.at += 5
        if code & 0x2000_0000:  # EWKB's SRID
            self.at += 4
        thousands = (code & 0x0FFF_FFFF) // 1000
        high = bool(code & 0x8000_0000) or thousands in (1, 3)
        measured = bool(code & 0x4000_0000) or thousands in (2, 3)
        self.width = 2 + high + measured
        return (code & 0x0FFF_FFFF) % 1000

    def _count(self) -> int:
        count = self._unsigned(0)
        self.at += 4
        return count

    def _unsigned(self, ahead: int) -> int:
        return int(struct.unpack_from(f"{self.order}I", self.data, self.at + ahead)[0])

    def _points(self, count: int) -> Points:
        kind = np.dtype(np.float64).newbyteorder(self.order)  # type: ignore[arg-type]
        flat = np.frombuffer(self.data, kind, count * self.width, self.at)
        self.at += flat.nbytes
        return flat.reshape(count, self.width)[:, :2].astype(np.float64)


def _collected(kind: int, parts: list[shapely.Geometry]) -> shapely.Geometry:
    if kind in (4, 5, 6, 11, 12):
        multi: dict[int, Any] = {
            4: shapely.MultiPoint, 5: shapely.MultiLineString, 6: shapely.MultiPolygon,
        }  # fmt: skip
        flat = [one for part in parts for one in shapely.get_parts(part)]
        made: shapely.Geometry = multi[_MULTI[kind]](flat)
        return made
    return shapely.GeometryCollection(parts)
