"""Touched: which subjects of a fact must be looked at again after loads of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from psycopg import sql

from pipeline.contracts.fact import FactContract, Rung
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, GEOMETRY, HISTORY
from pipeline.derive.facts import FACTS
from pipeline.joins.changes import Change, Changes, LayerState, ids_of
from pipeline.joins.side import Ints, listed
from pipeline.joins.speaking import Speaking

_NONE = np.zeros(0, dtype=np.int64)


def inputs(schemas: Schemas, fact: FactContract) -> tuple[str, ...]:
    """The layers that a fact derives from, with those behind facts that it builds on."""
    found = dict.fromkeys(fact.uses(schemas.facts))
    for name in fact.builds_on:
        found |= dict.fromkeys(inputs(schemas, schemas.facts[name]))
    return tuple(found)


@dataclass(frozen=True)
class Touch:
    """Looks for touched subjects of one fact since ``since`` (layer: state when last derived).
    ``leading``: the facts by whose objects it is led, each with the subjects that lead elsewhere
    now (None: any)."""

    connection: Connection
    schemas: Schemas
    fact: FactContract
    since: dict[str, LayerState]
    changes: Changes
    leading: Mapping[str, Ints | None] = field(default_factory=dict)

    def subjects(self, now: dict[str, LayerState]) -> Ints | None:
        """Ids of the subjects to look at again, None for all: never derived, a load undone."""
        layers = inputs(self.schemas, self.fact)
        if not self.since or any(name not in self.since for name in layers):
            return None
        still = LayerState(0, 0)
        if any(self.since[name].undone != now.get(name, still).undone for name in layers):
            return None
        moved = [name for name in layers if self.since[name].run != now.get(name, still).run]
        found = _NONE
        for name in moved:
            found = np.union1d(found, self._by(name))
        return found

    def _by(self, layer: str) -> Ints:
        """Subjects that changes of ``layer`` touch; what overlays leave, they tell themselves."""
        fact = self.fact
        if fact.of:
            return _NONE
        change = self.change(layer)
        found = _NONE
        if layer == fact.subject:
            found = change.ids
        if fact.mutual:
            # A border of two that stay as they are stays as well; the other side is told with it.
            return found
        if layer == fact.object:
            found = np.union1d(found, self._by_objects(change))
        if fact.strip and layer == fact.strip.toward:
            # On which side of its line a strip lies, any axis may decide.
            found = np.union1d(found, self._ids("every_subject", self._table(), {}))
            found = np.union1d(found, self._near(fact.subject, layer, change.now, self._reach()))
        if fact.ways and layer == fact.ways.layer:
            found = np.union1d(found, self._by_ways(layer, change))
        return np.union1d(found, self._by_others(layer))

    def change(self, layer: str) -> Change:
        """What loads have done to ``layer`` since."""
        return self.changes.since(layer, self.since[layer].run)

    def _by_objects(self, change: Change) -> Ints:
        fact = self.fact
        if fact.kind == "edge":
            # A corner that only touches a boundary has no edge of it, and yet cuts it.
            return self._near(fact.subject, fact.object, change.ids, self._reach(), former=True)
        found = self._ids("subjects_of", self._table(), {"ids": listed(change.ids)})
        if fact.level:
            return np.union1d(found, self._before(fact.level.street, change))
        if fact.kind != "match":
            return np.union1d(
                found, self._near(fact.subject, fact.object, change.now, self._reach())
            )
        for place, rung in enumerate(fact.rungs):
            found = np.union1d(found, self._by_rung(place, rung, self._seen_otherwise(rung)))
        return found

    def _seen_otherwise(self, rung: Rung) -> Ints:
        """The objects of which the rung, which asks them itself, says something else now."""
        if rung.via or rung.layer:
            return _NONE
        names = {pair.other for pair in rung.equal}
        if rung.within_m is not None:
            names.add(GEOMETRY)
        layer = self.fact.object
        return self.changes.otherwise(layer, self.since[layer].run, names)

    def _by_ways(self, layer: str, change: Change) -> Ints:
        """Subjects with an edge along a changed street, or that may now have one."""
        found = self._ids("subjects_along", self._table(), {"ids": listed(change.ids)})
        far = along(self.schemas, self.fact)
        return np.union1d(found, self._near(self.fact.subject, layer, change.now, far))

    def _by_rung(self, place: int, rung: Rung, ids: Ints) -> Ints:
        """Subjects that the rung leads to one of these objects, as they are or have been, unless a
        rung before it decides."""
        fact = self.fact
        if not len(ids):
            return _NONE
        if rung.equal:
            return self._speaking(place).of(rung.equal[0], fact.object, ids)
        reach = (rung.within_m or 0.0) / self.schemas.city.metres_per_unit
        return self._near(fact.subject, fact.object, ids, reach, former=True)

    def _by_others(self, layer: str) -> Ints:
        """Subjects that rungs may lead elsewhere which ask another layer or another fact."""
        found = _NONE
        for place, rung in enumerate(self.fact.rungs):
            if layer == rung.layer:
                return np.union1d(found, self._undecided(place))
            if rung.via:
                found = np.union1d(found, self._by_via(place, rung, layer))
        return found

    def _by_via(self, place: int, rung: Rung, layer: str) -> Ints:
        """Of those that are led by another fact: as its subjects say something else, or lead
        elsewhere, and as its objects say something else."""
        via = self.schemas.facts[str(rung.via)]
        between = _NONE
        if layer in inputs(self.schemas, via):
            led = self.leading.get(via.id, _NONE)
            if led is None:
                return self._undecided(place)
            between = led
        run = self.since[layer].run
        if layer == via.subject:
            names = {pair.other for pair in rung.equal}
            between = np.union1d(between, self.changes.otherwise(layer, run, names))
        if layer == self.fact.object and rung.also:
            changed = self.changes.otherwise(layer, run, {pair.other for pair in rung.also})
            parts = {"table": sql.Identifier(FACTS, via.id)}
            between = np.union1d(between, self._ids("subjects_of", parts, {"ids": listed(changed)}))
        if not len(between):
            return _NONE
        return self._speaking(place).of(rung.equal[0], via.subject, between)

    def _speaking(self, place: int) -> Speaking:
        """Looks for subjects by what they say; only for those that no rung before ``place`` has
        decided."""
        methods = [rung.method for rung in self.fact.rungs[:place]]
        return Speaking(self.connection, self.schemas, self.fact, methods, self.since)

    def _undecided(self, place: int) -> Ints:
        methods = [rung.method for rung in self.fact.rungs[:place]]
        return self._ids("undecided", self._table(), {"methods": methods})

    def _before(self, street: str, change: Change) -> Ints:
        """Subjects along the streets that changed points are or were on."""
        edges = self.schemas.fact(str(self.fact.edges))
        if edges.ways is None:
            return _NONE
        parts = {
            "table": sql.Identifier(FACTS, edges.id),
            "ways": sql.Identifier(DATA, edges.ways.layer),
            "layer": sql.Identifier(DATA, self.fact.object),
            "history": sql.Identifier(HISTORY, self.fact.object),
            "street": sql.Identifier(street),
        }
        return self._ids("before_points", parts, {"ids": listed(change.ids)})

    def _table(self) -> dict[str, sql.Identifier]:
        return {"table": sql.Identifier(FACTS, self.fact.id)}

    def _near(
        self, layer: str, other: str, ids: Ints, reach: float, *, former: bool = False
    ) -> Ints:
        """Rows of ``layer`` near these of ``other`` as they are, or as they have been as well."""
        if not self._drawn(layer) or not self._drawn(other):
            return _NONE
        parts = {
            "layer": sql.Identifier(DATA, layer),
            "other": sql.Identifier(DATA, other),
            "geom": sql.Identifier(GEOMETRY),
        }
        values = {"ids": listed(ids), "reach": reach}
        if former:
            parts["history"] = sql.Identifier(HISTORY, other)
            return self._ids("around_ids", parts, {**values, "run": self.since[other].run})
        # What lines stand for may reach farther from them, at a bend, than from their box.
        drawn = "near_ids" if self.fact.corridor or self.fact.strip else "within_ids"
        return self._ids(drawn, parts, values)

    def _drawn(self, layer: str) -> bool:
        found: LayerContract = self.schemas.layer(layer)
        return found.geometry is not None

    def _reach(self) -> float:
        """How far (units of the CRS) an object can reach beyond its box."""
        return reach(self.schemas, self.fact)

    def _ids(
        self, name: str, parts: dict[str, sql.Identifier], values: Mapping[str, object]
    ) -> Ints:
        return ids_of(self.connection, name, parts, values)


def reach(schemas: Schemas, fact: FactContract) -> float:
    """How far (units of the CRS) what an object stands for can reach beyond its box."""
    if fact.strip:
        return _widest(schemas, fact.object, fact.strip.depth) / schemas.city.metres_per_unit
    if fact.corridor is None:
        return fact.reach_m / schemas.city.metres_per_unit
    # A mitre of two edges at a right angle reaches 1.42 times as far as the edges.
    return _widest(schemas, fact.object, fact.corridor.width) / schemas.city.metres_per_unit


def along(schemas: Schemas, fact: FactContract) -> float:
    """How far (units of the CRS) from an axis edges can lie along its street."""
    if fact.ways is None:
        return 0.0
    half = _widest(schemas, fact.ways.layer, fact.ways.width) / 2
    return max(half + fact.ways.margin_m, fact.ways.unknown_m) / schemas.city.metres_per_unit


def _widest(schemas: Schemas, layer: str, width: str) -> float:
    widest = schemas.layer(layer).field(width).max
    if widest is None:
        raise ValueError(f"{width} needs a max, so that a road's reach is known")
    return widest
