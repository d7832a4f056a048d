"""Personal: columns about persons are cut off where a row is read, and kept apart.

What is left of the row goes on; nothing behind this module has seen them. They are kept as text in
``private.<layer>``, by the run and line that the row, its findings and its quarantine have as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from psycopg import sql

from pipeline.db import queries
from pipeline.db.bulk import copy_table
from pipeline.db.engine import Connection
from pipeline.derive.columns import LINE, PRIVATE, RUN
from pipeline.stages.batch import Raw
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged
from pipeline.stages.map import as_text

_KEY = "key"


@dataclass(frozen=True)
class Cut:
    """``personal``: source columns by the name they are kept under; ``needed``: those that the feed
    asks for otherwise, ``keys`` those of them that name a row. Of such a file nothing else is let
    through: who knows what it tells."""

    personal: dict[str, str]
    needed: frozenset[str]
    keys: frozenset[str] = frozenset()

    @staticmethod
    def of(context: Context) -> Cut | None:
        """What to cut of the context's files; None where they bring nothing personal."""
        if not context.personal:
            return None
        source = context.feed.source
        needed = {name for column in context.columns for name in column.sources}
        needed |= {source.points.x, source.points.y} if source.points else set()
        needed |= {source.where.column} if source.where else set()
        keys = {
            name for one in context.columns if one.to in context.layer.key for name in one.sources
        }
        cut = set(context.personal.values())
        return Cut(context.personal, frozenset(needed) - cut, frozenset(keys) - cut)

    def apart(self, table: pa.Table) -> tuple[pa.Table, pa.Table]:
        """The columns that go on, and the personal ones under our names, as text."""
        kept = {
            name: as_text(table.column(source).combine_chunks())
            for name, source in self.personal.items()
        }
        on = [name for name in table.column_names if name in self.needed]
        return table.select(on), pa.table(kept)


def keep(transaction: Connection, context: Context, run: int, raw: Raw, judged: Judged) -> None:
    """Keeps what was cut off, in the load's own transaction: a refused load leaves nothing."""
    if raw.personal is None or not raw.personal.num_columns:
        return
    every = np.arange(len(raw.lines), dtype=np.int64)
    keys = judged.rows.keys_at(context.layer, every)
    columns = {
        RUN: pa.repeat(pa.scalar(run, pa.int64()), len(raw.lines)),
        LINE: pa.array(raw.lines),
        _KEY: pa.array([keys[line] for line in raw.lines.tolist()], type=pa.string()),
    }
    columns |= {name: raw.personal.column(name) for name in raw.personal.column_names}
    copy_table(transaction, sql.Identifier(PRIVATE, context.layer.id), pa.table(columns))


def forget(connection: Connection, layer: str, run: int) -> None:
    """Takes away what a run has kept; for a run that is undone."""
    connection.execute(queries.load("stage")["forget_personal"], {"layer": layer, "run": run})
