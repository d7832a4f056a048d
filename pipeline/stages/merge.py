"""Merge: one transaction turns the staging table into the published layer, or changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import DATA, HISTORY
from pipeline.errors import GuardError
from pipeline.stages.batch import Context, Lines
from pipeline.stages.stage import Staging


@dataclass(frozen=True)
class Merged:
    """What the merge did to the published layer, in rows."""

    inserted: int
    updated: int
    removed: int


def _composed(context: Context, staging: Staging) -> dict[str, sql.Composable]:
    """The identifiers that the queries of schemas/sql/merge.sql leave open."""
    names = staging.columns
    key = context.layer.key
    return {
        "target": sql.Identifier(DATA, context.layer.id),
        "history": sql.Identifier(HISTORY, context.layer.id),
        "stage": staging.table,
        "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
        "staged": sql.SQL(", ").join(sql.Identifier("s", name) for name in names),
        "current": sql.SQL(", ").join(sql.Identifier("t", name) for name in names),
        "key": sql.SQL(", ").join(map(sql.Identifier, key)),
        "match": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", name), sql.Identifier("s", name))
            for name in key
        ),
        "key_text": sql.SQL(" || ' ' || ").join(
            sql.SQL("{}::text").format(sql.Identifier("t", name)) for name in key
        ),
    }


class Merge:
    """The merge of one run: one transaction, from ``open`` to its end.

    A layer that holds nothing yet is filled batch by batch while the file is still being read, its
    indexes made at the end; nobody misses an empty layer meanwhile. Any other is merged at once.
    """

    def __init__(self, database: Database, context: Context, staging: Staging, run: int) -> None:
        """Nothing is begun before ``open``."""
        self.database = database
        self.context = context
        self.named = queries.load("merge")
        self.parts = _composed(context, staging)
        self.values: dict[str, object] = {"run": run, "layer": context.layer.id}
        self.filling = False
        self.filled = 0

    @contextmanager
    def open(self, connection: Connection) -> Iterator[Merge]:
        """Commits at the end of the block, or leaves everything as it was."""
        with ExitStack() as self._stack:
            row = connection.execute(self._sql("is_empty")).fetchone()
            self.filling = bool(row and row[0])
            if self.filling:
                self._begin()
                self._run("before_bulk")
                self._run("by_index")
            yield self

    def fill(self, lines: Lines) -> None:
        """Takes over the rows of one staged batch, if the layer is being filled."""
        if self.filling:
            self.values |= {"first": int(lines[0]), "last": int(lines[-1])}
            with _refused():
                self.filled += self._run("fill")

    def leave_out(self, lines: Lines) -> None:
        """Takes rows out again that a look at the whole delivery has condemned."""
        if self.filling and len(lines):
            self.values["lines"] = lines.tolist()
            self.filled -= self._run("leave_out")

    def finish(self, kept: list[str]) -> Merged:
        """Makes the layer what the delivery says; the caller adds the ledger and ends the block.

        ``kept`` are keys of quarantined rows: their published predecessors stay.
        """
        if self.filling:
            with _refused():
                self._run("after_bulk")
            return Merged(self.filled, 0, 0)
        self._begin()
        self.values |= {"feed": self.context.feed.id, "kept": kept}
        with _refused():
            return self._update()

    def _update(self) -> Merged:
        """The order matters: a removed row may free what a new one needs."""
        self._run("analyze_stage")
        updated = self._run("update")
        removed = self._run("remove") if self.context.feed.delivery == "full" else 0
        inserted = self._run("insert")
        self._run("analyze")
        return Merged(inserted, updated, removed)

    def _begin(self) -> None:
        self.transaction = self._stack.enter_context(self.database.connect("loader"))

    def _sql(self, name: str) -> sql.Composed:
        return sql.SQL(self.named[name]).format(**self.parts)

    def _run(self, name: str) -> int:
        return self.transaction.execute(self._sql(name), self.values).rowcount


@contextmanager
def _refused() -> Iterator[None]:
    """Checked rows meet every constraint of their own; what is left is a clash with rows of other
    feeds, or constraints that contracts have outrun."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise GuardError(
            f"the published layer refuses the delivery ({error.diag.constraint_name})",
            todo="Nothing was published. Run `makan db migrate`; look for the same value in rows "
            "of another feed.",
        ) from error
