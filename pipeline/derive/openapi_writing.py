"""Parts of the OpenAPI document about writing: operations, headers, and what each body must be."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract, Operation
from pipeline.contracts.registry import Schemas
from pipeline.derive import jsonschema, views
from pipeline.derive.openapi_parts import Part, json_of, ref

GEOJSON, MERGE_PATCH = "application/geo+json", "application/merge-patch+json"
#: The HTTP method of each operation.
METHODS: dict[Operation, str] = {
    "create": "post", "replace": "put", "update": "patch", "delete": "delete",
}  # fmt: skip
_SAID = {
    "create": "a new feature",
    "replace": "a feature as a whole",
    "update": "some members of a feature (RFC 7396)",
    "delete": "a feature goes",
}
_REFUSALS = {
    "403": "The key does not write this layer",
    "409": "Another feature has the key",
    "412": "The feature has been changed since",
    "413": "The body is too long",
    "415": "Not a media type that is taken here",
    "422": "The feature is not as its contract or its neighbours ask; the findings tell why",
    "428": "If-Match is missing",
    "429": "Too many edits",
}
# What a field's schema may say in OpenAPI 3.0.
_KEPT = ("type", "format", "title", "description", "enum", "minimum", "maximum", "maxLength")


def operations(layer: LayerContract, audience: Audience, title: str, *, one: bool) -> Part:
    """The operations by which ``audience`` writes items of ``layer``, or ``one`` of them."""
    name = layer.publish.collection
    found: Part = {}
    for operation in audience.may(layer):
        if one == (operation != "create"):
            found[METHODS[operation]] = _operation(name, title, operation)
    return found


def _operation(name: str, title: str, operation: Operation) -> Part:
    asked = [] if operation == "create" else [ref("featureId"), ref("If-Match")]
    made: Part = {
        "tags": [name],
        "operationId": f"{name}.{operation}",
        "summary": f"{title}: {_SAID[operation]}",
        "parameters": [*asked, ref("lang")],
        "responses": _responses(operation),
    }
    if operation != "delete":
        made["parameters"] += [ref("Content-Crs"), ref("Prefer")]
        kinds = {"update": (MERGE_PATCH, f"{name}.patch")}
        kind, schema = kinds.get(operation, (GEOJSON, f"{name}.feature"))
        made["requestBody"] = {"required": True, "content": json_of(schema, kind)}
    return made


def _responses(operation: Operation) -> Part:
    etag = {"ETag": {"description": "The version, for If-Match", "schema": {"type": "string"}}}
    shown = {"content": json_of("feature", GEOJSON), "headers": dict(etag)}
    found: Part = {}
    if operation == "create":
        place = {"description": "Where the feature is", "schema": {"type": "string"}}
        headers = {**etag, "Location": place}
        found["201"] = {"description": "Made", **shown, "headers": headers}
    else:
        found["204"] = {"description": "Done", "headers": etag if operation != "delete" else {}}
        if operation != "delete":
            found["200"] = {"description": "Done; the feature as it is now", **shown}
    found |= {code: {"$ref": f"#/components/responses/{code}"} for code in ("400", "404", "503")}
    codes = set(_REFUSALS) - ({"412", "428"} if operation == "create" else set())
    codes -= {"409", "413", "415"} if operation == "delete" else set()
    found |= {code: {"$ref": f"#/components/responses/{code}"} for code in sorted(codes)}
    return found


def components(schemas: Schemas, audience: Audience, language: str, crs: list[str]) -> Part:
    """What the operations refer to; empty where ``audience`` writes nothing."""
    layers = [layer for layer in schemas.layers.values() if audience.may(layer)]
    if not layers:
        return {"parameters": {}, "schemas": {}, "responses": {}}
    made: Part = {}
    for layer in layers:
        name = layer.publish.collection
        made[f"{name}.feature"] = _feature(schemas, layer, audience, language, whole=True)
        made[f"{name}.patch"] = _feature(schemas, layer, audience, language, whole=False)
    made["refusal"] = _refusal()
    return {
        "parameters": _parameters(crs),
        "schemas": made,
        "responses": {
            code: {"description": said, "content": json_of("refusal", "application/problem+json")}
            for code, said in _REFUSALS.items()
        },
    }


def _parameters(crs: list[str]) -> Part:
    headers: dict[str, tuple[str, bool, Part]] = {
        "If-Match": ("The ETag of the version that was seen; * for any", True, {"type": "string"}),
        "Content-Crs": (
            "The CRS of the body's coordinates, in angle brackets",
            False,
            {"type": "string", "enum": [f"<{uri}>" for uri in crs], "default": f"<{crs[0]}>"},
        ),
        "Prefer": (
            "Whether the feature is sent back",
            False,
            {"type": "string", "enum": ["return=representation", "return=minimal"]},
        ),
    }
    return {
        name: {"name": name, "in": "header", "description": said, "required": must, "schema": kind}
        for name, (said, must, kind) in headers.items()
    }


def _feature(
    schemas: Schemas, layer: LayerContract, audience: Audience, language: str, *, whole: bool
) -> Part:
    shown = views.published_fields(schemas, layer, audience)
    properties = {name: _property(schemas, field, language) for name, field in shown.items()}
    for one in layer.personal:
        told = {"title": one.title.of(language), "description": "Kept apart; never shown again"}
        properties[one.name] = {"type": "string", "nullable": True, "writeOnly": True, **told}
    needed = [name for name, field in shown.items() if _is_needed(field)]
    fields: Part = {"type": "object", "properties": properties, "additionalProperties": False}
    members: Part = {"type": {"type": "string", "enum": ["Feature"]}, "properties": fields}
    if layer.geometry:
        members["geometry"] = _geometry(layer)
    if not whole:
        return {"type": "object", "properties": members}
    if needed:
        fields["required"] = needed
    return {"type": "object", "required": list(members), "properties": members}


def _is_needed(field: Field) -> bool:
    return field.required and not field.derive and not field.filled


def _property(schemas: Schemas, field: Field, language: str) -> Part:
    full = jsonschema.field_schema(schemas, field, language)
    made: Part = {key: full[key] for key in _KEPT if key in full}
    if not field.required:
        made["nullable"] = True
        if "enum" in made:  # else null would not be among them
            made["enum"] = [*made["enum"], None]
    if field.derive:
        made["readOnly"] = True
    return made


def _geometry(layer: LayerContract) -> dict[str, Any]:
    kind = layer.geometry.type if layer.geometry else ""
    single = kind.removeprefix("Multi")
    names = [single, kind] if kind != single else [kind]
    required = layer.geometry is not None and layer.geometry.required
    return {
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"type": "string", "enum": names},
            "coordinates": {"type": "array", "items": {}},
        },
        **({} if required else {"nullable": True}),
    }


def _refusal() -> Part:
    text = {"type": "string"}
    finding: Part = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": text, "field": text, "message": text, "value": text, "detail": text,
            "messages": {"type": "object", "properties": {"en": text, "fa": text}},
            "place": {"$ref": "#/components/schemas/geometry"},
        },
    }  # fmt: skip
    told = {"findings": {"type": "array", "items": finding}}
    return {
        "allOf": [
            {"$ref": "#/components/schemas/problem"},
            {"type": "object", "properties": told},
        ]
    }
