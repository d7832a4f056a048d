"""Source: rows of loaded layers as columns and shapes, all threads in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import adbc_driver_postgresql
import numpy as np
import pyarrow as pa
import shapely
from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
from psycopg import IsolationLevel, sql

from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection, Database, unreachable
from pipeline.derive.columns import DATA, HISTORY
from pipeline.derive.keys import key_text
from pipeline.fabric.part import Ints, Part
from pipeline.fabric.tiles import Asked

_CORNERS = ("x0", "y0", "x1", "y1")


@dataclass
class Source:
    """The loaded city at one moment. ``connection`` holds the snapshot, ``name`` is its name."""

    database: Database
    schemas: Schemas
    connection: Connection
    name: str

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """A connection of a thread's own into the same snapshot."""
        with ExitStack() as stack:
            try:
                opened = adbc_driver_postgresql.connect(self.database.uri("loader"))
                opened = stack.enter_context(opened)
                connection = stack.enter_context(AdbcConnection(opened))
                reader = Reader(connection, self.schemas)
                reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                reader.run(f"SET TRANSACTION SNAPSHOT '{self.name}'")
            except Error as error:
                raise unreachable(error, private=self.database.is_private) from None
            yield reader

    def has_rows(self, layer: str) -> bool:
        """Whether the layer holds anything."""
        query = sql.SQL(queries.load("fabric")["has_rows"]).format(table=table(layer))
        row = self.connection.execute(query).fetchone()
        return bool(row and row[0])


@dataclass
class Reader:
    """Reads rows by Arrow."""

    connection: AdbcConnection
    schemas: Schemas

    def run(self, statement: str) -> None:
        """Executes a statement without an answer."""
        with AdbcStatement(self.connection) as opened:
            opened.set_sql_query(statement)
            opened.execute_update()

    def table(self, query: sql.Composed) -> pa.Table:
        """The answer of a query."""
        with AdbcStatement(self.connection) as opened:
            opened.set_sql_query(query.as_string(None))
            stream, _ = opened.execute_query()
            return pa.RecordBatchReader._import_from_c(stream.address).read_all().combine_chunks()

    def asked(self, layer: str, query: sql.Composed) -> Asked:
        """Ids and boxes of rows to be checked."""
        found = self.table(query)
        boxes = [found[name].to_numpy() for name in _CORNERS]
        return Asked(layer, found["id"].to_numpy(), np.column_stack(boxes).astype(np.float64))

    def part(
        self,
        layer: str,
        fields: tuple[str, ...],
        box: tuple[float, float, float, float],
        own: Ints,
    ) -> Part:
        """The rows of ``layer`` that meet ``box`` (CRS units); ``own`` are ids in order."""
        contract = self.schemas.layer(layer)
        listed = [sql.SQL("{},").format(sql.Identifier(name)) for name in fields]
        query = sql.SQL(queries.load("fabric")["part"]).format(
            key=key_text(contract),
            columns=sql.SQL(" ").join(listed),
            table=table(layer),
            srid=sql.Literal(self.schemas.city.srid),
            **dict(zip(_CORNERS, map(sql.Literal, box), strict=True)),
        )
        found = self.table(query)
        ids = found["id"].to_numpy()
        columns: Mapping[str, pa.Array] = {name: _whole(found[name]) for name in fields}
        raw = _whole(found["geom"]).to_numpy(zero_copy_only=False)
        shapes = np.asarray(shapely.from_wkb(raw))
        return Part(ids, _whole(found["key"]), columns, shapes, np.isin(ids, own))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    made = column.combine_chunks()
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


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
