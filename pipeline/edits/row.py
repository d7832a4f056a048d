"""The row as it is stored, and how its points and those of its neighbours are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from psycopg import sql
from psycopg.rows import dict_row
from shapely.geometry.base import BaseGeometry

from pipeline.contracts.layer import LayerContract
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, GEOMETRY
from pipeline.derive.keys import key_text
from pipeline.edits.place import Vertices
from pipeline.fabric.check import Box

_NEIGHBOURS = 400
_REACH = 1.0


@dataclass(frozen=True)
class Row:
    """``values`` by field; ``wkb`` the shape in the city's CRS; ``run`` the version, ``feed`` the
    one that brought it, if any."""

    values: Mapping[str, Any]
    wkb: bytes | None
    run: int
    feed: str | None
    key: str

    @property
    def shape(self) -> BaseGeometry | None:
        """The geometry in the city's CRS."""
        if self.wkb is None:
            return None
        found: BaseGeometry = shapely.from_wkb(self.wkb)
        return found


@dataclass(frozen=True)
class Client:
    """How the client writes coordinates: SRID, decimals as they are served, the north first."""

    srid: int
    digits: int
    flipped: bool


def row(connection: Connection, layer: LayerContract, number: int) -> Row | None:
    """The row ``number``, locked until the transaction ends; None where there is none."""
    names = [field.name for field in layer.fields]
    stored = sql.SQL("ST_AsBinary(t.{})").format(sql.Identifier(GEOMETRY))
    query = sql.SQL(queries.load("edits")["row"]).format(
        columns=sql.SQL(", ").join(sql.Identifier("t", name) for name in names),
        shape=stored if layer.geometry else sql.SQL("NULL::bytea"),
        key=key_text(layer, "t"),
        target=sql.Identifier(DATA, layer.id),
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query, {"id": number}).fetchone()
    if found is None:
        return None
    wkb = None if found["shape"] is None else bytes(found["shape"])
    values = {name: found[name] for name in names}
    return Row(values, wkb, int(found["run_id"]), found["feed"], str(found["key"]))


def vertices(
    connection: Connection, layer: LayerContract, number: int, box: Box, client: Client, srid: int
) -> Vertices:
    """The points of the row ``number`` (0: a new one) and of the rows that meet ``box``."""
    named = queries.load("edits")
    moved: sql.Composable = sql.Identifier("t", GEOMETRY)
    if client.srid != srid:
        moved = sql.SQL(named["moved"]).format(to=sql.Literal(client.srid))
    query = sql.SQL(named["served"]).format(
        moved=moved,
        digits=sql.Literal(client.digits),
        target=sql.Identifier(DATA, layer.id),
        srid=sql.Literal(srid),
    )
    x0, y0, x1, y1 = box
    corners = {"x0": x0 - _REACH, "y0": y0 - _REACH, "x1": x1 + _REACH, "y1": y1 + _REACH}
    values = {"id": number, "most": _NEIGHBOURS, **corners}
    rows: list[Any] = connection.execute(query, values).fetchall()
    rows = [one for one in rows if one[0] is not None]
    served = shapely.from_geojson([one[0] for one in rows])
    stored = shapely.from_wkb([bytes(one[1]) for one in rows])
    return Vertices(_points(served), _points(stored), client.digits)


def _points(shapes: Any) -> Any:
    return shapely.get_coordinates(np.asarray(shapes, dtype=object))
