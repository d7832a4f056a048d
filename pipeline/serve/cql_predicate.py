"""What is true or false in a CQL2 filter: AND, OR, NOT, comparisons, space and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import sql

from pipeline.derive.columns import GEOMETRY
from pipeline.serve import cql_array, cql_space, cql_time
from pipeline.serve.cql_term import Context, Term, common, settle, term
from pipeline.serve.errors import bad
from pipeline.serve.served import GEOMETRY_NAMES

_COMPARISONS: dict[str, str] = {
    "=": "({a} = {b})",
    "<>": "({a} <> {b})",
    "<": "({a} < {b})",
    "<=": "({a} <= {b})",
    ">": "({a} > {b})",
    ">=": "({a} >= {b})",
}


def predicate(context: Context, node: Any) -> sql.Composable:
    """``node`` as a condition; 400 names what is wrong or not supported."""
    if isinstance(node, bool):
        return sql.SQL("true" if node else "false")
    if not isinstance(node, dict):
        raise bad("filter: it must be a condition, such as a comparison")
    arguments = node.get("args")
    if "op" not in node or not isinstance(arguments, list):
        return _flag(context, node)
    return _operator(context, node, arguments)


def _operator(context: Context, node: dict[str, Any], arguments: list[Any]) -> sql.Composable:
    name = str(node["op"])
    if name in _OPERATORS:
        return _OPERATORS[name](context, arguments)
    if name in _COMPARISONS:
        return _compare(context, name, arguments)
    if name in cql_space.FUNCTIONS:
        return cql_space.predicate(context, name, arguments)
    if name in cql_array.RELATIONS:
        return cql_array.predicate(context, name, arguments)
    if name in cql_time.RELATIONS:
        return cql_time.predicate(context, name, arguments)
    return _flag(context, node)


def _flag(context: Context, node: dict[str, Any]) -> sql.Composable:
    """A property that is true or false by itself."""
    found = term(context, node)
    if found.kind != "boolean" or found.sql is None:
        raise bad("filter: it must be a condition, such as a comparison")
    return found.sql


def _exactly(arguments: list[Any], count: int, name: str) -> list[Any]:
    if len(arguments) != count:
        raise bad(f"filter: {name} takes {count} arguments, not {len(arguments)}")
    return arguments


def _joined(word: str) -> Callable[[Context, list[Any]], sql.Composable]:
    def build(context: Context, arguments: list[Any]) -> sql.Composable:
        if not arguments:
            raise bad(f"filter:{word}needs conditions")
        parts = [predicate(context, argument) for argument in arguments]
        return sql.SQL("({})").format(sql.SQL(word).join(parts))

    return build


def _not(context: Context, arguments: list[Any]) -> sql.Composable:
    (inner,) = _exactly(arguments, 1, "NOT")
    return sql.SQL("(NOT {})").format(predicate(context, inner))


def _compare(context: Context, name: str, arguments: list[Any]) -> sql.Composable:
    found = [term(context, node) for node in _exactly(arguments, 2, name)]
    a, b = _settled(context, found)
    return sql.SQL(_COMPARISONS[name]).format(a=a, b=b)


def _settled(context: Context, found: list[Term]) -> list[sql.Composable]:
    kind = common(found)
    return [settle(context, one, kind) for one in found]


def _between(context: Context, arguments: list[Any]) -> sql.Composable:
    found = [term(context, node) for node in _exactly(arguments, 3, "BETWEEN")]
    a, low, high = _settled(context, found)
    return sql.SQL("({} BETWEEN {} AND {})").format(a, low, high)


def _in(context: Context, arguments: list[Any]) -> sql.Composable:
    needle, heap = _exactly(arguments, 2, "IN")
    if not isinstance(heap, list) or not heap:
        raise bad("filter: IN takes a list of values")
    first, *rest = _settled(context, [term(context, node) for node in (needle, *heap)])
    return sql.SQL("({} IN ({}))").format(first, sql.SQL(", ").join(rest))


def _like(context: Context, arguments: list[Any]) -> sql.Composable:
    found = [term(context, node) for node in _exactly(arguments, 2, "LIKE")]
    raw = found[1].raw
    if isinstance(raw, str) and (len(raw) - len(raw.rstrip("\\"))) % 2:
        raise bad("filter: a pattern ends with the escape character and nothing to escape")
    text, pattern = (settle(context, one, "text") for one in found)
    return sql.SQL("({} LIKE {})").format(text, pattern)


def _is_null(context: Context, arguments: list[Any]) -> sql.Composable:
    (inner,) = _exactly(arguments, 1, "IS NULL")
    if isinstance(inner, dict) and inner.get("property") in GEOMETRY_NAMES:
        cql_space.needs_geometry(context)
        return sql.SQL("(v.{} IS NULL)").format(sql.Identifier(GEOMETRY))
    found = term(context, inner)
    return sql.SQL("({} IS NULL)").format(settle(context, found, found.kind))


_OPERATORS: dict[str, Callable[[Context, list[Any]], sql.Composable]] = {
    "and": _joined(" AND "),
    "or": _joined(" OR "),
    "not": _not,
    "between": _between,
    "in": _in,
    "like": _like,
    "isNull": _is_null,
}
