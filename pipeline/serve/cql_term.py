"""What stands on either side of a comparison in a CQL2 filter: properties, values, calculations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import sql
from psycopg.types.numeric import Float8, Int8

from pipeline.contracts.city import City
from pipeline.contracts.field import Field
from pipeline.serve import values
from pipeline.serve.clause import Binder
from pipeline.serve.crs import Crs
from pipeline.serve.errors import bad
from pipeline.serve.served import GEOMETRY_NAMES, Kind
from pipeline.serve.values import CASTS

#: Beyond this a double no longer tells neighbouring whole numbers apart (the parser gives doubles).
_EXACT = 2**53
_NUMERIC = ("integer", "number")
_TIMES = ("date", "datetime")
# A decomposed letter without these marks is its base letter, in Latin and in Arabic script.
_MARKS = "[\u0300-\u036f\u064b-\u0655\u0670]"


class Filtered(Protocol):
    """What a filter is for: the features of a collection, or the records of the catalogue."""

    def __hash__(self) -> int:
        """Filters that were read are kept."""

    @property
    def id(self) -> str:
        """What it is called."""

    @property
    def city(self) -> City:
        """Whose CRS geometries are stored in."""

    @property
    def has_geometry(self) -> bool:
        """Whether there is a place."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """What contracts say of the properties."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The properties and their types."""

    def kind(self, name: str, parameter: str) -> Kind:
        """The type of a property; 400 names the known ones."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a filter is for, the CRS of its geometries, and where its values go."""

    served: Filtered
    crs: Crs
    binder: Binder


@dataclass(frozen=True, slots=True)
class Term:
    """A typed piece of SQL, or (``sql`` None) a plain value whose type the other side decides."""

    kind: Kind
    sql: sql.Composable | None = None
    raw: Any = None


def term(context: Context, node: Any) -> Term:
    """``node`` as a term; 400 for what is none."""
    if isinstance(node, bool):
        return Term("boolean", raw=node)
    if isinstance(node, int | float):
        if not math.isfinite(node):
            raise bad("filter: a number is too large")
        return Term("number", raw=float(node))
    if isinstance(node, str):
        return Term("text", raw=node)
    if node is None:
        raise bad("filter: nothing equals NULL; ask IS NULL")
    if isinstance(node, dict):
        return _object(context, node)
    raise bad("filter: a list stands where a value must")


def _object(context: Context, node: dict[str, Any]) -> Term:
    if "property" in node:
        return column(context, node["property"])
    for kind in ("date", "timestamp"):
        if kind in node:
            return _time(context, kind, node[kind])
    if "op" in node:
        return _call(context, str(node["op"]), node.get("args"))
    if node.keys() & {"type", "coordinates", "bbox"}:
        raise bad("filter: a geometry can only stand in a spatial function such as S_INTERSECTS")
    if "interval" in node:
        raise bad("filter: an interval can only stand in a temporal function such as T_DURING")
    raise bad(f"filter: {next(iter(node), 'an empty object')} is not known")


def column(context: Context, name: Any) -> Term:
    """A property of the collection; 400 names the known ones."""
    if name in GEOMETRY_NAMES and name not in context.served.kinds:
        raise bad("filter: the geometry can only stand in a spatial function or before IS NULL")
    kind = context.served.kind(str(name), "filter")
    return Term(kind, sql.SQL("v.") + sql.Identifier(name))


def _time(context: Context, kind: str, text: Any) -> Term:
    if kind == "date":
        return Term("date", context.binder.add(values.read("date", str(text), "DATE"), "date"))
    found = values.read("datetime", str(text), "TIMESTAMP")
    return Term("datetime", context.binder.add(found, "timestamptz"))


def settle(context: Context, found: Term, kind: Kind) -> sql.Composable:
    """``found`` as SQL of ``kind``; 400 when a value cannot be of that kind."""
    if found.sql is not None:
        if found.kind == kind or {found.kind, kind} <= {*_NUMERIC}:
            return found.sql
        if {found.kind, kind} == {*_TIMES}:
            return _as_time(found.sql, found.kind)
        raise bad(f"filter: {_KINDS[found.kind]} cannot be compared with {_KINDS[kind]}")
    value, cast_to = _value(found.raw, kind)
    return context.binder.add(value, cast_to)


