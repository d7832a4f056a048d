"""JSON Schema of a layer's features: titles in the reader's language, units, codes with labels."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.contracts.field import Field, FieldType
from pipeline.contracts.layer import Geometry, LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import views
from pipeline.derive.columns import ID

DIALECT = "https://json-schema.org/draft/2019-09/schema"
_TYPES: dict[FieldType, dict[str, str]] = {
    "text": {"type": "string"},
    "parcel_code": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}
_ID_TITLE = {"en": "Feature id", "fa": "شناسه عارضه"}
_GEOMETRY_TITLE = {"en": "Geometry", "fa": "هندسه"}


def _limits(schemas: Schemas, field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {
        "minimum": field.min,
        "maximum": field.max,
        "maxLength": None if field.several else field.max_length,
        "pattern": schemas.pattern(field),
        "x-ogc-unit": field.unit,
    }
    return {key: value for key, value in found.items() if value is not None}


def field_schema(schemas: Schemas, field: Field, language: str) -> dict[str, Any]:
    """The schema of one property."""
    kind: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    made: dict[str, Any] = {
        "title": field.title.of(language),
        **(kind if field.several else _TYPES[field.type]),
    }
    if field.description:
        made["description"] = field.description.of(language)
    made |= _limits(schemas, field)
    codes = schemas.codes(field)
    if codes:
        made["enum"] = list(codes.codes)
        made["oneOf"] = [
            {"const": code, "title": text.of(language)} for code, text in codes.entries.items()
        ]
    return made


def _geometry(geometry: Geometry, language: str) -> dict[str, Any]:
    return {
        "title": _GEOMETRY_TITLE.get(language, _GEOMETRY_TITLE["en"]),
        "format": f"geometry-{geometry.type.lower()}",
        "x-ogc-role": "primary-geometry",
    }


def _properties(
    schemas: Schemas, layer: LayerContract, audience: Audience, language: str
) -> dict[str, Any]:
    title = _ID_TITLE.get(language, _ID_TITLE["en"])
    found: dict[str, Any] = {
        ID: {"title": title, "type": "integer", "readOnly": True, "x-ogc-role": "id"}
    }
    if layer.geometry:
        found["geometry"] = _geometry(layer.geometry, language)
    time = schemas.city.published(layer.publish.time) if layer.publish.time else None
    for name, field in views.published_fields(schemas, layer, audience).items():
        found[name] = field_schema(schemas, field, language)
        if name == time:
            found[name]["x-ogc-role"] = "primary-instant"
    for place, made in enumerate(found.values(), start=1):
        made["x-ogc-propertySeq"] = place
    return found


def schema(
    schemas: Schemas, layer: LayerContract, audience: Audience, language: str, url: str
) -> dict[str, Any]:
    """What a feature holds (OGC API Features Part 5)."""
    shown = views.published_fields(schemas, layer, audience)
    required = [name for name, field in shown.items() if field.required]
    return {
        "$schema": DIALECT,
        "$id": url,
        "type": "object",
        "title": layer.title.of(language),
        "description": layer.description.of(language),
        "properties": _properties(schemas, layer, audience, language),
        "required": required,
    }


def queryables(
    schemas: Schemas, layer: LayerContract, audience: Audience, language: str, url: str
) -> dict[str, Any]:
    """What can be asked for in a filter (OGC API Features Part 3): only what is seen anyway."""
    properties = _properties(schemas, layer, audience, language)
    for name, field in views.published_fields(schemas, layer, audience).items():
        if field.several:  # what is compared is the text
            properties[name] = {**properties[name], "type": "string"}
            del properties[name]["items"]
    if layer.geometry:
        # QGIS knows a geometry by this reference and not by its format.
        reference = f"https://geojson.org/schema/{layer.geometry.type}.json"
        properties["geometry"]["$ref"] = reference
    return {
        "$schema": DIALECT,
        "$id": url,
        "type": "object",
        "title": layer.title.of(language),
        "properties": properties,
        "additionalProperties": False,
    }
