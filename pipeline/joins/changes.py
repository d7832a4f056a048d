"""Changes: what loads and edits have done to layers, each asked once in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, HISTORY
from pipeline.joins.side import Ints, listed


@dataclass(frozen=True)
class LayerState:
    """How far a layer is: the latest load that changed it, and how many of its loads are undone."""

    run: int
    undone: int


@dataclass(frozen=True)
class Change:
    """Ids of a layer's rows that loads have brought or changed (``now``), and of those that they
    have replaced or removed (``before``)."""

    now: Ints
    before: Ints

    @property
    def ids(self) -> Ints:
        """All of them."""
        return np.union1d(self.now, self.before)


@dataclass
class Changes:
    """What loads have done to layers, each asked once in a transaction."""

    connection: Connection
    found: dict[tuple[str, int], Change] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    differing: dict[tuple[str, int, tuple[str, ...]], Ints] = field(default_factory=dict)

    def since(self, layer: str, run: int) -> Change:
        """What loads after ``run`` have done to ``layer``."""
        if (layer, run) not in self.found:
            parts = {
                "layer": sql.Identifier(DATA, layer), "history": sql.Identifier(HISTORY, layer),
            }  # fmt: skip
            now, before = (
                ids_of(self.connection, name, parts, {"run": run}) for name in ("changed", "ended")
            )
            self.found[layer, run] = Change(now, before)
        return self.found[layer, run]

    def otherwise(self, layer: str, run: int, names: Iterable[str]) -> Ints:
        """Ids of the rows that loads after ``run`` have brought or taken away, or that say
        something else now in one of the columns ``names``."""
        known = (layer, run, tuple(sorted(names)))
        if known not in self.differing:
            now, before = (
                sql.SQL(", ").join(sql.Identifier(side, name) for name in known[2])
                for side in ("n", "h")
            )
            parts = {
                "layer": sql.Identifier(DATA, layer), "history": sql.Identifier(HISTORY, layer),
                "now": now, "before": before,
            }  # fmt: skip
            values = {"ids": listed(self.since(layer, run).ids), "run": run}
            self.differing[known] = ids_of(self.connection, "otherwise", parts, values)
        return self.differing[known]

    def estimate(self, layer: str) -> int:
        """How many rows ``layer`` has, about."""
        if layer not in self.sizes:
            query = queries.load("facts")["estimate"]
            row = self.connection.execute(query, {"relation": f"{DATA}.{layer}"}).fetchone()
            self.sizes[layer] = int(str(row[0])) if row else 0
        return self.sizes[layer]


def ids_of(
    connection: Connection,
    name: str,
    parts: Mapping[str, sql.Composable],
    values: Mapping[str, object],
) -> Ints:
    """What the named query of schemas/sql/facts.sql finds, as ids."""
    query = sql.SQL(queries.load("facts")[name]).format(**parts)
    rows = connection.cursor(binary=True).execute(query, values).fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64)
