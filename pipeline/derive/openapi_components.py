"""Components of the OpenAPI document: the parameters, schemas and responses that paths refer to."""

from __future__ import annotations

from pipeline.contracts.registry import Schemas
from pipeline.derive import grids, openapi_schemas
from pipeline.derive.openapi_parts import (
    ERRORS,
    KEY_HEADER,
    Part,
    enum,
    in_path,
    limit,
    parameter,
    problem,
)

_COUNT = "Whether all that match are counted, where that takes time (numberMatched)"
_TIME = "A time, or begin/end with .. for open: features of that time, or as they were then"
_SINCE = "Changes published after this time, or after the load of this number"


def components(schemas: Schemas, config: Part) -> Part:
    """Everything the paths refer to."""
    return {
        "parameters": _parameters(schemas, config),
        "schemas": openapi_schemas.schemas(),
        "responses": {code: problem(said) for code, said in ERRORS.items()},
        "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"},
            "key": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
        },
    }


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
