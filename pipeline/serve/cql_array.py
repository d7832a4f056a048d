"""Array functions of CQL2: sets of values, of properties that hold several and of lists."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from pipeline.serve.clause import template
from pipeline.serve.cql_term import Context, column
from pipeline.serve.errors import bad

#: Neither how often a value stands nor in which order counts.
RELATIONS = {
    "a_contains": "({a} @> {b})",
    "a_containedBy": "({a} <@ {b})",
    "a_equals": "({a} @> {b} AND {a} <@ {b})",
    "a_overlaps": "({a} && {b})",
}


def predicate(context: Context, name: str, arguments: list[Any]) -> sql.Composable:
    """The relation ``name`` between two arrays, at least one of them a property."""
    if len(arguments) != 2:
        raise bad(f"filter: {name} takes 2 arguments, not {len(arguments)}")
    a, b = (_values(context, name, one) for one in arguments)
    return sql.SQL(RELATIONS[name]).format(a=a, b=b)


def _values(context: Context, name: str, node: Any) -> sql.Composable:
    if isinstance(node, list):
        if not all(isinstance(one, str) for one in node):
            raise bad(f"filter: {name} takes a list of texts")
        return context.binder.add(node, "text[]")
    if not isinstance(node, dict) or "property" not in node:
        raise bad(f"filter: {name} takes properties of several values, and lists")
    found, held = column(context, node["property"]), context.served.fields
    field = held.get(node["property"])
    if field is None or not field.several or found.sql is None:
        raise bad(f"filter: {node['property']} holds one value: {name} takes those of several")
    return template("values").format(text=found.sql)
