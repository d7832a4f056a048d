"""Fill: an empty layer takes its rows straight by COPY, its keys made when all are there.

One transaction from the first row to the ledger's line: nobody misses an empty layer meanwhile,
and nobody sees half of a full one. The indexes come after it (``pipeline.db.deferred``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from psycopg import sql

from pipeline.db import ledger, queries
from pipeline.db.bulk import copy_table
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import DATA, LINE, RUN
from pipeline.stages.batch import Found, Lines
from pipeline.stages.clash import clashes
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged
from pipeline.stages.stage import good_rows
from pipeline.stages.target import Merged
from pipeline.stages.write import refused


class Fill:
    """The way of one run into an empty layer."""

    def __init__(self, database: Database, context: Context, run: int) -> None:
        """Nothing is begun before ``open``."""
        self.database = database
        self.run = run
        self.context = context
        self.target = sql.Identifier(DATA, context.layer.id)
        self.values = {"layer": context.layer.id}
        self.filled = 0

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """The transaction: commits at the end of the block, or leaves everything as it was."""
        with self.database.connect("loader") as self.transaction:
            self._do("before_bulk")
            self._do("put_off")
            yield self.transaction

    def add(self, judged: Judged) -> None:
        """Copies the good rows of a batch."""
        rows = good_rows(judged)
        run = pa.repeat(pa.scalar(self.run, pa.int64()), rows.num_rows)
        with refused():
            self.filled += copy_table(self.transaction, self.target, rows.append_column(RUN, run))

    def remove(self, lines: Lines) -> None:
        """Takes rows out again that a look at the whole delivery has condemned."""
        if len(lines):
            self.filled -= self._do("leave_out", {"lines": lines.tolist()})

    def clashing(self, kept: list[str], gone: list[str] | None) -> Found:
        """What guards of the layer would refuse of the filled rows, beside each other."""
        del kept, gone
        nothing = sql.SQL(queries.load("fill")["nothing"]).format(target=self.target)
        parts = {"arriving": self.target, "before": nothing, "staying": nothing}
        return clashes(self.transaction, self.context, parts, {})

    def finish(self, kept: list[str], gone: list[str] | None) -> Merged:
        """Keys and statistics; every row that is there is new, and none had to be kept."""
        del kept, gone
        with refused():
            self._do("ask_now")
            self._do("after_bulk")
        if self.filled:
            ledger.publish(self.transaction, self.context.valid_from, self.run)
        return Merged(self.filled, 0, 0, 0)

    def _do(self, name: str, more: dict[str, object] | None = None) -> int:
        query = sql.SQL(queries.load("fill")[name]).format(
            target=self.target, line=sql.Identifier(LINE)
        )
        return self.transaction.execute(query, {**self.values, **(more or {})}).rowcount
