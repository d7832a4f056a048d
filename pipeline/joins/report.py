"""Report: how a match went, both ways: method by count, what is left over, what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from pipeline.contracts.fact import Compare, FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.derive.facts import FACTS
from pipeline.joins import composed
from pipeline.joins.beside import Beside

RATIOS = ("< 0.5", "0.5-0.9", "0.9-0.98", "0.98-1.02", "1.02-1.1", "1.1-2", ">= 2")


@dataclass(frozen=True)
class Method:
    """One rung, or what is left over: subjects decided by it, and how many objects they share."""

    method: str
    quality: str
    subjects: int
    objects: int


@dataclass(frozen=True)
class Numbers:
    """Numbers of objects, of which so many ``aside`` in quarantine, against those that subjects
    say. ``aside_without`` are of ``without_subject``; ``waiting``: said, their object is aside."""

    objects: int
    aside: int
    subjects: int
    without_subject: int
    aside_without: int
    without_object: int
    several_subjects: int
    waiting: int


@dataclass(frozen=True)
class Without:
    """Objects that nothing leads to: how many, and the keys of the first."""

    count: int
    samples: list[str]


@dataclass(frozen=True)
class Compared:
    """One measure of both sides: pairs by the ratio of what is said to what is measured."""

    id: str
    compared: int
    differing: int
    ratios: dict[str, int]


@dataclass(frozen=True)
class MatchReport:
    """All about one match. ``distances``: metres up to which, and how many subjects. ``laid``:
    objects without a subject on which another layer's rows lie, by that layer."""

    fact: str
    subjects: int
    methods: list[Method]
    numbers: Numbers | None
    objects_without: int
    objects_without_samples: list[str]
    laid: dict[str, Without]
    left_over: list[dict[str, Any]]
    distances: dict[str, int]
    compared: list[Compared]

    def count(self, method: str) -> int:
        """How many subjects ``method`` has decided."""
        return sum(one.subjects for one in self.methods if one.method == method)


def report(
    database: Database, schemas: Schemas, fact: FactContract, *, samples: int = 20
) -> MatchReport:
    """How the match ``fact`` stands in the database."""
    with database.connect("loader") as connection:
        asked = _Asked(connection, schemas, fact, samples)
        methods = asked.methods()
        without = asked.objects_without()
        return MatchReport(
            fact=fact.id,
            subjects=sum(one.subjects for one in methods),
            methods=methods,
            numbers=asked.numbers(),
            objects_without=without.count,
            objects_without_samples=without.samples,
            laid=asked.objects_laid(),
            left_over=asked.left_over(),
            distances=asked.distances(),
            compared=[asked.compared(one) for one in fact.compare],
        )


@dataclass(frozen=True)
class _Asked:
    connection: Connection
    schemas: Schemas
    fact: FactContract
    samples: int

    def methods(self) -> list[Method]:
        """Rungs in their order, then what is left over."""
        found = {str(row[0]): Method(*row) for row in self._rows("methods")}
        order = [rung.method for rung in self.fact.rungs]
        rest = sorted(found.keys() - set(order))
        return [found[name] for name in (*order, *rest) if name in found]

    def numbers(self) -> Numbers | None:
        """Where subjects name their object by its key; None where they do not."""
        key = self.schemas.layer(self.fact.object).key
        for rung in self.fact.rungs:
            if rung.equal and (rung.equal[0].other,) == key and not rung.via and not rung.layer:
                more = {
                    "left": sql.Identifier(rung.equal[0].subject),
                    "right": sql.Identifier(rung.equal[0].other),
                }
                return Numbers(*self._rows("numbers", more)[0])
        return None

    def objects_without(self) -> Without:
        """Objects that nothing leads to."""
        return self._without("objects_without", {})

    def objects_laid(self) -> dict[str, Without]:
        """Those of them on which an overlay lays rows of another layer, such as buildings."""
        return {
            one.subject: self._without("objects_laid", {"laid": sql.Identifier(FACTS, one.id)})
            for one in self.schemas.facts.values()
            if one.kind == "overlay"
            and one.object == self.fact.object
            and one.subject not in (self.fact.subject, one.object)
        }

    def _without(self, name: str, more: Mapping[str, sql.Composable]) -> Without:
        key = composed.key_of(self.schemas.layer(self.fact.object), "o")
        count, keys = self._rows(name, {"key": key, **more})[0]
        return Without(count, keys or [])

    def left_over(self) -> list[dict[str, Any]]:
        """The first subjects that are ambiguous or unmatched."""
        names = ("key", "method", "candidates", "said")
        return [dict(zip(names, row, strict=True)) for row in self._rows("left_over")]

    def distances(self) -> dict[str, int]:
        """Subjects by how far they lie from their object."""
        return {f"{up_to:g}": count for up_to, count in self._rows("distances")}

    def compared(self, compare: Compare) -> Compared:
        """One measure."""
        values = {"least": compare.least, "tolerance": compare.tolerance, "ids": None}
        parts = composed.comparison(self.schemas, self.fact, compare, Beside(self.connection))
        rows = self._rows("compared", parts, values)
        return Compared(
            compare.id,
            sum(count for _, count, _ in rows),
            sum(differing for _, _, differing in rows),
            {RATIOS[place]: count for place, count, _ in rows},
        )

    def _rows(
        self,
        name: str,
        more: Mapping[str, sql.Composable] | None = None,
        values: Mapping[str, float | None] | None = None,
    ) -> list[Any]:
        parts = {**composed.parts(self.schemas, self.fact, Beside(self.connection)), **(more or {})}
        query = sql.SQL(queries.load("facts")[name]).format(**parts)
        asked = {"layer": self.fact.object, "samples": self.samples, **(values or {})}
        return self.connection.execute(query, asked).fetchall()
