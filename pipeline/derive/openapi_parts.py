"""Parts of the OpenAPI document: operations, parameters, the paths of tiles and of rasters."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.derive.collections import MVT
from pipeline.derive.raster_collections import COVERAGE_JSON

Part = dict[str, Any]
#: The header that carries a key, where an audience needs one; the other way is Basic.
KEY_HEADER = "X-API-Key"
RESERVED = (
    *("f", "lang", "limit", "offset", "cursor", "bbox", "bbox-crs", "datetime", "crs"),
    *("properties", "skipGeometry", "resulttype", "count", "sortby"),
    *("filter", "filter-lang", "filter-crs"),
)
ERRORS = {"400": "Bad request", "404": "Not found", "503": "The database does not answer"}


def ref(name: str) -> Part:
    """A reference to a parameter of this document."""
    return {"$ref": f"#/components/parameters/{name}"}


def json_of(schema: str, kind: str = "application/json") -> Part:
    """Content of a media type, by a schema of this document."""
    return {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def binary(kind: str) -> Part:
    """Content that is no text."""
    return {kind: {"schema": {"type": "string", "format": "binary"}}}


def _operation(tag: str, name: str, summary: str, parameters: list[Part], content: Part) -> Part:
    responses: Part = {"200": {"description": "What was asked for", "content": content}}
    responses |= {code: {"$ref": f"#/components/responses/{code}"} for code in ERRORS}
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
    }


def get(tag: str, name: str, summary: str, parameters: list[Part], content: Part) -> Part:
    """A path that is only read."""
    return {"get": _operation(tag, name, summary, parameters, content)}


def search(name: str, title: str, parameters: list[Part], content: Part) -> Part:
    """The path that takes a filter as its body."""
    made = _operation(name, f"{name}.search", f"{title}: by a CQL2 filter", parameters, content)
    made["requestBody"] = {
        "description": "A CQL2 filter as JSON",
        "required": True,
        "content": json_of("cql2"),
    }
    for code, said in (("413", "The filter is too long"), ("415", "Not JSON")):
        made["responses"][code] = problem(said)
    return {"post": made}


def form(*names: str) -> Part:
    """The parameter ``f`` where other formats are offered; the first is the default."""
    return parameter("f", "Format", enum(*names))


def limit(default: int, maximum: int) -> Part:
    """The parameter ``limit``."""
    return parameter(
        "limit",
        f"Features on a page; more than {maximum} gives {maximum}",
        {"type": "integer", "minimum": 1, "maximum": maximum, "default": default},
    )


def listing(name: str, said: str, values: list[str]) -> Part:
    """A parameter that takes a list of names."""
    return parameter(name, said, {"type": "array", "items": {"type": "string", "enum": values}})


def parameter(name: str, said: str, schema: Part) -> Part:
    """A parameter of the query."""
    return {
        "name": name,
        "in": "query",
        "description": said,
        "required": False,
        "schema": schema,
        "style": "form",
        "explode": False,
    }


def text(name: str) -> Part:
    """A query parameter that is a text."""
    return parameter(name, name, {"type": "string"})


def words(name: str, pattern: str | None = None) -> Part:
    """A query parameter that is a list of texts."""
    each = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return parameter(name, name, {"type": "array", "minItems": 1, "items": each})


def place(name: str) -> Part:
    """A part of the path that is a text."""
    return in_path(name, name, {"type": "string"})


def in_path(name: str, said: str, schema: Part) -> Part:
    """A parameter in the path."""
    return {"name": name, "in": "path", "description": said, "required": True, "schema": schema}


def tile_ids(kind: str) -> list[str]:
    """The ids of the operations for a list of tile sets, one of them and a tile, as OGC API Tiles
    has them (Table 11)."""
    return [f"{kind}.{what}" for what in ("getTileSetsList", "getTileSet", "getTile")]


def tiles(name: str, title: str, provider: Part) -> Part:
    """The paths of a collection's tiles."""
    here, page = f"/collections/{name}/tiles", [ref("f"), ref("lang")]
    zoom, kind = provider["options"]["zoom"], provider["format"]
    formats = {kind["name"]: kind["mimetype"], **provider["options"].get("formats", {})}
    levels = {"type": "integer", "minimum": zoom["min"], "maximum": zoom["max"]}
    index = {"type": "integer", "minimum": 0}
    place = [
        ref("tileMatrixSetId"),
        in_path("tileMatrix", "Zoom level", levels),
        in_path("tileRow", "Row, from the north", index),
        in_path("tileCol", "Column, from the west", index),
        parameter("f", "Format", enum(*formats)),
        *([ref("datetime")] if "city" in provider["options"] else []),
    ]
    content = {kind: made for form in formats.values() for kind, made in binary(form).items()}
    drawn = "vector" if kind == MVT else "map"
    ids = tile_ids(f"{name}.collection.{drawn}")
    one = get(name, ids[2], f"{title}: a tile", place, content)
    one["get"]["responses"]["204"] = {"description": "Nothing is there"}
    described = [ref("tileMatrixSetId"), ref("f-tileset"), ref("lang")]
    return {
        here: get(name, ids[0], f"{title}: tile sets", page, json_of("anything")),
        f"{here}/{{tileMatrixSetId}}": get(
            name, ids[1], f"{title}: a tile set", described, json_of("anything")
        ),
        f"{here}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}": one,
    }


def raster(name: str, title: str, provider: Part) -> Part:
    """The paths by which a raster is read as it is, as a picture, at a point or along a line."""
    box = [ref("bbox"), ref("bbox-crs")]
    coverage = {"GTiff": "image/tiff; application=geotiff", "json": "application/prs.coverage+json"}
    position = dict.fromkeys((COVERAGE_JSON, "json"), "application/vnd.cov+json")
    bands = [band["name"] for band in provider["options"].get("bands", ())]
    ways: dict[str, tuple[str, list[Part], dict[str, str]]] = {
        "coverage": (
            "coverage",
            [
                *box,
                ref("crs"),
                ref("subset"),
                ref("scale-factor"),
                ref("scale-size"),
                ref("datetime"),
            ],
            coverage,
        ),
        "map": (
            "map",
            [*box, ref("datetime"), ref("crs"), ref("width"), ref("height"), ref("transparent")],
            provider["options"].get("formats", {}),
        ),
        "edr": (
            "position",
            [
                ref("coords"),
                listing("parameter-name", "Which of the values", bands),
                ref("crs"),
                ref("datetime"),
            ],
            position,
        ),
    }
    way, asked, formats = ways[provider["type"]]
    forms = parameter("f", "Format", {"type": "string", "enum": [*formats, "html"]})
    content = {kind: made for form in formats.values() for kind, made in binary(form).items()}
    path, said = f"/collections/{name}", f"{title}: {way}"
    found = {f"{path}/{way}": get(name, f"{name}.{way}", said, [*asked, forms], content)}
    if way == "position":
        line, said = [ref("line-coords"), *asked[1:], forms], f"{title}: along a line"
        found[f"{path}/trajectory"] = get(name, f"{name}.trajectory", said, line, content)
    return found


def security(audience: Audience) -> Part:
    """What every request must carry: nothing, or a key in one of two ways."""
    return {"security": [{"basic": []}, {"key": []}]} if audience.needs_key else {}


def problem(said: str) -> Part:
    """A response that tells what went wrong (RFC 9457)."""
    return {"description": said, "content": json_of("problem", "application/problem+json")}


def enum(*values: str) -> Part:
    """The schema of one of some words."""
    return {"type": "string", "enum": list(values), "default": values[0]}
