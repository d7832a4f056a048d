"""Takes contours, spot heights and breaklines from the layers that are loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from psycopg import IsolationLevel, sql

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.city import check_city
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import DATA, GEOMETRY
from pipeline.errors import SettingsError
from pipeline.geo import Geometries
from pipeline.terrain.grid import Floats
from pipeline.terrain.survey import Survey


@dataclass(frozen=True)
class Loaded:
    """A survey of the database; ``layers`` are those that had rows, ``run`` the latest load."""

    survey: Survey
    layers: tuple[str, ...]
    run: int


def read(database: Database, schemas: Schemas) -> Loaded:
    """All heights that are loaded, in the city's CRS, as one moment has them.

    Raises SettingsError where no contour and no spot height is loaded.
    """
    found = {role: _Rows() for role in ("level_line", "spot", "break_line")}
    with database.connect("loader") as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        check_city(connection, schemas)
        for layer in schemas.layers.values():
            if layer.relief is not None:
                found[layer.relief.role].add(_rows(connection, layer), layer.id)
    contours, spots, breaks = (found[role] for role in ("level_line", "spot", "break_line"))
    if not contours.layers and not spots.layers:
        raise SettingsError(
            "no heights are loaded",
            todo="Load contours or spot heights (`makan load`), or name files: --contours FILE.",
        )
    lines, levels = _parts(contours.shapes, contours.heights)
    points = np.column_stack([shapely.get_coordinates(spots.shapes), spots.heights])
    survey = Survey(lines, levels, _parts(breaks.shapes, breaks.heights)[0], points)
    named = tuple(name for rows in found.values() for name in rows.layers)
    return Loaded(survey, named, max(rows.run for rows in found.values()))


class _Rows:
    """The rows of one role, of one layer or several."""

    def __init__(self) -> None:
        self.shapes: Geometries = np.empty(0, dtype=object)
        self.heights: Floats = np.empty(0)
        self.layers: list[str] = []
        self.run = 0

    def add(self, rows: list[tuple[bytes, float | None, int]], layer: str) -> None:
        """Takes rows in as the query gives them: WKB, height, run."""
        if not rows:
            return
        wkb, heights, runs = zip(*rows, strict=True)
        shapes = shapely.from_wkb(np.array(wkb, dtype=object))
        self.shapes = np.concatenate([self.shapes, shapes])
        self.heights = np.concatenate([self.heights, np.array(heights, dtype=np.float64)])
        self.layers.append(layer)
        self.run = max(self.run, *runs)


def _rows(connection: Connection, layer: LayerContract) -> list[tuple[bytes, float | None, int]]:
    height = layer.relief.height if layer.relief else None
    query = sql.SQL(queries.load("relief")["survey"]).format(
        geometry=sql.Identifier(GEOMETRY),
        height=sql.Identifier(height) if height else sql.SQL("NULL::float8"),
        table=sql.Identifier(DATA, layer.id),
    )
    return connection.cursor(binary=True).execute(query).fetchall()  # type: ignore[return-value]


def _parts(shapes: Geometries, heights: Floats) -> tuple[Geometries, Floats]:
    """Single lines and the height of each."""
    parts, row = shapely.get_parts(shapes, return_index=True)
    return np.asarray(parts, dtype=object), heights[row]
