"""Derive: keeps the facts fresh, all of one command in one transaction and one snapshot."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pipeline import __version__
from pipeline.contracts.fact import FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.city import check_city
from pipeline.db.derivation import derivation
from pipeline.db.engine import Connection, Database
from pipeline.joins.beside import Beside
from pipeline.joins.changes import Changes, LayerState
from pipeline.joins.keep import Table
from pipeline.joins.side import Ints
from pipeline.joins.tell import tell
from pipeline.joins.touched import Touch, inputs
from pipeline.joins.work import Work

_MANY = 0.25
"""From this share of touched subjects on, all are looked at again: whole layers read faster."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Derived:
    """What became of one fact: ``touched`` subjects (None: all), ``rows`` written."""

    fact: str
    touched: int | None
    rows: int
    seconds: float


@dataclass(frozen=True)
class _Kept:
    """What is remembered of one fact: ``rows`` are those it has, or has more, if some subjects
    were ``touched``."""

    fact: str
    seconds: float
    touched: int | None
    rows: int


@dataclass(frozen=True)
class FactState:
    """How fresh one fact is: never, fresh or stale (layers have moved, or a derivation failed)."""

    fact: str
    state: str
    derived: str | None
    seconds: float | None
    rows: int | None
    touched: int | None
    trouble: str | None


def states(database: Database) -> list[FactState]:
    """Every fact, by name."""
    with database.connect("loader") as connection:
        rows = connection.execute(queries.load("facts")["states"]).fetchall()
    return [FactState(*row) for row in rows]  # type: ignore[arg-type]


def derive(
    database: Database,
    schemas: Schemas,
    *,
    layers: Iterable[str] | None = None,
    anew: bool = False,
    first: bool = True,
    progress: Progress | None = None,
    role: str = "loader",
) -> list[Derived]:
    """Works out the facts that ``layers`` touch (None: every fact), each only as far as loads since
    have touched it; ``anew``: all of it. Facts that are fresh are left alone; unless ``first``, so
    are those that were never worked out. ``role`` is the login that does it.

    Raises MakanError; then nothing has changed but that the facts are marked stale with the reason.
    """
    wanted = _wanted(schemas, layers)
    names = [fact.id for fact in wanted]
    with derivation(database, role, "facts", names, "makan derive") as connection:
        job = _Job(Beside(connection), schemas, anew, progress or (lambda _: None))
        found = job.run(wanted, first=first)
    if found:
        with database.connect(role) as connection:
            connection.execute(queries.load("facts")["sweep"])
    return found


def _wanted(schemas: Schemas, layers: Iterable[str] | None) -> list[FactContract]:
    """The facts that ``layers`` touch, and those that these build on, in order."""
    chosen = {
        fact.id
        for fact in schemas.fact_order
        if layers is None or set(layers) & set(inputs(schemas, fact))
    }
    for fact in reversed(schemas.fact_order):
        if fact.id in chosen:
            chosen |= set(fact.builds_on)
    return [fact for fact in schemas.fact_order if fact.id in chosen]


