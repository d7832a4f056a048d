"""Documents about tiles: lists of tile sets, tile sets in the words of OGC, TileJSON.

A ``Drawn`` is what a tile set shows: one collection, or several together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from pipeline.contracts.city import City
from pipeline.contracts.registry import Schemas
from pipeline.derive import grids, jsonschema
from pipeline.derive.grids import Grid
from pipeline.serve import answers, crs, links, reach, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import bad, missing
from pipeline.serve.links import HTML, JSON, OGC, Link
from pipeline.serve.served import Served

MVT = "application/vnd.mapbox-vector-tile"
_PLACE = "{tileMatrix}/{tileRow}/{tileCol}"
_FORMS = {
    "json": (JSON, "This document as JSON"),
    "tilejson": (JSON, "This document as TileJSON"),
    "html": (HTML, "This document as HTML"),
}
_DIMENSIONS = {"Point": 0, "LineString": 1, "Polygon": 2}


class Offers(Protocol):
    """What is known of a published service, whether it runs or not."""

    @property
    def base(self) -> str:
        """The public address."""

    @property
    def config(self) -> dict[str, Any]:
        """The published configuration."""

    @property
    def schemas(self) -> Schemas:
        """The contracts."""

    @property
    def served(self) -> dict[str, Served]:
        """Feature collections by id."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of titles."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn together, and the address of its tile sets (``query``: what chooses)."""

    site: Offers
    layers: tuple[Served, ...]
    path: str
    query: str
    title: dict[str, str]
    description: dict[str, str]

    @property
    def zooms(self) -> tuple[int, int]:
        """The first and the last zoom level."""
        found = [one.layer.publish for one in self.layers]
        return min(one.min_zoom for one in found), max(one.max_zoom for one in found)

    def address(self, grid: str, form: str) -> str:
        """The address of the document about a tile set."""
        return f"{self.site.base}{self.path}/{grid}?{self.query}f={form}"

    def tiles(self, grid: str) -> str:
        """The template of its tiles' addresses."""
        return f"{self.site.base}{self.path}/{grid}/{_PLACE}?{self.query}f=mvt"

    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all its layers, in degrees."""
        boxes = np.array([extent(self.site, one.id) for one in self.layers])
        west, south = boxes[:, :2].min(axis=0).tolist()
        east, north = boxes[:, 2:].max(axis=0).tolist()
        return west, south, east, north


def extent(site: Offers, name: str) -> tuple[float, ...]:
    """West, south, east, north of a collection, in degrees."""
    return tuple(site.config["resources"][name]["extents"]["spatial"]["bbox"])


def of_collection(site: Offers, name: str) -> Drawn:
    """The tile sets of one feature collection; 404 if it has none."""
    served = site.served.get(name)
    if served is None or not _tiled(served):
        raise missing(f"the collection {name!r} has no tiles")
    resource = site.config["resources"][name]
    path = f"/collections/{name}/tiles"
    return Drawn(site, (served,), path, "", resource["title"], resource["description"])


def _tiled(served: Served) -> bool:
    return served.has_geometry and served.layer.publish.tiles


def groups(site: Offers) -> dict[str, Drawn]:
    """The groups of layers by id, as far as the audience sees them."""
    found = {}
    for group in site.schemas.groups.values():
        names = [site.schemas.layers[one].publish.collection for one in group.layers]
        layers = [site.served[name] for name in names if name in site.served]
        layers = [one for one in layers if _tiled(one)]
        if layers:
            title, description = (
                {language: text.of(language) for language in site.languages}
                for text in (group.title, group.description)
            )
            found[group.id] = _together(site, layers, title, description)
    return found


def _together(
    site: Offers, layers: list[Served], title: dict[str, str], description: dict[str, str]
) -> Drawn:
    query = f"collections={','.join(one.id for one in layers)}&"
    return Drawn(site, tuple(layers), "/tiles", query, title, description)


def chosen(site: Offers, given: dict[str, str]) -> Drawn:
    """What ``collections`` names; the first group where it is not given."""
    known = groups(site)
    if "collections" not in given:
        if not known:
            raise missing("there are no groups of layers")
        return next(iter(known.values()))
    names = [name for name in given["collections"].split(",") if name]
    layers = [site.served[name] for name in names if name in site.served]
    if len(layers) != len(names) or not layers or not all(_tiled(one) for one in layers):
        raise bad("collections: name collections with vector tiles, with commas between them")
    for one in known.values():
        if one.layers == tuple(layers):
            return one
    titles = [site.config["resources"][name]["title"] for name in names]
    title = {language: " + ".join(one[language] for one in titles) for language in site.languages}
    return _together(site, layers, title, title)


def grid_of(site: Offers, name: str) -> Grid:
    """The grid called ``name``; 404 names the ones there are."""
    offered = grids.of(site.schemas.city)
    if name not in offered:
        told = ", ".join(offered)
        raise missing(f"there is no tile grid {name!r} here; there is {told}")
    return offered[name]


def _tileset(drawn: Drawn, grid: Grid, language: str) -> dict[str, Any]:
    """What a list says of a tile set."""
    return {
        "title": f"{drawn.title[language]} · {grid.id}",
        "dataType": "vector",
        "crs": grid.crs_uri,
        # A grid that is in no register is defined here: GDAL reads it at this address.
        "tileMatrixSetURI": grid.uri or f"{drawn.site.base}/tileMatrixSets/{grid.id}",
        "links": [
            _link("self", JSON, "This document as JSON", drawn.address(grid.id, "json"), language),
            _link("item", MVT, "Vector tiles", drawn.tiles(grid.id), language, templated=True),
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
    return {
        **_tileset(drawn, grid, language),
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
    """Rows and columns in which there is something, level by level."""
    return limits_of(drawn.site.schemas.city, drawn.bounds(), grid, zooms)


def limits_of(
    city: City, bounds: tuple[float, ...], grid: Grid, zooms: range
) -> list[dict[str, Any]]:
    """Rows and columns that meet ``bounds`` (degrees), level by level; nothing is told of a box
    that reaches beyond the city's surroundings but those."""
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
        top, bottom, left, right = grid.spans(box, zoom)[0].tolist()
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
        "tiles": [drawn.tiles(grid.id).replace(_PLACE, "{z}/{y}/{x}")],
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
