"""Tiles and tile sets of collections, vector or raster, and of several layers together."""

from __future__ import annotations

import re
from typing import Any

from pygeoapi.plugin import load_plugin
from pygeoapi.provider.base import ProviderItemNotFoundError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive.grids import Tile
from pipeline.rasters.past import When
from pipeline.serve import (
    answers,
    conditions,
    encodings,
    fresh,
    kept_tile,
    links,
    period,
    tile_layers,
    tilesets,
    wanted,
)
from pipeline.serve.answers import site_of
from pipeline.serve.errors import bad, missing
from pipeline.serve.kept_tile import Kept
from pipeline.serve.site import Site
from pipeline.serve.tile_layers import Drawn
from pipeline.serve.tile_make import Made

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_DEEPEST = 30
_SEVERAL = (*wanted.COMMON, "collections")


def _provider(site: Site, request: Request) -> dict[str, Any]:
    """pygeoapi's definition of the tile provider of the collection in the path."""
    name = request.path_params["collection_id"]
    for provider in site.collection(name)["providers"]:
        if provider["type"] == "tile":
            found: dict[str, Any] = provider
            return found
    raise missing(f"the collection {name!r} has no tiles")


def _is_vector(request: Request) -> bool:
    return request.path_params["collection_id"] in site_of(request).served


def _place(request: Request, first: int, last: int) -> Tile:
    """The tile in the path; 404 for one that no grid has at these zoom levels."""
    texts = [request.path_params[name] for name in ("zoom", "row", "column")]
    if not all(_INDEX.fullmatch(text) for text in texts) or int(texts[0]) > _DEEPEST:
        raise missing(f"there is no tile {'/'.join(texts)}")
    tile = Tile(*(int(text) for text in texts))
    side = 1 << tile.zoom
    if not first <= tile.zoom <= last or max(tile.row, tile.column) >= side:
        raise missing(f"there is no tile {tile}; zoom levels are {first} to {last}")
    return tile


async def tile(request: Request) -> Response:
    """GET /collections/{id}/tiles/{grid}/{zoom}/{row}/{column}."""
    site = site_of(request)
    provider = _provider(site, request)
    if not _is_vector(request):
        return await _image_fresh(request)
    drawn = tile_layers.of_collection(site, request.path_params["collection_id"])
    given = _of_now(wanted.parameters(request, (*wanted.COMMON, "datetime")))
    wanted.form(request, given, (provider["format"]["name"],))
    return await _vector(request, drawn)


def _of_now(given: dict[str, str]) -> dict[str, str]:
    """Vector tiles are kept, and at small scales made of cells, of what is in force: of the past
    every moment would be another city to make. 400 says where the past is to be had."""
    if "datetime" in given:
        raise bad("datetime: vector tiles show what is in force; ask /items?datetime=... with bbox")
    return given


async def together(request: Request) -> Response:
    """GET /tiles/{grid}/{zoom}/{row}/{column}: several layers in one tile."""
    given = _of_now(wanted.parameters(request, (*_SEVERAL, "datetime")))
    wanted.form(request, given, ("mvt",))
    return await _vector(request, tile_layers.chosen(site_of(request), given))


async def _vector(request: Request, drawn: Drawn) -> Response:
    """The layers of ``drawn`` one after the other: a tile of several is the tiles of each."""
    site = site_of(request)
    grid = tile_layers.grid_of(site, request.path_params["grid_id"])
    place = _place(request, *drawn.zooms)
    if not grid.has(place):
        raise missing(f"there is no tile {place} in {grid.id}")
    layers = [one for one in drawn.layers if one.is_at(place.zoom)]
    if len(drawn.layers) == 1:
        found: Kept | Made = await site.tile_store.get(layers[0], grid, place)
    else:
        found = Made(await site.tile_store.together(layers, grid, place))
    answer = await _one(request, found, site)
    # What was edited since the extents were measured is shown wherever it lies.
    if answer.status_code == 204 and not tilesets.covers(drawn, grid, place):
        raise missing(f"tile {place} is beyond the limits that the tile set tells")
    return answer


