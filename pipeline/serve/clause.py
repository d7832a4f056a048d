"""Pieces of SQL with the values they bind. No value of a client ever becomes SQL text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from psycopg import sql

from pipeline.db import queries


@cache
def template(name: str) -> sql.SQL:
    """The query or piece of one called ``name`` in schemas/sql/serve.sql, without its comments."""
    lines = queries.load("serve")[name].splitlines()
    return sql.SQL("\n".join(line for line in lines if not line.startswith("--")))


def ready(text: str) -> sql.SQL:
    """SQL that was composed and rendered before, to be put into more."""
    return sql.SQL(text)


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition, rendered, and the values of its placeholders; ``varied``: how many rows it
    leaves hangs on the values, so that no plan is good for all of them."""

    text: str
    values: Mapping[str, Any]
    varied: bool = False


@dataclass(slots=True)
class Binder:
    """Hands out placeholders; ``prefix`` keeps those of several clauses of a query apart."""

    prefix: str
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, value: object, kind: str) -> sql.Composed:
        """A placeholder for ``value``, cast so that PostgreSQL never guesses its type."""
        name = f"{self.prefix}{len(self.values)}"
        self.values[name] = value
        return sql.Placeholder(name) + sql.SQL("::") + sql.SQL(kind)

    def clause(self, condition: sql.Composable, *, varied: bool = False) -> Clause:
        """``condition`` with all values handed out so far."""
        return Clause(condition.as_string(None), self.values, varied)


NEVER, ALWAYS = Clause("false", {}), Clause("true", {})


def conjunction(clauses: Iterable[Clause]) -> Clause:
    """All of ``clauses`` at once; true if there are none."""
    values: dict[str, Any] = {}
    texts, varied = [], False
    for clause in clauses:
        texts.append(clause.text)
        values |= clause.values
        varied |= clause.varied
    return Clause(" AND ".join(texts) or "true", values, varied)
