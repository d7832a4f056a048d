"""JSON Schemas as process descriptions must write them: the Schema Object of OpenAPI 3.0."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contracts import registry
from pipeline.derive import processes, schema_30

#: What a schema in a process description may say (OGC 18-062r2, schema.yaml), and by what.
_WORDS: dict[str, type | tuple[type, ...]] = {
    "title": str, "multipleOf": (int, float), "maximum": (int, float), "minimum": (int, float),
    "exclusiveMaximum": bool, "exclusiveMinimum": bool, "maxLength": int, "minLength": int,
    "pattern": str, "maxItems": int, "minItems": int, "uniqueItems": bool, "maxProperties": int,
    "minProperties": int, "required": list, "enum": list, "type": str, "not": dict, "allOf": list,
    "anyOf": list, "oneOf": list, "items": dict, "properties": dict,
    "additionalProperties": (bool, dict), "description": str, "format": str, "default": object,
    "nullable": bool, "example": object, "contentMediaType": str, "contentEncoding": str,
}  # fmt: skip
_TYPES = ("array", "boolean", "integer", "number", "object", "string")


def check(schema: Any, where: str) -> None:
    """Fails at the first word that OpenAPI 3.0 does not have."""
    for name, value in schema.items():
        assert isinstance(value, _WORDS[name]), f"{where}: {name}"
    assert schema.get("type", "string") in _TYPES, where
    assert None not in schema.get("enum", []), where
    inner = [schema[name] for name in ("items", "not", "additionalProperties") if name in schema]
    inner += [one for name in ("allOf", "anyOf", "oneOf") for one in schema.get(name, [])]
    for part in [*inner, *schema.get("properties", {}).values()]:
        if not isinstance(part, bool):
            check(part, where)


@pytest.mark.parametrize("audience", ["public", "staff"])
@pytest.mark.parametrize("city", ["qom", "cambridge"])
def test_every_process_is_described_in_words_of_openapi_3_0(city: str, audience: str) -> None:
    schemas = registry.load(city)
    asked = schemas.audiences[audience]
    for process in schemas.processes.values():
        if not asked.may_ask(process):
            continue
        found = processes.offered(schemas.city, asked, process)
        told = processes.description(schemas, process, found, "en")
        for place in ("inputs", "outputs"):
            for name, part in told[place].items():
                check(part["schema"], f"{process.id} {name}")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$schema": "x", "type": "string"}, {"type": "string"}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["integer", "number"]}, {"type": "number"}),
        (
            {"type": ["string", "object", "null"]},
            {"oneOf": [{"type": "string", "nullable": True}, {"type": "object"}]},
        ),
        ({"enum": ["a", None]}, {"enum": ["a"], "nullable": True}),
        ({"const": 1}, {"enum": [1]}),
        ({"examples": [7, 8]}, {"example": 7}),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
        (
            {"items": {"type": ["number", "null"]}, "additionalProperties": False},
            {"items": {"type": "number", "nullable": True}, "additionalProperties": False},
        ),
        ({"properties": {"type": {"const": "a"}}}, {"properties": {"type": {"enum": ["a"]}}}),
        ({"oneOf": [{"type": "null"}, True]}, {"oneOf": [{"nullable": True}, True]}),
    ],
)
def test_what_is_said_otherwise(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert schema_30.written(schema) == expected


def test_what_cannot_be_said_is_not_left_out() -> None:
    with pytest.raises(ValueError, match="prefixItems"):
        schema_30.written({"type": "array", "prefixItems": [{"type": "string"}]})
