"""Match: what each rung of a ladder asks of the database, and the rows of the fact it leads to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import shapely
from psycopg import sql

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
from pipeline.joins.side import Ints, Reader, Side

AMBIGUOUS, UNMATCHED = "ambiguous", "unmatched"
_MAIN_SHARE = 0.5


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
    runs: dict[int, int] = field(default_factory=dict)

    def run(self) -> tuple[Climb, Ints]:
        """How the subjects fare, and the latest run (n,) of the rows each result derives from."""
        state = climb(len(self.subjects), self.fact.rungs, self._find)
        later = [self.runs.get(number, 0) for number in state.object.tolist()]
        return state, np.maximum(self.subjects.runs, np.array(later, dtype=np.int64))

    def _find(self, rung: Rung, waiting: Ints) -> Pairs:
        asking = self.subjects.take(waiting)
        if rung.via:
            found = self._via(rung, asking)
        elif rung.equal:
            found = self._equal(rung, asking)
        else:
            found = self._within(rung, asking)
        return Pairs(waiting[found.subject], found.object, found.distance)

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
        middle, leads = self._middle(rung, self._texts(asking, first))
        one, other = pairs.equal(self._keys(asking, first), self._key(middle, first))
        for more in rung.equal[1:]:
            agree = self._agree(more, asking.take(one), middle.take(other))
            one, other = one[agree], other[agree]
        found = leads[other]
        if rung.also:
            objects = self._some(np.unique(found), tuple(pair.other for pair in rung.also))
            there = np.isin(found, objects.ids)
            one, found = one[there], found[there]
            for more in rung.also:
                agree = self._agree(more, asking.take(one), objects.take(objects.place_of(found)))
                one, found = one[agree], found[agree]
        return Pairs.of(one, found)

    def _middle(self, rung: Rung, texts: list[str] | None) -> tuple[Side, Ints]:
        """Subjects of the fact ``rung.via`` with what is compared, and the object of each."""
        via = self.schemas.facts[rung.via or ""]
        names = tuple(pair.other for pair in rung.equal)
        query = sql.SQL(queries.load("facts")["leads"]).format(
            columns=sql.Composed([sql.SQL(", t.{}").format(sql.Identifier(n)) for n in names]),
            layer=sql.Identifier(DATA, via.subject),
            table=self.beside.table(via.id),
            main=sql.SQL("f.share > %(main)s" if via.kind == "overlay" else "true"),
            chosen=sql.SQL("true" if texts is None else "t.{} = ANY(%(texts)s)").format(
                sql.Identifier(names[0])
            ),
        )
        values = {"main": _MAIN_SHARE, "texts": texts}
        rows = self.connection.cursor(binary=True).execute(query, values).fetchall()
        columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * (3 + len(names))
        ids = np.array(columns[0], dtype=np.int64)
        runs = np.array(columns[1], dtype=np.int64)
        leads = np.array(columns[2], dtype=np.int64)
        self.runs.update(zip(leads.tolist(), runs.tolist(), strict=True))
        named = {name: pa.array(columns[3 + at], pa.string()) for at, name in enumerate(names)}
        return Side(ids, runs, np.full(len(ids), None, dtype=object), named), leads

    def _pairs(self, one: Ints, others: Side, other: Ints, far: np.ndarray) -> Pairs:
        ids = others.ids[other]
        self.runs.update(zip(ids.tolist(), others.runs[other].tolist(), strict=True))
        return Pairs.of(one, ids, far)

    def _agree(self, pair: Equal, asking: Side, others: Side) -> Mask:
        """Row by row: whether any key of the one is that of the other."""
        agree = np.zeros(len(asking), dtype=bool)
        right = np.asarray(self._key(others, pair).to_pylist(), dtype=object)
        for values in self._keys(asking, pair):
            left = np.asarray(values.to_pylist(), dtype=object)
            agree |= (left == right) & (left != None)  # noqa: E711 - by element
        return agree

    def _keys(self, side: Side, pair: Equal) -> list[pa.Array]:
        return forms.keys(side.columns[pair.subject], pair.form, self.schemas.city)

    def _key(self, side: Side, pair: Equal) -> pa.Array:
        return forms.keys(side.columns[pair.other], pair.form, self.schemas.city)[0]

    def _texts(self, asking: Side, pair: Equal) -> list[str] | None:
        """What the other side must say literally; None where it may say it in another form."""
        if self.whole or pair.form != "plain":
            return None
        said = self._keys(asking, pair)[0].drop_null().unique()
        return [str(one) for one in said.to_pylist()]

    def _saying(self, layer: str, pair: Equal, asking: Side, names: tuple[str, ...]) -> Side:
        texts = self._texts(asking, pair)
        if texts is None:
            return self._all(layer) if self.whole else self._reader(layer, names).all()
        return self._reader(layer, names).saying(pair.other, texts)

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
