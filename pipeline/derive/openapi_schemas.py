"""The schemas of the OpenAPI document."""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]


def _object(required: list[str], **properties: Part) -> Part:
    return {"type": "object", "required": required, "properties": properties}


def _list(name: str) -> Part:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def schemas() -> Part:
    """Everything that answers are made of, by name."""
    text, number, whole = {"type": "string"}, {"type": "number"}, {"type": "integer"}
    some = {"type": "object"}
    return {
        "anything": dict(some),
        "cql2": {"oneOf": [dict(some), {"type": "boolean"}]},
        "link": _object(["href", "rel"], href=text, rel=text, type=text, title=text),
        "landingPage": _object(["links"], title=text, description=text, links=_list("link")),
        "confClasses": _object(["conformsTo"], conformsTo={"type": "array", "items": text}),
        "collection": _object(
            ["id", "links"],
            id=text,
            title=text,
            description=text,
            extent=some,
            crs={"type": "array", "items": text},
            storageCrs=text,
            links=_list("link"),
        ),
        "collections": _object(
            ["links", "collections"], links=_list("link"), collections=_list("collection")
        ),
        "geometry": {
            **_object(["type"], type=text, coordinates={"type": "array", "items": {}}),
            "nullable": True,
        },
        "feature": _object(
            ["type", "geometry", "properties"],
            type={"type": "string", "enum": ["Feature"]},
            id=whole,
            geometry={"$ref": "#/components/schemas/geometry"},
            properties=some,
            links=_list("link"),
        ),
        "featureCollection": _object(
            ["type", "features"],
            type={"type": "string", "enum": ["FeatureCollection"]},
            numberMatched=whole,
            numberReturned=whole,
            features=_list("feature"),
            links=_list("link"),
        ),
        "problem": _object(
            ["title", "status", "code", "description"],
            type=text,
            title=text,
            status=number,
            detail=text,
            code=text,
            description=text,
        ),
    }
