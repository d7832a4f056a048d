"""Parts of the OpenAPI document: parameters, schemas, responses, operations."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.derive import grids, openapi_schemas
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
_SINCE = "Changes published after this time, or after the load of this number"
_TIME = "A time, or begin/end with .. for open: features of that time, or as they were then"
_COUNT = "Whether all that match are counted, where that takes time (numberMatched)"
_ERRORS = {"400": "Bad request", "404": "Not found", "503": "The database does not answer"}


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
    responses |= {code: {"$ref": f"#/components/responses/{code}"} for code in _ERRORS}
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
        made["responses"][code] = _problem(said)
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


def components(schemas: Schemas, config: Part) -> Part:
    """Everything the paths refer to."""
    return {
        "parameters": _parameters(schemas, config),
        "schemas": openapi_schemas.schemas(),
        "responses": {code: _problem(said) for code, said in _ERRORS.items()},
        "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"},
            "key": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
        },
    }


def security(audience: Audience) -> Part:
    """What every request must carry: nothing, or a key in one of two ways."""
    return {"security": [{"basic": []}, {"key": []}]} if audience.needs_key else {}


def _problem(said: str) -> Part:
    return {"description": said, "content": json_of("problem", "application/problem+json")}


def enum(*values: str) -> Part:
    """The schema of one of some words."""
    return {"type": "string", "enum": list(values), "default": values[0]}


def crs_uris(config: Part) -> list[str]:
    """The CRSs that features can be had in, by URI; the first is the default."""
    for resource in config["resources"].values():
        for provider in resource["providers"]:
            if "crs" in provider:
                found: list[str] = provider["crs"]
                return found
    return ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]


def _raster_parameters() -> Part:
    """Of coverages, maps, positions and lines."""
    pixels = {"type": "integer", "minimum": 1}
    return {
        "subset": parameter("subset", "Axes and their ranges", {"type": "string"}),
        "scale-factor": parameter("scale-factor", "2 halves both sides", {"type": "number"}),
        "scale-size": parameter("scale-size", "Such as x(400),y(300)", {"type": "string"}),
        "width": parameter("width", "Pixels", pixels),
        "height": parameter("height", "Pixels", pixels),
        "transparent": parameter(
            "transparent", "See-through where nothing is", {"type": "boolean"}
        ),
        "coords": {
            **parameter("coords", "A point as WKT", {"type": "string"}),
            "required": True,
            "example": "POINT(50.88 34.64)",
        },
        "line-coords": {
            **parameter("coords", "A line as WKT", {"type": "string"}),
            "required": True,
            "example": "LINESTRING(50.875 34.639,50.88 34.64)",
        },
    }


def _parameters(schemas: Schemas, config: Part) -> Part:
    uris = enum(*crs_uris(config))
    limits = config["server"]["limits"]
    four = {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}}
    number = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 0}
    found = {
        "f": parameter("f", "Format", enum("json", "html")),
        "lang": parameter("lang", "Language", enum(*schemas.city.languages)),
        "limit": limit(limits["default_items"], limits["max_items"]),
        "offset": parameter("offset", "Features to be passed over", number),
        "cursor": parameter("cursor", "Where a page begins: from a next link", {"type": "string"}),
        "bbox": parameter("bbox", "xmin,ymin,xmax,ymax in the order of bbox-crs", four),
        "bbox-crs": parameter("bbox-crs", "CRS of bbox", uris),
        "crs": parameter("crs", "CRS of the answer", uris),
        "since": parameter("since", _SINCE, {"type": "string"}),
        "collection": parameter(
            "collection", "Changes of this collection alone", {"type": "string"}
        ),
        "datetime": parameter("datetime", _TIME, {"type": "string"}),
        "skipGeometry": parameter(
            "skipGeometry", "Leave the geometry out", {"type": "boolean", "default": False}
        ),
        "resulttype": parameter("resulttype", "Features or their number", enum("results", "hits")),
        "count": parameter("count", _COUNT, {"type": "boolean", "default": True}),
        "filter": parameter("filter", "A CQL2 filter", {"type": "string"}),
        "filter-lang": parameter("filter-lang", "Its language", enum("cql2-text", "cql2-json")),
        "filter-crs": parameter("filter-crs", "CRS of its geometries", uris),
        **_raster_parameters(),
        "featureId": in_path("featureId", "Feature id", {"type": "string"}),
        "tileMatrixSetId": in_path("tileMatrixSetId", "Tile grid", enum(*grids.of(schemas.city))),
    }
    formats = {
        "f-items": ("json", "jsonfg", "html", "csv", "fgb", "parquet", "gml"),
        "f-item": ("json", "jsonfg", "html"),
        "f-change": ("json", "html"),
        "f-schema": ("json", "html", "xsd"),
        "f-tileset": ("json", "tilejson", "html"),
    }
    found |= {key: parameter("f", "Format", enum(*names)) for key, names in formats.items()}
    return found
