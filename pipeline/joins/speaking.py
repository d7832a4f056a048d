"""Speaking: which subjects of a match say what some rows of another layer say, or said before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from pipeline.contracts.fact import Equal, FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, HISTORY
from pipeline.derive.facts import FACTS
from pipeline.joins import forms
from pipeline.joins.changes import LayerState, ids_of
from pipeline.joins.side import Ints, listed

#: So many keys are looked for one after the other, each by its numbers; of more, all that
#: waits for the rung is read once.
_FEW = 8
_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Speaking:
    """Looks among the subjects of ``fact`` that none of ``methods`` has decided; ``since`` is how
    far it knows each layer."""

    connection: Connection
    schemas: Schemas
    fact: FactContract
    methods: list[str]
    since: Mapping[str, LayerState]

    def of(self, pair: Equal, layer: str, ids: Ints) -> Ints:
        """Those that say by ``pair`` what these rows of ``layer`` say, or have said since."""
        texts = self._texts(pair.other, layer, ids)
        if not texts:
            return _NONE
        if pair.form == "plain":
            parts = {
                "layer": sql.Identifier(DATA, self.fact.subject),
                "left": sql.Identifier(pair.subject),
            }
            return self._undecided(ids_of(self.connection, "speaking", parts, {"texts": texts}))
        city = self.schemas.city
        keys = forms.key(pa.array(texts, pa.string()), pair.form, city).drop_null().unique()
        if not len(keys):
            return _NONE
        found = _NONE
        for numbers, said in self._candidates(pair, keys.to_pylist()):
            means = np.zeros(len(said), dtype=bool)
            for one in forms.keys(said, pair.form, city):
                means |= pc.is_in(one, value_set=keys).to_numpy(zero_copy_only=False)
            found = np.union1d(found, numbers[means])
        return self._undecided(found)

    def _texts(self, column: str, layer: str, ids: Ints) -> list[str]:
        query = sql.SQL(queries.load("facts")["texts"]).format(
            column=sql.Identifier(column),
            layer=sql.Identifier(DATA, layer),
            history=sql.Identifier(HISTORY, layer),
        )
        values = {"ids": listed(ids), "run": self.since[layer].run}
        return [str(row[0]) for row in self.connection.execute(query, values).fetchall()]

    def _candidates(self, pair: Equal, keys: list[str]) -> list[tuple[Ints, pa.Array]]:
        """Subjects that may mean one of ``keys``, and what they say."""
        sought = [forms.numbers(one, pair.form) for one in keys]
        if len(keys) <= _FEW and all(sought):
            return [
                self._read("holding", pair, {"numbers": [f"%{one}%" for one in each]})
                for each in sought
            ]
        return [self._read("waiting", pair, {"methods": self.methods})]

    def _read(self, name: str, pair: Equal, values: dict[str, object]) -> tuple[Ints, pa.Array]:
        query = sql.SQL(queries.load("facts")[name]).format(
            table=sql.Identifier(FACTS, self.fact.id),
            layer=sql.Identifier(DATA, self.fact.subject),
            left=sql.Identifier(pair.subject),
        )
        rows = self.connection.cursor(binary=True).execute(query, values).fetchall()
        numbers = np.array([row[0] for row in rows], dtype=np.int64)
        return numbers, pa.array([row[1] for row in rows], pa.string())

    def _undecided(self, ids: Ints) -> Ints:
        if not self.methods or not len(ids):
            return ids
        parts = {"table": sql.Identifier(FACTS, self.fact.id)}
        values = {"ids": listed(ids), "methods": self.methods}
        return ids_of(self.connection, "undecided_of", parts, values)
