"""Maps over HTTP: collections and groups of layers as pictures, over the orthophoto or the
hillshade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pygeoapi.plugin import load_plugin
from pygeoapi.provider.base import ProviderInvalidQueryError, ProviderItemNotFoundError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import generalised
from pipeline.serve import answers, crs, map_view, tile_layers, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import bad, missing
from pipeline.serve.map_draw import draw, drawable, pictured
from pipeline.serve.map_view import View
from pipeline.serve.raster_map import RasterMap
from pipeline.serve.site import Site

FORMATS = {"png": "image/png", "jpeg": "image/jpeg"}
PARAMETERS = (*wanted.COMMON, "bbox", "bbox-crs", "crs", "width", "height", "transparent")
_WORLD = (-180.0, -90.0, 180.0, 90.0)


async def state(request: Request) -> str | None:
    """The state of all that a map may show."""
    site = site_of(request)
    return await state_of(site, _names(site, request))


async def state_of(site: Site, names: Sequence[str]) -> str:
    """The state of the collections called ``names``."""
    found = []
    for name in names:
        served = site.served.get(name)
        if served is not None:
            found.append(await site.state.version(served.layer.id))
            found.append(await site.state.version(generalised.state_name(served.layer)))
        elif provider := pictured(site, name):
            found.append(str(load_plugin("provider", provider).source.version()))
    return " ".join(found)


def _names(site: Site, request: Request) -> tuple[str, ...]:
    """The collections that the address names."""
    name = request.path_params.get("collection_id")
    if name is not None:
        site.collection(name)
        if not drawable(site, name):
            raise missing(f"the collection {name!r} cannot be drawn")
        return (name,)
    given = request.query_params.get("collections")
    if given is None:
        return tuple(one.id for one in tile_layers.chosen(site, {}).layers)
    names = tuple(name for name in given.split(",") if name)
    if not names or not all(drawable(site, name) for name in names):
        raise bad("collections: name collections that can be drawn, with commas between them")
    return names


async def collection(request: Request) -> Response:
    """GET /collections/{id}/map of features."""
    return await _map(request, wanted.parameters(request, PARAMETERS))


async def raster(request: Request) -> Response:
    """GET /collections/{id}/map of a raster, as it is or as sheets of another time show it."""
    site, given = site_of(request), wanted.parameters(request, (*PARAMETERS, "datetime"))
    name = request.path_params["collection_id"]
    provider = pictured(site, name)
    if provider is None:
        raise missing(f"the collection {site.collection(name) and name!r} cannot be drawn")
    form, seen = _form(request, given), _transparent(given)
    plugin = load_plugin("provider", provider)
    try:
        view = await run_in_threadpool(_view, site, plugin, given)
        asked = {"format_": form, "transparent": seen, "datetime_": given.get("datetime")}
        width, height = view.size
        body = await run_in_threadpool(plugin.query, view.box, width, height, view.crs.uri, **asked)
    except ProviderItemNotFoundError as error:
        raise missing(str(error)) from None
    except ProviderInvalidQueryError as error:
        raise bad(str(error)) from None
    return answers.data(body, FORMATS[form], _headers(view))


def _view(site: Site, plugin: RasterMap, given: dict[str, str]) -> View:
    """What is asked for; without a box all that the raster has."""
    city = site.schemas.city
    if "bbox" in given:
        return map_view.asked(city, given, _WORLD)
    target = crs.named(city, given.get("crs", city.crs_uri), "crs")
    return map_view.sized(city, plugin.bounds(target.uri, given.get("datetime")), target, given)


async def dataset(request: Request) -> Response:
    """GET /map: several collections over one another."""
    return await _map(request, wanted.parameters(request, (*PARAMETERS, "collections")))


async def _map(request: Request, given: dict[str, str]) -> Response:
    site = site_of(request)
    form, seen = _form(request, given), _transparent(given)
    names = _names(site, request)
    boxes = np.array([tile_layers.extent(site, name) for name in names])
    whole = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    view = map_view.asked(site.schemas.city, given, whole)
    canvas = await draw(site, names, view)
    body = await run_in_threadpool(canvas.encoded, form, transparent=seen)
    return answers.data(body, FORMATS[form], _headers(view))


def _form(request: Request, given: dict[str, str]) -> str:
    return wanted.form(request, given, tuple(FORMATS))


def _transparent(given: dict[str, str]) -> bool:
    seen = given.get("transparent", "true").lower()
    if seen not in ("true", "false"):
        raise bad("transparent: give true or false")
    return seen == "true"


def _headers(view: View) -> dict[str, str]:
    """Where the picture is. OGC API - Maps asks for the URI of its CRS and says nothing of how that
    is written; the header is that of Features, which writes it in angle brackets."""
    west, south, east, north = view.box
    corners = (south, west, north, east) if view.crs.flipped else view.box
    return {
        "Content-Crs": f"<{view.crs.uri}>",
        "Content-Bbox": ",".join(f"{number:.10g}" for number in corners),
    }
