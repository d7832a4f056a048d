"""A JSON Schema (2020-12) as OpenAPI 3.0 writes it, in the words that process descriptions know.

OGC API - Processes describes inputs and outputs by the Schema Object of OpenAPI 3.0: one type and
``nullable`` instead of several types, no ``const``, no ``examples``, limits that are shut out by a
truth beside them. A keyword that it has no word for is an error here, not left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_KEPT = {
    "title", "description", "format", "default", "required", "pattern", "multipleOf", "maximum",
    "minimum", "maxLength", "minLength", "maxItems", "minItems", "uniqueItems", "maxProperties",
    "minProperties", "contentMediaType", "contentEncoding",
}  # fmt: skip
_NULL = "null"


def written(schema: Any) -> Any:
    """``schema`` (a JSON Schema or a truth) as OpenAPI 3.0 has it."""
    if isinstance(schema, bool):
        return schema
    made: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _KEPT:
            made[name] = value
        elif name in _OTHERWISE:
            made |= _OTHERWISE[name](value)
        else:
            raise ValueError(f"OpenAPI 3.0 has no word for {name!r} in a schema")
    return made


def _types(types: str | list[str]) -> dict[str, Any]:
    """One type, or one of several; with null it may be left empty."""
    named = [types] if isinstance(types, str) else types
    nullable = {"nullable": True} if _NULL in named else {}
    kinds = [one for one in named if one != _NULL and not (one == "integer" and "number" in named)]
    if len(kinds) < 2:
        return {**({"type": kinds[0]} if kinds else {}), **nullable}
    first, *rest = kinds  # null is one of the kinds: were it several, oneOf would not hold
    return {"oneOf": [{"type": first, **nullable}, *({"type": one} for one in rest)]}


def _enumeration(values: list[Any]) -> dict[str, Any]:
    """The values that are; null is said beside them, as everywhere."""
    kept = [value for value in values if value is not None]
    return ({"enum": kept} if kept else {}) | ({"nullable": True} if None in values else {})


def _inner(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: written(value)}


def _several(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: [written(one) for one in value]}


_OTHERWISE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "$schema": lambda _: {},
    "type": _types,
    "enum": _enumeration,
    "const": lambda value: _enumeration([value]),
    "examples": lambda values: {"example": values[0]} if values else {},
    "exclusiveMinimum": lambda value: {"minimum": value, "exclusiveMinimum": True},
    "exclusiveMaximum": lambda value: {"maximum": value, "exclusiveMaximum": True},
    "properties": lambda some: {"properties": {n: written(one) for n, one in some.items()}},
    **{name: _inner(name) for name in ("items", "additionalProperties", "not")},
    **{name: _several(name) for name in ("allOf", "anyOf", "oneOf")},
}
