"""Stage: good rows go by binary COPY into an unlogged table of this run, typed as the target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, GEOMETRY, LINE
from pipeline.stages.batch import Lines
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged
from pipeline.stages.write import Writer

STAGE = "stage"


def stored(layer: LayerContract) -> list[str]:
    """The columns of the contract, geometry last."""
    names = [field.name for field in layer.fields]
    return [*names, GEOMETRY] if layer.geometry else names


def good_rows(judged: Judged) -> pa.Table:
    """The good rows of a batch as the layer's table takes them."""
    good = judged.good
    rows, every = judged.rows, bool(good.all())
    chosen = pa.array(good)
    every_column = {**rows.columns, **judged.dates}
    columns = {n: values if every else values.filter(chosen) for n, values in every_column.items()}
    if judged.wkb is not None:
        columns[GEOMETRY] = judged.wkb if every else judged.wkb.filter(chosen)
    columns[LINE] = pa.array(rows.lines[good])
    return pa.table(columns)


class Staging:
    """The staging table of one run; it is dropped at the end whatever happens."""

    def __init__(self, writer: Writer, context: Context, run: int) -> None:
        """Nothing is made before ``open``."""
        self.writer = writer
        self.context = context
        self.name = f"{context.layer.id}_{run}"

    @contextmanager
    def open(self, connection: Connection) -> Iterator[Staging]:
        """Makes the table: as ``data.<layer>``, without its id."""
        columns = [*self.columns, *self.dates, LINE]
        connection.execute(
            sql.SQL(queries.load("stage")["create"]).format(
                stage=self.table,
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                target=sql.Identifier(DATA, self.context.layer.id),
            )
        )
        try:
            yield self
        finally:
            with suppress(psycopg.OperationalError):
                self.drop(connection, self.name)

    @property
    def table(self) -> sql.Identifier:
        """The staging table's name, quoted."""
        return sql.Identifier(STAGE, self.name)

    @property
    def columns(self) -> list[str]:
        """The contract's columns, geometry last."""
        return stored(self.context.layer)

    @property
    def dates(self) -> list[str]:
        """The columns by which the data themselves say when rows hold, if they do."""
        return [column.to for column in self.context.dates]

    def add(self, judged: Judged) -> None:
        """Copies the good rows of a batch, of those that share a key the first."""
        self.writer.copy(STAGE, self.name, good_rows(judged))

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