@dataclass
class _Job:
    beside: Beside
    schemas: Schemas
    anew: bool
    progress: Progress
    looked_at: list[tuple[FactContract, Ints | None]] = field(default_factory=list)
    touched: dict[str, Ints | None] = field(default_factory=dict)
    kept: list[_Kept] = field(default_factory=list)
    led: dict[str, Ints | None] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        """That of the derivation."""
        return self.beside.connection

    def run(self, wanted: list[FactContract], *, first: bool) -> list[Derived]:
        """Works out what is touched of ``wanted``; one line of the ledger tells of all."""
        named = queries.load("facts")
        check_city(self.connection, self.schemas)
        rows = self.connection.execute(named["never"]).fetchall()
        never = set() if first else {str(row[0]) for row in rows}
        work = Work(self.connection, self.schemas, self.beside)
        chosen = [fact for fact in wanted if fact.id not in never]
        found = [done for fact in chosen if (done := self._one(fact, work))]
        self._remember(chosen)
        if found:
            values = {
                "rows": sum(one.rows for one in found),
                "code": __version__,
                "facts": ", ".join(one.fact for one in found),
                "who": getpass.getuser(),
            }
            row = self.connection.execute(named["ledger"], values).fetchone()
            run = int(str(row[0])) if row else 0
            for fact, ids in self.looked_at:
                tell(self.beside, self.schemas, fact, run, ids)
            self._show()
        return found

    def _show(self) -> None:
        """From the commit on, readers find the facts that were made beside."""
        if not self.beside.show():
            for name in list(self.beside.made):
                Table(self.beside, self.schemas.facts[name]).mix()

    def _one(self, fact: FactContract, work: Work) -> Derived | None:
        begun = time.monotonic()
        ids = self.touched[fact.id] = self._touched(fact)
        touched = None if ids is None else len(ids)
        if touched == 0:
            self.led[fact.id] = np.zeros(0, dtype=np.int64)
            self.kept.append(_Kept(fact.id, time.monotonic() - begun, touched, 0))
            return None
        self.progress(fact.id)
        columns = work.columns(fact, ids)
        table = Table(self.beside, fact)
        done = table.replace(columns) if ids is None else table.change(ids, columns)
        self.led[fact.id] = done.led
        self.looked_at.append((fact, ids))
        seconds = time.monotonic() - begun
        self.kept.append(_Kept(fact.id, seconds, touched, done.rows))
        return Derived(fact.id, touched, len(columns[0]), seconds)

    @cached_property
    def now(self) -> dict[str, LayerState]:
        """How far every layer is in this snapshot."""
        rows = self.connection.execute(queries.load("facts")["layer_states"]).fetchall()
        return {str(name): LayerState(int(str(run)), int(str(gone))) for name, run, gone in rows}

    @cached_property
    def since(self) -> dict[str, dict[str, LayerState]]:
        """How far each fact knows its layers."""
        found: dict[str, dict[str, LayerState]] = {}
        rows = self.connection.execute(queries.load("facts")["inputs"]).fetchall()
        for fact, layer, run, undone in rows:
            state = LayerState(int(str(run)), int(str(undone)))
            found.setdefault(str(fact), {})[str(layer)] = state
        return found

    @cached_property
    def changes(self) -> Changes:
        """What loads have done to layers."""
        return Changes(self.connection)

    def _touched(self, fact: FactContract) -> Ints | None:
        if self.anew:
            return None
        since, leading = self.since.get(fact.id, {}), self._leading(fact)
        touch = Touch(self.connection, self.schemas, fact, since, self.changes, leading)
        ids = touch.subjects(self.now)
        if ids is not None and (fact.of or fact.edges):
            # Facts that it is made of are derived before it, from what has touched them.
            behind = self._behind(fact)
            own = ids if fact.level else np.zeros(0, dtype=np.int64)
            ids = None if behind is None else np.union1d(own, behind)
        if ids is None or not len(ids):
            return ids
        return None if len(ids) > _MANY * max(self.changes.estimate(fact.subject), 1) else ids

    def _leading(self, fact: FactContract) -> dict[str, Ints | None]:
        """The facts by whose objects it is led, each with the subjects that may be led elsewhere
        than when it was worked out; None (any) of those that were then not known as far, or are
        not in this derivation."""
        since = self.since.get(fact.id, {})
        return {
            via: None if any(
                self.since.get(via, {}).get(layer) != since.get(layer)
                for layer in inputs(self.schemas, self.schemas.facts[via])
            ) else self.led.get(via)
            for via in (rung.via for rung in fact.rungs) if via
        }  # fmt: skip

    def _behind(self, fact: FactContract) -> Ints | None:
        """The subjects of which facts that it builds on were worked out anew."""
        found = np.zeros(0, dtype=np.int64)
        for name in fact.builds_on:
            ids = self.touched.get(name, found)
            if ids is None:
                return None
            found = np.union1d(found, ids)
        return found

    def _remember(self, facts: list[FactContract]) -> None:
        named = queries.load("facts")
        known = [
            (fact.id, layer, self.now.get(layer, LayerState(0, 0)))
            for fact in facts
            for layer in inputs(self.schemas, fact)
        ]
        self.connection.execute(named["clear_inputs"], {"facts": [fact.id for fact in facts]})
        self.connection.execute(
            named["enter_inputs"],
            {
                "facts": [fact for fact, _, _ in known],
                "layers": [layer for _, layer, _ in known],
                "runs": [state.run for _, _, state in known],
                "undone": [state.undone for _, _, state in known],
            },
        )
        self.connection.execute(
            named["derived"],
            {
                "facts": [one.fact for one in self.kept],
                "seconds": [one.seconds for one in self.kept],
                "touched": [one.touched for one in self.kept],
                "rows": [one.rows for one in self.kept],
            },
        )
