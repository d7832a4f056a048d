"""The paths of tiles of several layers, of maps and of styles."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.derive.collections import MVT
from pipeline.derive.openapi_parts import (
    binary,
    enum,
    get,
    in_path,
    json_of,
    parameter,
    ref,
    tile_ids,
)

Part = dict[str, Any]
_SHEETS = {
    "mbs": "application/vnd.mapbox.style+json",
    "sld10": "application/vnd.ogc.sld+xml;version=1.0",
    "qml": "application/x-qgis-layer-settings",
}
_VIEW = ("bbox", "bbox-crs", "crs", "width", "height", "transparent")


def dataset(schemas: Schemas, audience: Audience) -> Part:
    """The paths that are of no collection alone."""
    names = [
        layer.publish.collection
        for layer in schemas.layers.values()
        if audience.sees(layer) and layer.geometry and layer.publish.tiles
    ]
    some = parameter(
        "collections", "Which, the lowest first", {"type": "array", "items": enum(*names)}
    )
    page, whole = [ref("f"), ref("lang")], {"type": "integer", "minimum": 0}
    place = [
        ref("tileMatrixSetId"),
        in_path("tileMatrix", "Zoom level", whole),
        in_path("tileRow", "Row, from the north", whole),
        in_path("tileCol", "Column, from the west", whole),
    ]
    tag = "service"
    ids = tile_ids("city.dataset.vector")
    one = get(tag, ids[2], "Several layers in one tile", [*place, some], binary(MVT["mimetype"]))
    one["get"]["responses"]["204"] = {"description": "Nothing is there"}
    described = [ref("tileMatrixSetId"), ref("f-tileset"), ref("lang"), some]
    view = [ref(name) for name in _VIEW]
    return {
        "/tiles": get(tag, ids[0], "Tile sets of groups", [*page, some], json_of("anything")),
        "/tiles/{tileMatrixSetId}": get(
            tag, ids[1], "A tile set of several layers", described, json_of("anything")
        ),
        "/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}": one,
        "/map": get(
            tag, "map", "Several layers as a picture", [*view, some, _forms()], _pictures()
        ),
        **_styles([*schemas.groups, *names]),
        **_older(),
    }


def _older() -> Part:
    """WMS and WMTS, by key and value; names in any case, as those standards have them."""
    text, whole = {"type": "string"}, {"type": "integer", "minimum": 0}
    version = ("SERVICE", "VERSION")
    wms = [
        *(parameter(name, name, text) for name in (*version, "LAYERS", "STYLES", "CRS", "BBOX")),
        *(parameter(name, name, whole) for name in ("WIDTH", "HEIGHT", "I", "J")),
        *(parameter(name, name, text) for name in ("FORMAT", "TRANSPARENT", "QUERY_LAYERS")),
        *(parameter(name, name, text) for name in ("INFO_FORMAT", "LAYER", "LANGUAGE")),
    ]
    wmts = [
        *(parameter(name, name, text) for name in (*version, "LAYER", "STYLE", "TILEMATRIXSET")),
        *(parameter(name, name, whole) for name in ("TILEMATRIX", "TILEROW", "TILECOL")),
        *(parameter(name, name, text) for name in ("FORMAT", "LANGUAGE")),
    ]
    xml = {"text/xml": {"schema": {"type": "string"}}}
    asked = {
        "/wms": (wms, ("GetCapabilities", "GetMap", "GetFeatureInfo", "GetLegendGraphic")),
        "/wmts": (wmts, ("GetCapabilities", "GetTile")),
    }
    found = {}
    for path, (given, kinds) in asked.items():
        request = {**parameter("REQUEST", "What is asked", enum(*kinds)), "required": True}
        name = path[1:]
        found[path] = get(
            "service", name, f"{name.upper()} for older programs", [request, *given],
            {**xml, **_pictures(), **json_of("anything")},
        )  # fmt: skip
    return found


def _styles(names: list[str]) -> Part:
    style = in_path("styleId", "A group or a collection", enum(*names))
    tag, page = "service", [ref("f"), ref("lang")]
    form = parameter("f", "Format", enum(*_SHEETS))
    sheets = {kind: {"schema": {"type": "string"}} for kind in _SHEETS.values()}
    sheets[_SHEETS["mbs"]] = {"schema": {"$ref": "#/components/schemas/anything"}}
    png = parameter("f", "Format", enum("png"))
    return {
        "/styles": get(tag, "styles", "Styles", page, json_of("anything")),
        "/styles/{styleId}": get(tag, "style", "A style", [style, form, ref("lang")], sheets),
        "/styles/{styleId}/metadata": get(
            tag, "styleMetadata", "Its layers and legend", [style, ref("lang")], json_of("anything")
        ),
        "/styles/{styleId}/legend": get(
            tag, "legend", "Its legend", [style, png, ref("lang")], binary("image/png")
        ),
    }


def collection(name: str, title: str) -> Part:
    """The paths of one collection of features."""
    here = f"/collections/{name}"
    view = [*(ref(one) for one in _VIEW), _forms()]
    page = [ref("f"), ref("lang")]
    return {
        f"{here}/map": get(name, f"{name}.map", f"{title}: map", view, _pictures()),
        f"{here}/styles": get(
            name, f"{name}.styles", f"{title}: styles", page, json_of("anything")
        ),
    }


def _forms() -> Part:
    return parameter("f", "Format", enum("png", "jpeg"))


def _pictures() -> Part:
    return {**binary("image/png"), **binary("image/jpeg")}
