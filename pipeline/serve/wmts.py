"""WMTS 1.0.0 for older programs: the maps that ``maps`` draws, cut along the grids of tiles."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import grids
from pipeline.derive.grids import PIXELS, Grid, Tile
from pipeline.serve import answers, crs, fresh, map_draw, maps, ows, tile_layers, tilesets
from pipeline.serve.answers import site_of
from pipeline.serve.errors import Problem, missing
from pipeline.serve.map_view import View
from pipeline.serve.ows import Offered
from pipeline.serve.site import Site

_LAST = 20
_FORMS = {"image/png": "png", "image/jpeg": "jpeg"}


async def wmts(request: Request) -> Response:
    """GET /wmts by parameters."""
    try:
        given = ows.parameters(request)
        kind = ows.need(given, "REQUEST").lower()
        if kind == "getcapabilities":
            return await _capabilities(request, ows.language(request, given, site_of(request)))
        if kind != "gettile" or given.get("SERVICE", "WMTS").upper() != "WMTS":
            raise Problem(400, "OperationNotSupported", f"there is no request {kind!r} here")
        place = [ows.need(given, name) for name in ("TILEMATRIX", "TILEROW", "TILECOL")]
        form = _FORMS.get(given.get("FORMAT", "image/png").lower())
        if form is None:
            raise Problem(400, "InvalidParameterValue", f"FORMAT: {' or '.join(_FORMS)}")
        layer, grid = ows.need(given, "LAYER"), ows.need(given, "TILEMATRIXSET")
        return await _tile(request, (layer, grid, form), place)
    except Exception as error:  # noqa: BLE001 - every request gets an answer
        return ows.owx_exception(error)


async def capabilities(request: Request) -> Response:
    """GET /wmts/1.0.0/WMTSCapabilities.xml."""
    site = site_of(request)
    return await _capabilities(request, ows.language(request, ows.parameters(request), site))


async def tile(request: Request) -> Response:
    """GET /wmts/{layer}/default/{grid}/{zoom}/{row}/{column}.{form}."""
    given = request.path_params
    form = given["form"]
    if form not in maps.FORMATS:
        raise missing("tiles are png or jpeg")
    place = [given[name] for name in ("zoom", "row", "column")]
    return await _tile(request, (given["layer"], given["grid_id"], form), place)


async def _capabilities(request: Request, spoken: str) -> Response:
    site = site_of(request)
    own = grids.of(site.schemas.city)
    content = {
        "address": f"{site.base}/wmts",
        "layers": [
            {
                "name": one.name,
                "title": one.title[spoken],
                "description": one.description[spoken],
                "bbox": one.bbox,
                "styled": one.queryable,
                "limits": _limits(site, one, own),
            }
            for one in ows.layers(site).values()
        ],
        "grids": [
            {**grid.definition(), "id": name, "levels": [grid.matrix(z) for z in _levels(grid)]}
            for name, grid in own.items()
        ],
        "title": site.config["metadata"]["identification"]["title"][spoken],
        "abstract": site.config["metadata"]["identification"]["description"][spoken],
        "legend": f"{site.base}/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetLegendGraphic"
        f"&FORMAT=image/png&LANGUAGE={spoken}&LAYER=",
    }
    return await ows.document(request, "ows/wmts.xml", content, spoken)


def _levels(grid: Grid) -> range:
    return range(int(grid.narrow), _LAST + 1)


def _limits(site: Site, one: Offered, own: dict[str, Grid]) -> dict[str, list[dict[str, object]]]:
    """Where there is something, grid by grid."""
    return {
        name: tilesets.limits_of(site.schemas.city, one.bbox, grid, _levels(grid))
        for name, grid in own.items()
    }


async def _tile(request: Request, what: tuple[str, str, str], place: list[str]) -> Response:
    site = site_of(request)
    layer, name, form = what
    known = ows.layers(site)
    if layer not in known:
        raise Problem(400, "InvalidParameterValue", f"there is no layer {layer!r}")
    grid = tile_layers.grid_of(site, name)
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in place):
        raise Problem(400, "TileOutOfRange", "tiles are named by whole numbers")
    one = Tile(*(int(text) for text in place))
    if not grid.has(one) or one.zoom > _LAST:
        raise Problem(400, "TileOutOfRange", f"there is no tile {one} in {grid.id}")
    names = known[layer].collections

    async def draw(_: Request) -> Response:
        target = crs.supported(site.schemas.city)[grid.crs_uri]
        view = View(site.schemas.city, grid.bounds(one), target, (PIXELS, PIXELS))
        canvas = await map_draw.draw(site, names, view)
        body = await run_in_threadpool(canvas.encoded, form, transparent=form == "png")
        return answers.data(body, maps.FORMATS[form])

    async def state(_: Request) -> str | None:
        return await maps.state_of(site, names)

    seconds = site.options["tile_seconds"]
    return await fresh.validated(draw, state, f"public, max-age={seconds}")(request)
