"""Match: what each rung of a ladder asks of the database, and the rows of the fact it leads to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import shapely
from psycopg import sql

from pipeline.contracts.city import City
from pipeline.contracts.fact import Equal, FactContract, Rung
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA
from pipeline.geo import Mask
from pipeline.joins import forms, pairs
from pipeline.joins.beside import Beside
from pipeline.joins.ladder import UNDECIDED, Climb, climb
from pipeline.joins.pairs import Pairs
from pipeline.joins.side import Ints, Reader, Side, listed

AMBIGUOUS, UNMATCHED = "ambiguous", "unmatched"
_MAIN_SHARE = 0.5
#: Of so many subjects with several keys each, whole layers are read sooner than looked into.
_MANY = 20_000


@dataclass
class Matcher:
    """One match fact over ``subjects``; ``whole``: over all of them, so that whole layers are read
    once instead of looked up."""

    connection: Connection
    schemas: Schemas
    beside: Beside
    fact: FactContract
    subjects: Side
    whole: bool

    def run(self) -> tuple[Climb, Ints]:
        """How the subjects fare, and the latest run (n,) of the rows each result derives from."""
        state = climb(len(self.subjects), self.fact.rungs, self._find)
        return state, np.maximum(self.subjects.runs, state.run)

    def _find(self, rung: Rung, waiting: Ints) -> Pairs:
        asking = self.subjects.take(waiting)
        if rung.via:
            found = self._via(rung, asking)
        elif rung.equal:
            found = self._equal(rung, asking)
        else:
            found = self._within(rung, asking)
        return replace(found, subject=waiting[found.subject])

    def _equal(self, rung: Rung, asking: Side) -> Pairs:
        layer = rung.layer or self.fact.object
        first = rung.equal[0]
        others = self._saying(layer, first, asking, tuple(pair.other for pair in rung.equal))
        one, other = pairs.equal(self._keys(asking, first), self._key(others, first))
        for more in rung.equal[1:]:
            agree = self._agree(more, asking.take(one), others.take(other))
            one, other = one[agree], other[agree]
        far = np.full(len(one), np.nan)
        if rung.within_m is not None:
            reach = self._units(rung.within_m)
            far = shapely.distance(asking.shapes[one], others.shapes[other])
            near = far <= reach
            one, other, far = one[near], other[near], far[near]
        elif not rung.layer:
            far = shapely.distance(asking.shapes[one], others.shapes[other])
        return self._pairs(one, others, other, far)

    def _within(self, rung: Rung, asking: Side) -> Pairs:
        reach = self._units(rung.within_m or 0.0)
        layer = rung.layer or self.fact.object
        drawn = np.flatnonzero(~shapely.is_missing(asking.shapes))
        if self.whole:
            others = self._all(layer)
        else:
            others = self._reader(layer).near(asking.shapes[drawn], reach)
        one, other, far = pairs.nearest(asking.shapes[drawn], others.shapes, reach)
        return self._pairs(drawn[one], others, other, far)

    def _via(self, rung: Rung, asking: Side) -> Pairs:
        """Rows of the other fact's subject that say the same, and the objects that it gave them."""
        first = rung.equal[0]
        middle, leads = self._middle(rung, asking)
        one, other = pairs.equal(self._keys(asking, first), self._key(middle, first))
        for more in rung.equal[1:]:
            agree = self._agree(more, asking.take(one), middle.take(other))
            one, other = one[agree], other[agree]
        found = Pairs.of(one, leads[other], run=middle.runs[other])
        if rung.also:
            objects = self._some(np.unique(found.object), tuple(pair.other for pair in rung.also))
            found = found.take(np.isin(found.object, objects.ids))
            for more in rung.also:
                told = objects.take(objects.place_of(found.object))
                found = found.take(self._agree(more, asking.take(found.subject), told))
        return found

    def _middle(self, rung: Rung, asking: Side) -> tuple[Side, Ints]:
        """Subjects of the fact ``rung.via`` with what is compared, and the object of each."""
        via = self.schemas.facts[rung.via or ""]
        names = tuple(pair.other for pair in rung.equal)
        chosen, values = self._chosen(rung, asking)
        query = sql.SQL(queries.load("facts")["leads"]).format(
            columns=sql.Composed([sql.SQL(", t.{}").format(sql.Identifier(n)) for n in names]),
            layer=sql.Identifier(DATA, via.subject),
            table=self.beside.table(via.id),
            main=sql.SQL("f.share > %(main)s" if via.kind == "overlay" else "true"),
            chosen=chosen,
        )
        values["main"] = _MAIN_SHARE
        rows = self.connection.cursor(binary=True).execute(query, values).fetchall()
        columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * (3 + len(names))
        ids = np.array(columns[0], dtype=np.int64)
        runs = np.array(columns[1], dtype=np.int64)
        leads = np.array(columns[2], dtype=np.int64)
        named = {name: pa.array(columns[3 + at], pa.string()) for at, name in enumerate(names)}
        return Side(ids, runs, np.full(len(ids), None, dtype=object), named), leads

    def _chosen(self, rung: Rung, asking: Side) -> tuple[sql.Composable, dict[str, object]]:
        """Which of them may have to do with ``asking``: by what they say, or by what their objects
        must say as well."""
        via = self.schemas.facts[rung.via or ""]
        if texts := self._texts(asking, rung.equal[0], via.subject):
            return sql.SQL("t.{} = ANY(%(texts)s)").format(sql.Identifier(texts[0])), {
                "texts": texts[1]
            }
        for pair in rung.also:
            if texts := self._texts(asking, pair, self.fact.object):
                layer = self.schemas.layer(self.fact.object)
                objects = Reader(self.connection, layer, shaped=False).saying(*texts)
                return sql.SQL("f.object_id = ANY(%(objects)s)"), {"objects": listed(objects.ids)}
        return sql.SQL("true"), {}

    def _pairs(self, one: Ints, others: Side, other: Ints, far: np.ndarray) -> Pairs:
        return Pairs.of(one, others.ids[other], far, others.runs[other])

    def _agree(self, pair: Equal, asking: Side, others: Side) -> Mask:
        """Row by row: whether any key of the one is that of the other."""
        agree = np.zeros(len(asking), dtype=bool)
        right = np.asarray(self._key(others, pair).to_pylist(), dtype=object)
        for values in self._keys(asking, pair):
            left = np.asarray(values.to_pylist(), dtype=object)
            agree |= (left == right) & (left != None)  # noqa: E711 - by element
        return agree

    def _keys(self, side: Side, pair: Equal) -> list[pa.Array]:
        return forms.keys(side.columns[pair.subject], pair.form, self._city)

    def _key(self, side: Side, pair: Equal) -> pa.Array:
        return forms.key(side.columns[pair.other], pair.form, self._city)

    def _texts(self, asking: Side, pair: Equal, layer: str) -> tuple[str, list[str]] | None:
        """A column of ``layer`` and what must stand there; None where any row may be meant."""
        if self.whole or (pair.form != "plain" and len(asking) > _MANY):
            return None
        found = self.schemas.layer(layer)
        column = forms.kept_as(pair.other, pair.form, found, self._city)
        if column is None:
            return None
        said = {one for keys in self._keys(asking, pair) for one in keys.to_pylist()} - {None}
        return column, [str(one) for one in said]

    def _saying(self, layer: str, pair: Equal, asking: Side, names: tuple[str, ...]) -> Side:
        if self.whole:
            return self._all(layer)
        texts = self._texts(asking, pair, layer)
        reader = self._reader(layer, names)
        return reader.all() if texts is None else reader.saying(*texts)

    def _some(self, ids: Ints, names: tuple[str, ...]) -> Side:
        return self._reader(self.fact.object, names).some(ids)

    def _all(self, layer: str) -> Side:
        if layer not in self._cached:
            self._cached[layer] = self._reader(layer).all()
        return self._cached[layer]

    def _reader(self, layer: str, names: tuple[str, ...] | None = None) -> Reader:
        if names is None:
            names = tuple(sorted(self.fact.uses(self.schemas.facts).get(layer, ())))
        return Reader(self.connection, self.schemas.layer(layer), names)

    @cached_property
    def _cached(self) -> dict[str, Side]:
        return {}

    @property
    def _city(self) -> City:
        return self.schemas.city

    def _units(self, metres: float) -> float:
        return metres / self.schemas.city.metres_per_unit


def told(fact: FactContract, state: Climb) -> tuple[list[str], list[str], list[float]]:
    """Method, class of quality and score of each subject."""
    names = [rung.method for rung in fact.rungs]
    classes = [rung.quality or rung.method for rung in fact.rungs]
    scores = [rung.score for rung in fact.rungs]
    left = [AMBIGUOUS if many else UNMATCHED for many in (state.candidates > 1).tolist()]
    at = state.rung.tolist()
    return (
        [lost if one == UNDECIDED else names[one] for one, lost in zip(at, left, strict=True)],
        [lost if one == UNDECIDED else classes[one] for one, lost in zip(at, left, strict=True)],
        [0.0 if one == UNDECIDED else scores[one] for one in at],
    )
