"""Tiles and tile sets of every collection that has them, vector or raster."""

from __future__ import annotations

import re
from typing import Any

from pygeoapi.plugin import load_plugin
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import answers, fresh, links, mvt, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import missing
from pipeline.serve.mvt import Tile
from pipeline.serve.site import Site

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_DEEPEST = 30


def _provider(site: Site, request: Request) -> dict[str, Any]:
    """pygeoapi's definition of the tile provider of the collection in the path."""
    name = request.path_params["collection_id"]
    for provider in site.collection(name)["providers"]:
        if provider["type"] == "tile":
            found: dict[str, Any] = provider
            return found
    raise missing(f"the collection {name!r} has no tiles")


def _grid(provider: dict[str, Any], request: Request) -> str:
    name: str = request.path_params["grid_id"]
    if name not in provider["options"]["schemes"]:
        offered = ", ".join(provider["options"]["schemes"])
        raise missing(f"there is no tile grid {name!r} here; there is {offered}")
    return name


def _tile(provider: dict[str, Any], request: Request) -> Tile:
    """The tile in the path; 404 for one that the grid or the layer does not have."""
    texts = [request.path_params[name] for name in ("zoom", "row", "column")]
    if not all(_INDEX.fullmatch(text) for text in texts) or int(texts[0]) > _DEEPEST:
        raise missing(f"there is no tile {'/'.join(texts)}")
    tile = Tile(*(int(text) for text in texts))
    zoom = provider["options"]["zoom"]
    if not tile.exists or not zoom["min"] <= tile.zoom <= zoom["max"]:
        levels = f"{zoom['min']} to {zoom['max']}"
        raise missing(f"there is no tile {'/'.join(texts)}; zoom levels are {levels}")
    return tile


async def state(request: Request) -> str | None:
    """The state of the data in tiles: of the layer's rows, or of the raster's pixels."""
    site = site_of(request)
    provider = _provider(site, request)
    if request.path_params["collection_id"] in site.served:
        return await fresh.layer(request)
    version: str | None = load_plugin("provider", provider).source.version()
    return version


async def tile(request: Request) -> Response:
    """GET /collections/{id}/tiles/{grid}/{zoom}/{row}/{column}."""
    site = site_of(request)
    provider = _provider(site, request)
    given = wanted.parameters(request, wanted.COMMON)
    formats = _formats(provider)
    form = wanted.form(request, given, tuple(formats))
    grid, place = _grid(provider, request), _tile(provider, request)
    name = request.path_params["collection_id"]
    if name in site.served:
        content = await _vector(site, name, place, request)
    else:
        content = await run_in_threadpool(_raster, provider, grid, place, form)
    if not content:
        return answers.empty()
    return answers.data(content, formats[form])


def _formats(provider: dict[str, Any]) -> dict[str, str]:
    """Formats of the tiles and their media types, the default first."""
    default = provider["format"]
    return {default["name"]: default["mimetype"], **provider["options"].get("formats", {})}


async def _vector(site: Site, name: str, place: Tile, request: Request) -> bytes:
    served = site.served[name]
    asked = mvt.statement(served, place, max_rows=site.options["tile_rows"])
    if asked is None:
        return b""
    row = await site.tiles.row(asked, request.is_disconnected)
    return bytes(row[0]) if row and row[1] else b""


def _raster(provider: dict[str, Any], grid: str, place: Tile, form: str) -> bytes:
    plugin = load_plugin("provider", provider)
    content: bytes | None = plugin.get_tiles(
        layer=plugin.get_layer(),
        tileset=grid,
        z=place.zoom,
        y=place.row,
        x=place.column,
        format_=form,
    )
    return content or b""


async def tileset(request: Request) -> Response:
    """GET /collections/{id}/tiles/{grid}: OGC metadata, TileJSON or a page."""
    site = site_of(request)
    provider = _provider(site, request)
    given = wanted.parameters(request, wanted.COMMON)
    form = wanted.form(request, given, ("json", "tilejson", "html"))
    language = wanted.language(request, given, site.languages)
    grid = _grid(provider, request)
    name = request.path_params["collection_id"]
    resource = site.collection(name)
    plugin = load_plugin("provider", provider)
    content: dict[str, Any] = plugin.get_metadata(
        dataset=name,
        server_url=site.base,
        layer=plugin.get_layer(),
        tileset=grid,
        metadata_format=form,
        title=resource["title"][language],
        description=resource["description"][language],
        keywords=resource["keywords"][language],
        language=language,
    )
    if form == "html":
        return await answers.page(site, "collections/tiles/metadata.html", content, language)
    return answers.json(content, language, links.JSON)