def _as_time(found: sql.Composable, kind: Kind) -> sql.Composable:
    """A date as its midnight in UTC, whatever the session's time zone."""
    if kind == "datetime":
        return found
    return sql.SQL("({}::timestamp AT TIME ZONE 'UTC')").format(found)


_KINDS: dict[Kind, str] = {
    "text": "a text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "datetime": "a time",
}


def _value(raw: Any, kind: Kind) -> tuple[object, str]:
    if kind in _NUMERIC and isinstance(raw, float):
        if kind == "number" or not raw.is_integer():
            return Float8(raw), CASTS["number"]
        if abs(raw) >= _EXACT:
            raise bad(f"filter: the number {raw:.0f} is too large to be compared exactly")
        return Int8(int(raw)), CASTS["integer"]
    if kind == "boolean" and isinstance(raw, bool):
        return raw, CASTS[kind]
    if isinstance(raw, str) and kind not in (*_NUMERIC, "boolean"):
        return values.read(kind, raw, "filter: the property"), CASTS[kind]
    raise bad(f"filter: {raw!r} is not {_KINDS[kind]}, which the other side is")


def common(found: list[Term]) -> Kind:
    """The kind to compare all of ``found`` in: that of the columns, else that of the values."""
    typed = [one.kind for one in found if one.sql is not None]
    kinds = set(typed or [one.kind for one in found])
    if kinds <= {*_NUMERIC}:
        return "integer" if kinds == {"integer"} else "number"
    if kinds <= {*_TIMES}:
        return "date" if kinds == {"date"} else "datetime"
    return next(iter(kinds)) if len(kinds) == 1 else typed[0]


def _call(context: Context, name: str, args: Any) -> Term:
    arguments = args if isinstance(args, list) else []
    if name in _ARITHMETIC:
        return _calculate(context, name, arguments)
    if name in _TEXT_FUNCTIONS:
        if len(arguments) != 1:
            raise bad(f"filter: {name.upper()} takes one text")
        inner = settle(context, term(context, arguments[0]), "text")
        return Term("text", _TEXT_FUNCTIONS[name](context, inner))
    raise bad(f"filter: the function or operator {name} is not supported here")


_ARITHMETIC: dict[str, str] = {
    "+": "({a} + {b})",
    "-": "({a} - {b})",
    "*": "({a} * {b})",
    # Division by zero is NULL, so that one odd row does not spoil the whole answer.
    "/": "({a} / nullif({b}, 0))",
    "%": "mod({a}::numeric, nullif({b}, 0)::numeric)::float8",
    "div": "trunc({a} / nullif({b}, 0))",
    "^": "power({a}, {b})",
}


def _calculate(context: Context, operator: str, arguments: list[Any]) -> Term:
    if len(arguments) != 2:
        raise bad(f"filter: {operator} takes two numbers")
    a, b = (
        settle(context, term(context, argument), "number") + sql.SQL("::float8")
        for argument in arguments
    )
    return Term("number", sql.SQL(_ARITHMETIC[operator]).format(a=a, b=b))


def _folded(_: Context, inner: sql.Composable) -> sql.Composable:
    """Unicode's case folding, which lower case alone is not: Straße is STRASSE, ς is Σ."""
    return sql.SQL("replace(translate(lower({}), 'ςſµ', 'σsμ'), 'ß', 'ss')").format(inner)


def _unaccented(context: Context, inner: sql.Composable) -> sql.Composable:
    marks = context.binder.add(_MARKS, "text")
    return sql.SQL("regexp_replace(normalize({}, NFD), {}, '', 'g')").format(inner, marks)


_TEXT_FUNCTIONS: dict[str, Callable[[Context, sql.Composable], sql.Composable]] = {
    "casei": _folded,
    "accenti": _unaccented,
}
