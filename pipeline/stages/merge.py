"""Merge: one transaction turns the staging table into the published layer, or changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.db import ledger, queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, HISTORY, SINCE, UNTIL
from pipeline.stages.batch import Found, Lines
from pipeline.stages.clash import clashes
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged
from pipeline.stages.lineage import renumber
from pipeline.stages.stage import Staging, stored
from pipeline.stages.target import Merged
from pipeline.stages.whole import BETWEEN
from pipeline.stages.write import Writer, refused


def _joined(key: tuple[str, ...], between: str) -> sql.Composed:
    """The key as one text, its parts with ``between`` between them."""
    parts = [sql.SQL("{}::text").format(sql.Identifier("t", name)) for name in key]
    listed = sql.SQL(", ").join(parts)
    return sql.SQL("concat_ws({}, {})").format(sql.Literal(between), listed)


def composed(
    layer: LayerContract, stage: sql.Identifier, said_by: Sequence[str] = ()
) -> dict[str, sql.Composable]:
    """The identifiers that the queries of schemas/sql/merge.sql leave open; rows come from
    ``stage``, whose columns ``said_by`` say when they hold."""
    names, key = stored(layer), layer.key
    history = sql.Identifier(HISTORY, layer.id)
    return {
        "target": sql.Identifier(DATA, layer.id),
        "history": history,
        "stage": stage,
        "gone_columns": sql.SQL(", ").join(sql.Identifier("g", name) for name in names),
        **_dated(said_by, history),
        "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
        "staged": sql.SQL(", ").join(sql.Identifier("s", name) for name in names),
        "current": sql.SQL(", ").join(sql.Identifier("t", name) for name in names),
        "key": sql.SQL(", ").join(map(sql.Identifier, key)),
        "match": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", name), sql.Identifier("s", name))
            for name in key
        ),
        "key_text": _joined(key, " "),
        "key_exact": _joined(key, BETWEEN),
    }


def _dated(said_by: Sequence[str], history: sql.Identifier) -> dict[str, sql.Composable]:
    """When rows hold, of a delivery whose rows say so themselves, or of one that does not."""
    named = queries.load("merge")
    said: dict[str, sql.Composable] = {
        part: sql.Identifier("s", name) if name in said_by else sql.SQL("NULL::timestamptz")
        for part, name in (("since", SINCE), ("until", UNTIL))
    }
    floor = sql.SQL(named["floor"]).format(history=history)
    redated: sql.Composable = sql.SQL("false")
    if said_by:
        redated = sql.SQL(named["redated"]).format(floor=floor, **said)
    return {**said, "floor": floor, "redated": redated}


# Fewer changed rows than these change no plan of the database; its own upkeep sees to them.
_MANY = 10_000


class Merge:
    """The way of one run into a layer that holds rows: staged first, merged in one transaction."""

    def __init__(self, writer: Writer, connection: Connection, context: Context, run: int) -> None:
        """``connection`` commits by itself. Nothing is begun before ``open``."""
        self.database = writer.database
        self.connection = connection
        self.context = context
        self.staging = Staging(writer, context, run)
        self.run = run
        self.named = queries.load("merge")
        self.parts = composed(context.layer, self.staging.table, self.staging.dates)
        self.values: dict[str, object] = {"run": run, "layer": context.layer.id}

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """The transaction: commits at the end of the block, or leaves everything as it was."""
        with (
            self.staging.open(self.connection),
            self.database.connect("loader") as self.transaction,
        ):
            yield self.transaction

    def add(self, judged: Judged) -> None:
        """Stages the good rows of a batch."""
        self.staging.add(judged)

    def remove(self, lines: Lines) -> None:
        """Takes rows out again that a look at the whole delivery has condemned."""
        if len(lines):
            self.staging.remove(self.connection, lines)

    def clashing(self, kept: list[str], gone: list[str] | None) -> Found:
        """What guards of the layer would refuse of the staged rows."""
        parts = {
            "arriving": self.staging.table,
            "before": self.parts["target"],
            "staying": sql.SQL(self.named["staying"]).format(**self.parts),
        }
        full = self.context.feed.delivery == "full"
        values = {"feed": self.context.feed.id, "full": full, "kept": kept, "gone": gone}
        return clashes(self.connection, self.context, parts, values)

    def finish(self, kept: list[str], gone: list[str] | None) -> Merged:
        """Makes the layer what the delivery says; the caller adds the ledger and ends the block.

        ``kept`` are keys of quarantined rows: their published predecessors stay. ``gone`` are the
        keys that a full delivery no longer brings, None where only a look at all rows can tell.
        """
        staged = self.staging.count(self.connection)
        # From here on this run alone publishes: the moment at which it does is when rows change.
        ledger.publish(self.transaction, self.context.valid_from, self.run)
        self.values |= {"feed": self.context.feed.id, "kept": kept, "gone": gone}
        with refused():
            inserted, updated, removed = self._update(gone, staged)
        if not inserted + updated + removed:
            ledger.unpublish(self.transaction, self.run)
        return Merged(inserted, updated, staged - inserted - updated, removed)

    def _update(self, gone: list[str] | None, staged: int) -> tuple[int, int, int]:
        """The order matters: a removed row may free what a new one needs."""
        self._do("analyze_stage")
        updated, removed = renumber(self.transaction, self.context, self.parts, self.run)
        updated += (changed := self._do("update"))
        if self.context.feed.delivery == "full" and (gone is None or gone):
            removed += self._do("remove" if gone is None else "remove_gone")
        inserted = 0
        if changed < staged:
            # Where keys change owners, a key says nothing of an object that is gone.
            inserted = 0 if self.context.renumber else self._do("put_back")
            inserted += self._do("insert")
        if inserted + updated + removed > _MANY:
            self._do("analyze")
        return inserted, updated, removed

    def _do(self, name: str) -> int:
        query = sql.SQL(self.named[name]).format(**self.parts)
        return self.transaction.execute(query, self.values).rowcount
