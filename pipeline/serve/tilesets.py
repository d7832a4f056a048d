"""Documents about tiles: lists of tile sets, tile sets in the words of OGC, TileJSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from pipeline.contracts.city import City
from pipeline.derive import grids, jsonschema
from pipeline.derive.grids import Grid, Tile
from pipeline.serve import answers, crs, links, mvt, reach, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.links import HTML, JSON, OGC, Link
from pipeline.serve.served import Served
from pipeline.serve.tile_layers import PLACE, Drawn, Offers, grid_of

MVT = "application/vnd.mapbox-vector-tile"
_FORMS = {
    "json": (JSON, "This document as JSON"),
    "tilejson": (JSON, "This document as TileJSON"),
    "html": (HTML, "This document as HTML"),
}
_DIMENSIONS = {"Point": 0, "LineString": 1, "Polygon": 2}


def _tileset(drawn: Drawn, grid: Grid, language: str) -> dict[str, Any]:
    """What a list says of a tile set; where its tiles are is told by the document of its own, as
    programs that walk a list ask every address they find in it.
    """
    return {
        "title": f"{drawn.title[language]} · {grid.id}",
        "dataType": "vector",
        "crs": grid.crs_uri,
        # A grid that is in no register is defined here: GDAL reads it at this address.
        "tileMatrixSetURI": grid.uri or f"{drawn.site.base}/tileMatrixSets/{grid.id}",
        "links": [
            _link("self", JSON, "This document as JSON", drawn.address(grid.id, "json"), language),
            _link(
                f"{OGC}/tiling-scheme",
                JSON,
                "Tile grid",
                f"{drawn.site.base}/tileMatrixSets/{grid.id}?f=json",
                language,
            ),
            _link("describedby", JSON, "TileJSON", drawn.address(grid.id, "tilejson"), language),
        ],
    }


def _link(
    rel: str, kind: str, title: str, href: str, language: str, *, templated: bool = False
) -> dict[str, Any]:
    found: dict[str, Any] = dict(links.link(rel, kind, title, href, language))
    return found | ({"templated": True} if templated else {})


def described(drawn: Drawn, grid: Grid, language: str) -> dict[str, Any]:
    """The tile set in the words of OGC (TileSet metadata of 17-083r4)."""
    west, south, east, north = drawn.bounds()
    first, last = drawn.zooms
    told = _tileset(drawn, grid, language)
    item = _link("item", MVT, "Vector tiles", drawn.tiles(grid.id), language, templated=True)
    return {
        **told,
        "links": [*told["links"], item],
        "title": drawn.title[language],
        "description": drawn.description[language],
        "mediaTypes": [MVT],
        "boundingBox": {
            "lowerLeft": [west, south],
            "upperRight": [east, north],
            "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        },
        "tileMatrixSetLimits": limits(drawn, grid, range(max(first, grid.narrow), last + 1)),
        "layers": [_layer(one, drawn.site, language) for one in drawn.layers],
    }


def limits(drawn: Drawn, grid: Grid, zooms: range) -> list[dict[str, Any]]:
    """Rows and columns in which there is something, level by level: also what reaches from the
    next tile into the edge round each."""
    return limits_of(drawn.site.schemas.city, drawn.bounds(), grid, zooms, mvt.BUFFER)


def covers(drawn: Drawn, grid: Grid, place: Tile) -> bool:
    """Whether a tile is within the limits."""
    (found,) = limits(drawn, grid, range(place.zoom, place.zoom + 1))
    rows, columns = (
        range(found[f"minTile{way}"], found[f"maxTile{way}"] + 1) for way in ("Row", "Col")
    )
    return place.row in rows and place.column in columns


def limits_of(
    city: City, bounds: tuple[float, ...], grid: Grid, zooms: range, buffer: float = 0.0
) -> list[dict[str, Any]]:
    """Rows and columns that meet ``bounds`` (degrees), level by level, with a ``buffer`` of a
    tile's size; nothing is told of a box that reaches beyond the city's surroundings but those."""
    west, south, east, north = crs.domain(city, 4326)
    cut = (
        min(max(bounds[0], west), east),
        min(max(bounds[1], south), north),
        max(min(bounds[2], east), west),
        max(min(bounds[3], north), south),
    )
    box = reach.moved(np.array([cut]), 4326, grid.srid)
    found = []
    for zoom in zooms:
        edge = grid.size(zoom) * buffer
        wide = box + np.array([-edge, -edge, edge, edge])
        top, bottom, left, right = grid.spans(wide, zoom)[0].tolist()
        found.append(
            {
                "tileMatrix": str(zoom),
                "minTileRow": top,
                "maxTileRow": bottom,
                "minTileCol": left,
                "maxTileCol": right,
            }
        )
    return found


def _layer(served: Served, site: Offers, language: str) -> dict[str, Any]:
    geometry = served.layer.geometry
    kind = geometry.type.removeprefix("Multi") if geometry else "Point"
    zoom = served.layer.publish
    return {
        "id": served.id,
        "title": served.layer.title.of(language),
        "dataType": "vector",
        "geometryDimension": _DIMENSIONS[kind],
        "minTileMatrix": str(zoom.min_zoom),
        "maxTileMatrix": str(zoom.max_zoom),
        "propertiesSchema": {"type": "object", "properties": _fields(served, site, language)},
    }


def _fields(served: Served, site: Offers, language: str) -> dict[str, Any]:
    return {
        name: jsonschema.field_schema(site.schemas, served.fields[name], language)
        for name in served.tile_fields
    }


def tilejson(drawn: Drawn, grid: Grid, language: str) -> dict[str, Any]:
    """TileJSON 3.0, which MapLibre and QGIS read; programs take its grid for web mercator, so any
    other is told in ``crs`` and ``tileMatrixSet``."""
    first, last = drawn.zooms
    west, south, east, north = drawn.bounds()
    own = {} if grid.uri else {"crs": f"EPSG:{grid.srid}", "tileMatrixSet": grid.id}
    return {
        "tilejson": "3.0.0",
        "name": drawn.title[language],
        "description": drawn.description[language],
        "attribution": drawn.site.schemas.city.provider.of(language),
        "scheme": "xyz",
        **own,
        "tiles": [drawn.tiles(grid.id).replace(PLACE, "{z}/{y}/{x}")],
        "minzoom": first,
        "maxzoom": last,
        "bounds": [west, south, east, north],
        "center": [(west + east) / 2, (south + north) / 2, first],
        "vector_layers": [_vector_layer(one, drawn.site, language) for one in drawn.layers],
    }


def _vector_layer(served: Served, site: Offers, language: str) -> dict[str, Any]:
    zoom = served.layer.publish
    fields = _fields(served, site, language)
    return {
        "id": served.id,
        "description": served.layer.title.of(language),
        "minzoom": zoom.min_zoom,
        "maxzoom": zoom.max_zoom,
        "fields": {name: str(found["title"]) for name, found in fields.items()},
    }


def _page(drawn: Drawn, grid: Grid) -> dict[str, Any]:
    first, last = drawn.zooms
    return {
        "id": drawn.layers[0].id if drawn.path != "/tiles" else "",
        "title": drawn.title,
        "tileset": grid.id,
        "collections_path": drawn.tiles(grid.id),
        "json_url": drawn.address(grid.id, "json"),
        "tilejson_url": drawn.address(grid.id, "tilejson"),
        "metadata": {"minzoom": first, "maxzoom": last},
    }


async def tileset(request: Request, drawn: Drawn, given: dict[str, str]) -> Response:
    """The document about one tile set."""
    site = site_of(request)
    form = wanted.form(request, given, tuple(_FORMS))
    language = wanted.language(request, given, site.languages)
    grid = grid_of(site, request.path_params["grid_id"])
    if form == "html":
        content = _page(drawn, grid)
        return await answers.page(site, "collections/tiles/metadata.html", content, language)
    make = tilejson if form == "tilejson" else described
    return answers.json(make(drawn, grid, language), language)


async def listed(request: Request, drawn: list[Drawn], given: dict[str, str]) -> Response:
    """The list of the tile sets of ``drawn``."""
    site = site_of(request)
    form = wanted.form(request, given, ("json", "html"))
    language = wanted.language(request, given, site.languages)
    first = drawn[0]
    forms = {name: _FORMS[name] for name in ("json", "html")}
    here: list[Link] = links.documents(site.base + first.path, {}, forms, form, language)
    item = _link("item", MVT, "Vector tiles", first.tiles("{tileMatrixSetId}"), language)
    if form == "json":
        offered = grids.of(site.schemas.city).values()
        sets = [_tileset(one, grid, language) for one in drawn for grid in offered]
        content = {"links": [*here, item | {"templated": True}], "tilesets": sets}
        return answers.json(content, language)
    zooms = first.zooms
    page: dict[str, Any] = {
        "links": [*here, item],
        "id": first.layers[0].id,
        "title": first.title[language],
        "tilesets": list(grids.of(site.schemas.city)),
        "bounds": list(first.bounds()),
        "minzoom": zooms[0],
        "maxzoom": zooms[1],
        "tile_type": "vector",
    }
    if first.path == "/tiles":
        groups = [
            {"title": one.title[language], "description": one.description[language],
             "tilejson": one.address(grids.WEB, "tilejson"),
             "layers": [served.layer.title.of(language) for served in one.layers]}
            for one in drawn
        ]  # fmt: skip
        return await answers.page(site, "tiles/index.html", {**page, "groups": groups}, language)
    return await answers.page(site, "collections/tiles/index.html", page, language)
