"""Unread: WKB that GEOS refuses is looked into, so that the finding says what is wrong with it.

Only the few rows that cannot be read come here; the rest goes through shapely by the column.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import shapely

from pipeline.geo import Floats

# Metres between the points of each pair: (x, y, x, y) by row, in the CRS they arrived in.
Ruler = Callable[[Floats], Floats]

# What a row can be told of for which no geometry could be made.
UNREAD = frozenset(
    f"geometry.{how}" for how in ("unreadable", "degenerate", "unclosed", "nonfinite")
)
_POINT, _LINE, _POLYGON = 1, 2, 3
_COLLECTIONS = (4, 5, 6, 7)
_FEWEST = 3
_DEEPEST = 16


@dataclass(frozen=True)
class Told:
    """What became of one row: its finding, and the geometry if it could be mended."""

    code: str
    detail: str | None
    made: shapely.Geometry | None = None


@dataclass
class _Drawn:
    """The points of every ring and line of one geometry, as arrays of x and y."""

    rings: list[Floats] = field(default_factory=list)
    lines: list[Floats] = field(default_factory=list)


def explain(wkb: bytes, ruler: Ruler, largest_gap_m: float) -> Told:
    """Why ``wkb`` makes no geometry; rings with a gap of up to ``largest_gap_m`` are closed."""
    drawn = _Drawn()
    try:
        _Reader(wkb).geometry(drawn)
    except (struct.error, ValueError):
        return Told("geometry.unreadable", "the coordinates make no geometry")
    few = next(_too_few(drawn), None)
    if few is not None:
        return Told("geometry.degenerate", few)
    gaps = _gaps(drawn.rings, ruler)
    if len(gaps) and not np.isfinite(gaps).all():
        return Told("geometry.nonfinite", None)
    made = shapely.from_wkb(wkb, on_invalid="fix")
    if not len(gaps) or made is None:
        return Told("geometry.unreadable", "the coordinates make no geometry")
    if gaps.max() > largest_gap_m:
        return Told("geometry.unclosed", gap_text(gaps.max()))
    return Told("geometry.closed", gap_text(gaps.max()), made)


def gap_text(metres: float) -> str:
    """A gap for people: in millimetres while it is small."""
    return f"a gap of {metres * 1000:.1f} mm" if metres < 1 else f"a gap of {metres:.2f} m"


def _too_few(drawn: _Drawn) -> Iterator[str]:
    for points in drawn.lines:
        if len(points) == 1:
            yield "a line of one point"
    for points in drawn.rings:
        closed = len(points) > 1 and bool((points[0] == points[-1]).all())
        corners = len(points) - closed
        if 0 < corners < _FEWEST:
            yield f"a ring of {corners} corners" if corners > 1 else "a ring of one corner"


def _gaps(rings: list[Floats], ruler: Ruler) -> Floats:
    """Metres between first and last point of the rings that are not closed."""
    ends = [np.concatenate([points[0], points[-1]]) for points in rings if len(points)]
    table = np.array(ends, dtype=np.float64).reshape(-1, 4)
    table = table[(table[:, :2] != table[:, 2:]).any(axis=1)]
    return ruler(table) if len(table) else np.zeros(0)


class _Reader:
    """Well-known binary of OGC, ISO or PostGIS, read as far as its points."""

    def __init__(self, wkb: bytes) -> None:
        self.wkb = wkb
        self.place = 0
        self.order: Literal["<", ">"] = "<"

    def geometry(self, drawn: _Drawn, depth: int = 0) -> None:
        """One geometry with its parts; ValueError for kinds that have no plain points."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        self.order = "<" if self._take("B") else ">"
        kind, size = self._kind()
        if kind == _POINT:
            self._points(1, size)
        elif kind == _LINE:
            drawn.lines.append(self._points(self._take("I"), size))
        elif kind == _POLYGON:
            for _ in range(self._take("I")):
                drawn.rings.append(self._points(self._take("I"), size))
        elif kind in _COLLECTIONS:
            for _ in range(self._take("I")):
                self.geometry(drawn, depth + 1)
        else:
            raise ValueError(f"kind {kind}")

    def _kind(self) -> tuple[int, int]:
        """The kind, and how many numbers a point has."""
        code = self._take("I")
        flags, code = code >> 29, code & 0x1FFFFFFF
        if flags & 1:  # PostGIS: an SRID follows
            self._take("I")
        thousands, kind = divmod(code, 1000)
        extra = {0: 0, 1: 1, 2: 1, 3: 2}[thousands & 3] + (flags >> 2 & 1) + (flags >> 1 & 1)
        return kind, 2 + extra

    def _take(self, form: str) -> int:
        (value,) = struct.unpack_from(self.order + form, self.wkb, self.place)
        self.place += struct.calcsize(form)
        return int(value)

    def _points(self, count: int, size: int) -> Floats:
        kind = np.dtype(np.float64).newbyteorder(self.order)
        numbers = np.frombuffer(self.wkb, dtype=kind, count=count * size, offset=self.place)
        self.place += numbers.nbytes
        return numbers.reshape(count, size)[:, :2].astype(np.float64)
