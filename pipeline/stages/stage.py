"""Stage: good rows go by binary COPY into an unlogged table of this run, typed as the target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_postgresql.dbapi
import numpy as np
import pyarrow as pa
import shapely
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.derive import tables
from pipeline.stages.batch import Context, Geometries, Lines, Mask, Rows

STAGE = "stage"


class Staging:
    """The staging table of one run; it is dropped at the end whatever happens."""

    def __init__(self, database: Database, context: Context, run: int) -> None:
        """Nothing is made before ``open``."""
        self.database = database
        self.context = context
        self.name = f"{context.layer.id}_{run}"

    @contextmanager
    def open(self, connection: Connection) -> Iterator[Staging]:
        """Makes the table (as ``data.<layer>`` without its id) and the COPY connection."""
        columns = [*self.columns, tables.LINE]
        connection.execute(
            sql.SQL(queries.load("stage")["create"]).format(
                stage=self.table,
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                target=sql.Identifier(tables.DATA, self.context.layer.id),
            )
        )
        try:
            with adbc_driver_postgresql.dbapi.connect(self.database.uri("loader")) as self._copy:
                yield self
        finally:
            if not connection.broken:
                self.drop(connection, self.name)

    @property
    def table(self) -> sql.Identifier:
        """The staging table's name, quoted."""
        return sql.Identifier(STAGE, self.name)

    @property
    def columns(self) -> list[str]:
        """The contract's columns, geometry last."""
        names = [field.name for field in self.context.layer.fields]
        return [*names, tables.GEOMETRY] if self.context.layer.geometry else names

    def add(self, rows: Rows, good: Mask) -> int:
        """Copies the rows that ``good`` chooses; their number."""
        chosen = pa.array(good)
        columns = {name: values.filter(chosen) for name, values in rows.columns.items()}
        if rows.geometry is not None:
            columns[tables.GEOMETRY] = ewkb(rows.geometry[good], self.context.city.srid)
        columns[tables.LINE] = pa.array(rows.lines[good])
        table = pa.table(columns)
        if table.num_rows:
            with self._copy.cursor() as cursor:
                cursor.adbc_ingest(self.name, table, mode="append", db_schema_name=STAGE)
            self._copy.commit()
        return int(table.num_rows)

    def remove(self, connection: Connection, lines: Lines) -> None:
        """Takes rows out again that a look at the whole delivery has condemned."""
        query = sql.SQL(queries.load("stage")["remove_lines"]).format(stage=self.table)
        connection.execute(query, {"lines": lines.tolist()})

    def count(self, connection: Connection) -> int:
        """How many rows are staged, counted by the database."""
        query = sql.SQL(queries.load("stage")["staged"]).format(stage=self.table)
        row = connection.execute(query).fetchone()
        return int(str(row[0])) if row else 0

    @staticmethod
    def drop(connection: Connection, name: str) -> None:
        """Drops the staging table called ``name``."""
        table = sql.Identifier(STAGE, name)
        connection.execute(sql.SQL(queries.load("stage")["drop"]).format(stage=table))


def ewkb(geometries: Geometries, srid: int) -> pa.Array:
    """Geometries as EWKB with their SRID, which is what PostGIS receives in a binary COPY."""
    raw = shapely.to_wkb(shapely.set_srid(geometries, srid), include_srid=True, output_dimension=2)
    return pa.array(np.asarray(raw, dtype=object), type=pa.binary())
