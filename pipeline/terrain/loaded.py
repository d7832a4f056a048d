"""Takes contours, spot heights and breaklines from the layers that are loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from psycopg import IsolationLevel, sql

from pipeline.contracts.layer import LayerContract, Relief
from pipeline.contracts.registry import Schemas
from pipeline.db import queries, sources
from pipeline.db.city import check_city
from pipeline.db.engine import Connection, Database
from pipeline.db.sources import Known, Model
from pipeline.derive.columns import DATA, GEOMETRY
from pipeline.errors import ContractError, SettingsError
from pipeline.geo import Geometries
from pipeline.terrain.grid import Floats
from pipeline.terrain.survey import Survey

_ROLES = ("level_line", "spot", "break_line")


@dataclass(frozen=True)
class Loaded:
    """A survey of the database; ``layers`` are those that had rows, ``known`` how far each layer
    that could have had some was known then."""

    survey: Survey
    layers: tuple[str, ...]
    known: tuple[Known, ...]


def read(database: Database, schemas: Schemas) -> Loaded:
    """All heights that are loaded, in the city's CRS, as one moment has them.

    Raises SettingsError where no contour and no spot height is loaded.
    """
    found = {role: _Rows() for role in _ROLES}
    with database.connect("loader") as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        check_city(connection, schemas)
        known = sources.known(connection, (layer.id for layer in _layers(schemas)))
        for layer in _layers(schemas):
            found[_relief(layer).role].add(_rows(connection, layer), layer.id)
    contours, spots, breaks = (found[role] for role in _ROLES)
    if not contours.layers and not spots.layers:
        raise SettingsError(
            "no heights are loaded",
            todo="Load contours or spot heights (`makan load`), or name files: --contours FILE.",
        )
    lines, levels = _parts(contours.shapes, contours.heights)
    points = np.column_stack([shapely.get_coordinates(spots.shapes), spots.heights])
    survey = Survey(lines, levels, _parts(breaks.shapes, breaks.heights)[0], points)
    named = tuple(name for rows in found.values() for name in rows.layers)
    return Loaded(survey, named, known)


def sheet(schemas: Schemas) -> str:
    """What the sheet is called that is made of them, whichever have rows: after the contours."""
    return min(_layers(schemas), key=lambda layer: _ROLES.index(_relief(layer).role)).id


def standing(database: Database, schemas: Schemas, raster: str) -> Model | None:
    """The sheet of ``raster`` in force that is made of them."""
    with database.connect("loader") as connection:
        check_city(connection, schemas)
        found = {(one.raster, one.sheet): one for one in sources.models(connection)}
    return found.get((raster, sheet(schemas)))


def _layers(schemas: Schemas) -> list[LayerContract]:
    return [layer for layer in schemas.layers.values() if layer.relief is not None]


def _relief(layer: LayerContract) -> Relief:
    if layer.relief is None:
        raise ContractError(f"{layer.id} tells no heights of the ground")
    return layer.relief


class _Rows:
    """The rows of one role, of one layer or several."""

    def __init__(self) -> None:
        self.shapes: Geometries = np.empty(0, dtype=object)
        self.heights: Floats = np.empty(0)
        self.layers: list[str] = []

    def add(self, rows: list[tuple[bytes, float | None]], layer: str) -> None:
        """Takes rows in as the query gives them: WKB, height."""
        if not rows:
            return
        wkb, heights = zip(*rows, strict=True)
        shapes = shapely.from_wkb(np.array(wkb, dtype=object))
        self.shapes = np.concatenate([self.shapes, shapes])
        self.heights = np.concatenate([self.heights, np.array(heights, dtype=np.float64)])
        self.layers.append(layer)


def _rows(connection: Connection, layer: LayerContract) -> list[tuple[bytes, float | None]]:
    height = _relief(layer).height
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
