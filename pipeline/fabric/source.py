"""Source: rows of loaded layers as columns and shapes, all threads in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from psycopg import IsolationLevel, sql

from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import DATA, HISTORY
from pipeline.derive.keys import key_text
from pipeline.fabric.part import Ints, Part
from pipeline.fabric.tiles import Asked

_CORNERS = ("x0", "y0", "x1", "y1")
_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
}


@dataclass
class Source:
    """The loaded city at one moment. ``connection`` holds the snapshot, ``name`` is its name."""

    database: Database
    schemas: Schemas
    connection: Connection
    name: str
    filled: dict[str, bool] = field(default_factory=dict)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """A connection of a thread's own into the same snapshot."""
        with self.database.connect("loader") as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            query = sql.SQL(queries.load("fabric")["same_snapshot"])
            connection.execute(query.format(name=sql.Literal(self.name)))
            yield Reader(connection, self.schemas)

    def has_rows(self, layer: str) -> bool:
        """Whether the layer holds anything."""
        if layer not in self.filled:
            query = sql.SQL(queries.load("fabric")["has_rows"]).format(table=table(layer))
            row = self.connection.execute(query).fetchone()
            self.filled[layer] = bool(row and row[0])
        return self.filled[layer]

    @cached_property
    def never_derived(self) -> set[str]:
        """Facts that were never worked out."""
        rows = self.connection.execute(queries.load("facts")["never"]).fetchall()
        return {str(row[0]) for row in rows}


@dataclass
class Reader:
    """Reads rows into columns."""

    connection: Connection
    schemas: Schemas

    def columns(self, query: sql.Composed, count: int) -> list[list[Any]]:
        """The answer of a query, column by column; ``count`` of them."""
        rows = self.connection.cursor(binary=True).execute(query).fetchall()
        return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]

    def asked(self, layer: str, query: sql.Composed) -> Asked:
        """Ids and boxes of rows to be checked."""
        ids, *boxes = self.columns(query, 5)
        return Asked(layer, np.array(ids, np.int64), np.array(boxes, np.float64).T)

    def part(
        self,
        layer: str,
        fields: tuple[str, ...],
        box: tuple[float, float, float, float] | None = None,
        own: Ints | None = None,
    ) -> Part:
        """The rows of ``layer`` that meet ``box`` (CRS units); ``own`` are ids in order. Without
        them all rows that have a shape, and all asked about."""
        contract = self.schemas.layer(layer)
        listed = [sql.SQL("{},").format(sql.Identifier(name)) for name in fields]
        query = sql.SQL(queries.load("fabric")["part"]).format(
            key=key_text(contract),
            columns=sql.SQL(" ").join(listed),
            table=table(layer),
            here=sql.SQL("geom IS NOT NULL") if box is None else self._meets(box),
        )
        found, keys, *columns, raw = self.columns(query, 3 + len(fields))
        ids = np.array(found, np.int64)
        wkb = np.empty(len(raw), dtype=object)
        wkb[:] = raw
        kinds = [_TYPES.get(contract.field(name).type, pa.string()) for name in fields]
        made = {
            name: pa.array(values, kind)
            for name, values, kind in zip(fields, columns, kinds, strict=True)
        }
        shapes = np.asarray(shapely.from_wkb(wkb), dtype=object)
        asked = np.ones(len(ids), dtype=bool) if own is None else np.isin(ids, own)
        return Part(ids, pa.array(keys, pa.string()), made, shapes, asked)

    def _meets(self, box: tuple[float, float, float, float]) -> sql.Composed:
        return sql.SQL(queries.load("fabric")["meets"]).format(
            srid=sql.Literal(self.schemas.city.srid),
            **dict(zip(_CORNERS, map(sql.Literal, box), strict=True)),
        )


@contextmanager
def snapshot(database: Database, schemas: Schemas) -> Iterator[Source]:
    """The city as it is now, for as long as the block lasts; loads may go on meanwhile."""
    with database.connect("loader") as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        row = connection.execute(queries.load("fabric")["snapshot"]).fetchone()
        yield Source(database, schemas, connection, str(row[0]) if row else "")


def table(layer: str) -> sql.Identifier:
    """The table of a layer."""
    return sql.Identifier(DATA, layer)


def history(layer: str) -> sql.Identifier:
    """The table of the former versions of a layer."""
    return sql.Identifier(HISTORY, layer)