async def _one(request: Request, found: Kept | Made, site: Site) -> Response:
    """The answer, with a tag of its bytes; 304 where the client has them, 204 where none are."""
    cache = {"Cache-Control": f"public, max-age={site.options['tile_seconds']}"}
    empty = not (found.body if isinstance(found, Made) else found.plain)
    if empty:
        return Response(status_code=204, headers=cache)
    mark = found.tag or kept_tile.tag(found.body if isinstance(found, Made) else found.body())
    headers = {**cache, "ETag": mark, "Vary": "Accept, Accept-Encoding, Accept-Language"}
    asked = request.headers.get("if-none-match", "")
    if mark in conditions.tags(asked) or asked.strip() == "*":
        return Response(status_code=304, headers=headers)
    if isinstance(found, Made):
        return Response(found.body, headers=headers, media_type=tilesets.MVT)
    encoding = encodings.chosen(request.headers.get("accept-encoding", ""))
    if encoding is None:
        return Response(found.body(), headers=headers, media_type=tilesets.MVT)
    headers["Content-Encoding"] = encoding
    body = await site.tile_store.encoded(found, encoding)
    return Response(body, headers=headers, media_type=tilesets.MVT)


async def _state(request: Request) -> str | None:
    """The state of a raster's pixels."""
    version: str | None = load_plugin(
        "provider", _provider(site_of(request), request)
    ).source.version()
    return version


async def _image(request: Request) -> Response:
    """A tile of a raster, now or at a time."""
    provider = _provider(site_of(request), request)
    given = wanted.parameters(request, (*wanted.COMMON, "datetime"))
    default = provider["format"]
    formats = {default["name"]: default["mimetype"], **provider["options"].get("formats", {})}
    form = wanted.form(request, given, tuple(formats))
    grid = _raster_grid(provider, request)
    zoom = provider["options"]["zoom"]
    place = _place(request, zoom["min"], zoom["max"])
    when = period.when(given.get("datetime"))
    content = await run_in_threadpool(_drawn, provider, grid, place, form, when)
    return answers.data(content, formats[form]) if content else answers.empty()


async def _image_fresh(request: Request) -> Response:
    seconds = site_of(request).options["tile_seconds"]
    return await fresh.validated(_image, _state, f"public, max-age={seconds}")(request)


def _raster_grid(provider: dict[str, Any], request: Request) -> str:
    name: str = request.path_params["grid_id"]
    if name not in provider["options"]["schemes"]:
        offered = ", ".join(provider["options"]["schemes"])
        raise missing(f"there is no tile grid {name!r} here; there is {offered}")
    return name


def _drawn(provider: dict[str, Any], grid: str, place: Tile, form: str, when: When | None) -> bytes:
    plugin = load_plugin("provider", provider)
    try:
        content: bytes | None = plugin.get_tiles(
            layer=plugin.get_layer(),
            tileset=grid,
            z=place.zoom,
            y=place.row,
            x=place.column,
            format_=form,
            when=when,
        )
    except ProviderItemNotFoundError as error:
        raise missing(str(error)) from None
    return content or b""


async def listed_together(request: Request) -> Response:
    """GET /tiles: the tile sets of groups of layers."""
    given = wanted.parameters(request, _SEVERAL)
    site = site_of(request)
    drawn = list(tile_layers.groups(site).values())
    if "collections" in given:
        drawn = [tile_layers.chosen(site, given)]
    if not drawn:
        raise missing("there are no groups of layers")
    return await tilesets.listed(request, drawn, given)


async def tileset_together(request: Request) -> Response:
    """GET /tiles/{grid}."""
    given = wanted.parameters(request, _SEVERAL)
    return await tilesets.tileset(request, tile_layers.chosen(site_of(request), given), given)


async def listed(request: Request) -> Response:
    """GET /collections/{id}/tiles of features."""
    given = wanted.parameters(request, (*wanted.COMMON, "scheme"))
    site = site_of(request)
    found = tile_layers.of_collection(site, request.path_params["collection_id"])
    return await tilesets.listed(request, [found], given)


async def tileset(request: Request) -> Response:
    """GET /collections/{id}/tiles/{grid}: OGC metadata, TileJSON or a page."""
    site = site_of(request)
    provider = _provider(site, request)
    given = wanted.parameters(request, wanted.COMMON)
    name = request.path_params["collection_id"]
    if _is_vector(request):
        return await tilesets.tileset(request, tile_layers.of_collection(site, name), given)
    form = wanted.form(request, given, ("json", "tilejson", "html"))
    language = wanted.language(request, given, site.languages)
    grid = _raster_grid(provider, request)
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
