"""Temporal functions of CQL2: the relations of Allen over instants and intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg import sql

from pipeline.serve.cql_term import Context, Term, settle, term
from pipeline.serve.errors import bad
from pipeline.serve.served import Kind
from pipeline.serve.values import read

#: a1, a2: begin and end of the first argument; b1, b2: of the second.
RELATIONS: dict[str, str] = {
    "t_after": "({a1} > {b2})",
    "t_before": "({a2} < {b1})",
    "t_contains": "({a1} < {b1} AND {a2} > {b2})",
    "t_disjoint": "({a2} < {b1} OR {a1} > {b2})",
    "t_during": "({a1} > {b1} AND {a2} < {b2})",
    "t_equals": "({a1} = {b1} AND {a2} = {b2})",
    "t_finishedBy": "({a1} < {b1} AND {a2} = {b2})",
    "t_finishes": "({a1} > {b1} AND {a2} = {b2})",
    "t_intersects": "({a1} <= {b2} AND {a2} >= {b1})",
    "t_meets": "({a2} = {b1})",
    "t_metBy": "({a1} = {b2})",
    "t_overlappedBy": "({a1} > {b1} AND {a1} < {b2} AND {a2} > {b2})",
    "t_overlaps": "({a1} < {b1} AND {a2} > {b1} AND {a2} < {b2})",
    "t_startedBy": "({a1} = {b1} AND {a2} > {b2})",
    "t_starts": "({a1} = {b1} AND {a2} < {b2})",
}
_OPEN = ".."


class _Span(NamedTuple):
    """Begin and end; None is open."""

    begin: Term | None
    end: Term | None


def predicate(context: Context, name: str, arguments: list[Any]) -> sql.Composable:
    """The temporal relation ``name``."""
    if len(arguments) != 2:
        raise bad(f"filter: {name.upper()} takes two times or intervals")
    spans = [_span(context, node) for node in arguments]
    ends = [end for span in spans for end in span if end is not None]
    kind: Kind = "date" if all(end.kind == "date" for end in ends) else "datetime"
    names = ("a1", "a2", "b1", "b2")
    bounds = [bound for span in spans for bound in _bounds(context, span, kind)]
    return sql.SQL(RELATIONS[name]).format(**dict(zip(names, bounds, strict=True)))


def _span(context: Context, node: Any) -> _Span:
    if isinstance(node, dict) and "interval" in node:
        ends = node["interval"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise bad("filter: INTERVAL takes two times")
        return _Span(*(_instant(context, end) for end in ends))
    found = _instant(context, node)
    return _Span(found, found)


def _instant(context: Context, node: Any) -> Term | None:
    if node == _OPEN:
        return None
    if isinstance(node, str):
        kind: Kind = "date" if len(node) == len("2024-03-20") else "datetime"
        cast = "date" if kind == "date" else "timestamptz"
        return Term(kind, context.binder.add(read(kind, node, "filter: a time"), cast))
    found = term(context, node)
    if found.kind not in ("date", "datetime"):
        raise bad("filter: a temporal function takes dates, times or intervals of them")
    return found


def _bounds(context: Context, span: _Span, kind: Kind) -> tuple[sql.Composable, sql.Composable]:
    cast = sql.SQL("::date" if kind == "date" else "::timestamptz")

    def bound(end: Term | None, infinity: str) -> sql.Composable:
        return sql.SQL(infinity) + cast if end is None else settle(context, end, kind)

    return bound(span.begin, "'-infinity'"), bound(span.end, "'infinity'")
