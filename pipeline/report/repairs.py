"""Repairs: geometries before and after, side by side; the file is read again for the former."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.errors import MakanError
from pipeline.report.aside import detail_in
from pipeline.report.frame import Bounds, Frame
from pipeline.report.origin import Origin, reread
from pipeline.stages.read import Source

_CODE = "geometry.repaired"
_SHOWN, _SIDE = 6, 600
_PLACE = re.compile(r"\[(\S+) (\S+)\]")


@dataclass(frozen=True)
class Repair:
    """One row. ``before`` and ``after`` are paths in a square of ``side``; ``fault`` its place."""

    line: int
    key: str | None
    detail: str
    before: str
    after: str
    fault: tuple[int, int] | None
    area_before: float
    area_after: float
    side: int = _SIDE


@dataclass(frozen=True)
class Repairs:
    """The first repairs of a run; ``gone``: the file is no longer there to show them."""

    rows: tuple[Repair, ...] = ()
    gone: bool = False


def repairs(connection: Connection, found: Origin, lang: str) -> Repairs:
    """Before and after of the first rows whose geometry was repaired."""
    if found.context.layer.geometry is None:
        return Repairs()
    values = {"run": found.run.id, "code": _CODE, "limit": _SHOWN}
    rows: list[tuple[Any, ...]] = connection.execute(
        queries.load("report")["repaired"], values
    ).fetchall()
    if not rows:
        return Repairs()
    before = _before(found, [row[0] for row in rows])
    if before is None:
        return Repairs(gone=True)
    metres = found.context.city.metres_per_unit
    drawn = [
        _drawn(row, before[row[0]], metres, lang) for row in rows if before.get(row[0]) is not None
    ]
    return Repairs(tuple(drawn))


def _before(found: Origin, lines: list[int]) -> dict[int, Any] | None:
    """The geometries of ``lines`` as they arrived, in the city's CRS; None if the file is gone."""
    try:
        with reread(found) as source:
            return None if source is None else _read(source, found, lines)
    except MakanError:
        return None


def _read(source: Source, found: Origin, lines: list[int]) -> dict[int, Any]:
    shapes: dict[int, Any] = {}
    for raw in source.rows_of(np.array(lines, dtype=np.int64), 20_000):
        if raw.wkb is None or source.crs is None:
            continue
        wkb = np.array(raw.wkb.to_pylist(), dtype=object)
        drawn = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"), dtype=object)
        moved = found.context.city.operation(source.crs).apply(drawn)
        shapes |= dict(zip(raw.lines.tolist(), moved, strict=True))
    return shapes


def _drawn(row: tuple[Any, ...], before: Any, metres: float, lang: str) -> Repair:
    line, key, detail, wkb = row
    after = shapely.from_wkb(bytes(wkb))
    frame = _frame(shapely.bounds([before, after]))
    fault = _PLACE.search(str(shapely.is_valid_reason(before)))
    place = frame.place(np.array([[float(fault[1]), float(fault[2])]]))[0] if fault else None
    return Repair(
        line=line,
        key=key,
        detail=detail_in(detail or "", lang),
        before=frame.path(np.array([before], dtype=object)),
        after=frame.path(np.array([after], dtype=object)),
        fault=None if place is None else (int(place[0]), int(place[1])),
        area_before=float(shapely.area(before)) * metres**2,
        area_after=float(shapely.area(after)) * metres**2,
    )


def _frame(boxes: Any) -> Frame:
    low, high = np.nanmin(boxes[:, :2], axis=0), np.nanmax(boxes[:, 2:], axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-6)
    bounds: Bounds = (
        float(middle[0]) - half, float(middle[1]) - half,
        float(middle[0]) + half, float(middle[1]) + half,
    )  # fmt: skip
    return Frame.around(bounds, _SIDE, _SIDE, margin=0.08)
