"""Picture: a map of where the findings are, over the layer as it is published."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA
from pipeline.geo import Floats
from pipeline.report.aside import Aside, shapes
from pipeline.report.frame import Bounds, Frame
from pipeline.report.origin import Origin, crs_of

_WIDTH, _TALLEST = 4000, 2800
_OUTLINES, _CELLS, _MARKS = 15_000, 200, 60_000
# Marks closer together than this are one mark.
_APART = 24
SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Picture:
    """What the template draws. ``marks`` are places by severity, ``shades`` paths light to dark."""

    frame: Frame
    outlines: str
    shades: tuple[str, ...]
    marks: dict[str, list[tuple[int, int]]]
    bar: int
    bar_m: float
    outside: int
    nowhere: int


def picture(connection: Connection, found: Origin, aside: list[Aside]) -> Picture | None:
    """The map of a run; None where the layer has no geometry."""
    layer = found.context.layer
    if layer.geometry is None:
        return None
    severity, xy = _places(connection, found, aside)
    bounds, count = _extent(connection, layer)
    inside = _within(xy, found.context.city.extent.bounds)
    frame = Frame.around(
        _together(bounds, xy[inside], found.context.city.extent.bounds), _WIDTH, _TALLEST
    )
    drawn = count <= _OUTLINES and not layer.geometry.type.endswith("Point")
    shown = inside & frame.shows(xy)
    lost = int(np.isnan(xy).any(axis=1).sum())
    bar, metres = _scale(frame, found.context.city.metres_per_unit)
    return Picture(
        frame=frame,
        outlines=_outlines(connection, layer, frame) if drawn else "",
        shades=() if drawn else _density(connection, layer, frame),
        marks=_marks(severity[shown], frame.place(xy[shown])),
        bar=bar,
        bar_m=metres,
        outside=len(xy) - lost - int(shown.sum()),
        nowhere=lost,
    )


def _ask(connection: Connection, name: str, layer: LayerContract, **values: object) -> list[Any]:
    query = sql.SQL(queries.load("report")[name]).format(target=sql.Identifier(DATA, layer.id))
    return connection.execute(query, values).fetchall()


def _extent(connection: Connection, layer: LayerContract) -> tuple[Bounds | None, int]:
    west, south, east, north, count = _ask(connection, "extent", layer)[0]
    return (None if west is None else (west, south, east, north)), int(count)


def _places(
    connection: Connection, found: Origin, aside: list[Aside]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.str_]], Floats]:
    """Severity and middle of each finding about a row; NaN where no place is known."""
    rows = _ask(connection, "marks", found.context.layer, run=found.run.id, limit=_MARKS)
    severity = np.array([row[0] for row in rows], dtype=str)
    xy = np.array([row[2:] for row in rows], dtype=np.float64).reshape(-1, 2)
    missing = np.isnan(xy).any(axis=1)
    if missing.any():
        known = _middles(found, aside)
        nowhere = (np.nan, np.nan)
        for place in np.flatnonzero(missing):
            xy[place] = known.get(rows[place][1], nowhere)
    return severity, xy


def _middles(found: Origin, aside: list[Aside]) -> dict[int, tuple[float, float]]:
    """Where rows in quarantine lie, from the geometry they arrived with."""
    crs = crs_of(found)
    if crs is None or not aside:
        return {}
    drawn = found.context.city.operation(crs).apply(shapes(aside))
    boxes = shapely.bounds(drawn)
    middles = np.column_stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)])
    middles[~np.isfinite(middles).all(axis=1)] = np.nan
    return {row.line: (x, y) for row, (x, y) in zip(aside, middles.tolist(), strict=True)}


def _within(xy: Floats, bounds: Bounds) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    with np.errstate(invalid="ignore"):
        return np.asarray(((xy >= bounds[:2]) & (xy <= bounds[2:])).all(axis=1))


def _together(bounds: Bounds | None, xy: Floats, otherwise: Bounds) -> Bounds:
    corners = [np.reshape(bounds, (2, 2))] if bounds else []
    corners += [xy] if len(xy) else []
    if not corners:
        return otherwise
    every = np.concatenate(corners)
    low, high = every.min(axis=0), every.max(axis=0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _outlines(connection: Connection, layer: LayerContract, frame: Frame) -> str:
    rows = _ask(connection, "outlines", layer, unit=frame.unit * 2, limit=_OUTLINES)
    drawn = np.array([shapely.from_wkb(bytes(row[0])) for row in rows], dtype=object)
    return frame.path(drawn)


def _density(connection: Connection, layer: LayerContract, frame: Frame) -> tuple[str, ...]:
    """Too many rows to draw: how dense they lie, in three shades."""
    side = frame.width // _CELLS
    south = frame.north - frame.unit * frame.height
    cells = _ask(
        connection, "density", layer, x=frame.west, y=south, cell=frame.unit * side
    )  # fmt: skip
    if not cells:
        return ()
    limits = np.quantile([count for _, _, count in cells], [0.4, 0.8])
    paths: dict[int, list[str]] = defaultdict(list)
    for column, row, count in cells:
        top = frame.height - (row + 1) * side
        shade = int(np.searchsorted(limits, count))
        paths[shade].append(f"M{column * side} {top}h{side}v{side}h-{side}z")
    return tuple("".join(paths[shade]) for shade in range(3))


def _marks(
    severity: np.ndarray[tuple[int], np.dtype[np.str_]],
    placed: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> dict[str, list[tuple[int, int]]]:
    """Places by severity, none upon another of its kind."""
    marks = {}
    for one in SEVERITIES:
        mine = placed[severity == one]
        _, first = np.unique(mine // _APART, axis=0, return_index=True)
        marks[one] = [(int(x), int(y)) for x, y in mine[np.sort(first)]]
    return marks


def _scale(frame: Frame, metres_per_unit: float) -> tuple[int, float]:
    """A round number of metres that is up to a quarter of the picture wide, and its width."""
    per_unit = frame.unit * metres_per_unit
    longest = frame.width / 4 * per_unit
    power = 10.0 ** np.floor(np.log10(longest))
    metres = max(step * power for step in (1, 2, 5) if step * power <= longest)
    return round(metres / per_unit), float(metres)
