"""STAC 1.1: a tree to be walked (catalog, collections, items) and a search over all of it.

The items are few thousands, so they are kept in memory as they are, made anew when a load has
changed them; a search is answered from there and cannot differ from the tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.contracts.raster import ServedRaster
from pipeline.derive import views
from pipeline.serve import answers, models, stac_items, stac_search, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import Problem, bad, missing
from pipeline.serve.links import GEOJSON, JSON, OPENAPI
from pipeline.serve.raster_source import Source
from pipeline.serve.site import Site
from pipeline.serve.stac_items import VERSION, Holding, Item
from pipeline.serve.stac_search import Search

_API = "https://api.stacspec.org/v1.0.0"
#: What the catalogue declares of itself.
CONFORMS = [
    f"{_API}/core", f"{_API}/collections", f"{_API}/item-search", f"{_API}/ogcapi-features",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]  # fmt: skip
_MOST_BYTES = 1_000_000
Link = dict[str, Any]


async def state(request: Request) -> str | None:
    """Of all that the tree is made of."""
    site = site_of(request)
    return " ".join([version async for version in _versions(site)])


async def _versions(site: Site) -> Any:
    yield await site.state.version(views.MODEL)
    for contract in site.schemas.rasters.values():
        yield Source(site.settings.home, contract.id).version() or ""
        for told in ServedRaster.reports(site.settings.home, contract.id).values():
            yield told
    for served in site.served.values():
        if stac_items.is_held(served):
            yield await site.state.version(served.layer.id)


async def _holdings(request: Request) -> list[Holding]:
    """The tree, made anew only when something in it has changed."""
    site = site_of(request)
    key = await state(request)
    kept = site.static.get(("stac",))
    if kept is None or kept[0] != key:
        await models.known(site)
        found = stac_items.rasters(site)
        for name, served in site.served.items():
            if stac_items.is_held(served):
                row = await site.features.row(stac_items.question(served))
                resource = site.config["resources"][name]
                found.append(stac_items.features(served, resource, row[0] if row else b"[]"))
        kept = site.static[("stac",)] = (key, found)
    held: list[Holding] = kept[1]
    return held


def _link(rel: str, href: str, kind: str = JSON, **more: Any) -> Link:
    return {"rel": rel, "type": kind, "href": href, **more}


def _here(site: Site, *parts: str) -> str:
    return "/".join((f"{site.base}/stac", *parts))


async def _one(request: Request) -> Holding:
    name = request.path_params["collection_id"]
    for holding in await _holdings(request):
        if holding.id == name:
            return holding
    raise missing(f"there is no collection {name!r} in the STAC tree")


def _language(request: Request) -> str:
    given = wanted.parameters(request, wanted.COMMON)
    return wanted.language(request, given, site_of(request).languages)


async def _sent(request: Request, found: dict[str, Any], page: str, kind: str = JSON) -> Response:
    """``found``, or the page about it: for people, who come by a browser."""
    given, site = dict(request.query_params), site_of(request)
    form = wanted.form(request, given, ("json", "html"))
    language = wanted.language(request, given, site.languages)
    if form == "html":
        return await answers.page(site, f"stac/{page}.html", found, language)
    return answers.json(found, language, kind)


async def catalog(request: Request) -> Response:
    """GET /stac: the root."""
    site, language = site_of(request), _language(request)
    identity = site.config["metadata"]["identification"]
    root = _here(site)
    children = [
        _link("child", _here(site, "collections", one.id), title=one.resource["title"][language])
        for one in await _holdings(request)
    ]
    found = {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": f"makan-{site.schemas.city.id}",
        "title": identity["title"][language],
        "description": identity["description"][language],
        "conformsTo": CONFORMS,
        "links": [
            _link("self", root),
            _link("root", root),
            _link("data", _here(site, "collections")),
            _link("conformance", f"{site.base}/conformance"),
            _link("service-desc", f"{site.base}/openapi?f=json", OPENAPI),
            _link("search", _here(site, "search"), GEOJSON, method="GET"),
            _link("search", _here(site, "search"), GEOJSON, method="POST"),
            *children,
        ],
    }
    return await _sent(request, found, "catalog")


async def collections(request: Request) -> Response:
    """GET /stac/collections."""
    site, language = site_of(request), _language(request)
    found = [_collection(site, one, language) for one in await _holdings(request)]
    listed = [_link("self", _here(site, "collections")), _link("root", _here(site))]
    listed += [
        _link("child", _here(site, "collections", one["id"]), title=one["title"]) for one in found
    ]
    return await _sent(request, {"collections": found, "links": listed}, "collection")


async def collection(request: Request) -> Response:
    """GET /stac/collections/{id}."""
    language = _language(request)
    made = _collection(site_of(request), await _one(request), language)
    return await _sent(request, made, "collection_base")


def _collection(site: Site, holding: Holding, language: str) -> dict[str, Any]:
    here, root = _here(site, "collections", holding.id), _here(site)
    resource, city = holding.resource, site.schemas.city
    items = [_link("item", f"{here}/items/{item['id']}", GEOJSON) for item in holding.items]
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": holding.id,
        "title": resource["title"][language],
        "description": resource["description"][language],
        "keywords": resource["keywords"][language],
        "license": "other",
        "providers": [
            {"name": city.provider.of(language), "roles": ["producer", "host"],
             "url": city.provider_url}
        ],
        "extent": _extent(holding),
        "links": [
            _link("self", here), _link("root", root), _link("parent", root),
            _link("items", f"{here}/items", GEOJSON),
            _link("license", site.config["metadata"]["license"]["url"], "text/html"), *items,
        ],
    }  # fmt: skip


def _extent(holding: Holding) -> dict[str, Any]:
    """Where and when: of the items, or of the resource while there is none."""
    boxes = [item["bbox"] for item in holding.items if "bbox" in item]
    spatial = holding.resource["extents"]["spatial"]["bbox"]
    if boxes:
        west, south, east, north = zip(*boxes, strict=True)
        spatial = [min(west), min(south), max(east), max(north)]
    days = [stac_items.times(item) for item in holding.items if item["properties"]["datetime"]]
    ends = [min(d[0] for d in days), max(d[1] for d in days)] if days else []
    known: list[str | None] = [f"{end:%Y-%m-%dT%H:%M:%SZ}" for end in ends]
    interval = known or [None, None]
    return {"spatial": {"bbox": [spatial]}, "temporal": {"interval": [interval]}}


def _linked(site: Site, item: Item) -> Item:
    """An item with its place in the tree."""
    up, root = _here(site, "collections", item["collection"]), _here(site)
    found = [
        _link("self", f"{up}/items/{item['id']}", GEOJSON), _link("root", root),
        _link("parent", up), _link("collection", up),
    ]  # fmt: skip
    found += [
        _link("describedby", asset["href"], asset["type"], title=asset["title"])
        for asset in item["assets"].values()
        if "metadata" in asset["roles"]
    ]
    if not item["assets"]:
        feature = f"{site.base}/collections/{item['collection']}/items/{item['id']}"
        found.append(_link("alternate", feature, GEOJSON))
    return {**item, "links": [*found, *item.get("links", [])]}


async def item(request: Request) -> Response:
    """GET /stac/collections/{id}/items/{item}."""
    _language(request)
    holding = await _one(request)
    number = holding.numbers.get(request.path_params["item_id"])
    if number is None:
        raise missing(f"there is no item {request.path_params['item_id']!r} in {holding.id}")
    found = _linked(site_of(request), holding.items[number])
    return await _sent(request, found, "item", GEOJSON)


async def items(request: Request) -> Response:
    """GET /stac/collections/{id}/items."""
    allowed = ("bbox", "datetime", "limit", "offset", *wanted.COMMON)
    given = wanted.parameters(request, allowed)
    holding = await _one(request)
    asked = {name: value for name, value in given.items() if name in stac_search.NAMES}
    here = _here(site_of(request), "collections", holding.id, "items")
    return await _page(request, [holding], stac_search.of_query(asked), _following(here, given))


async def search(request: Request) -> Response:
    """GET /stac/search."""
    given = wanted.parameters(request, (*stac_search.NAMES, *wanted.COMMON))
    asked = {name: value for name, value in given.items() if name in stac_search.NAMES}
    here = _here(site_of(request), "search")
    wished = stac_search.of_query(asked)
    return await _page(request, await _holdings(request), wished, _following(here, given))


async def search_by_body(request: Request) -> Response:
    """POST /stac/search."""
    body = await wanted.body(request)
    if len(body) > _MOST_BYTES:
        raise Problem(413, "InvalidParameterValue", "the body is too long")
    try:
        given = orjson.loads(body or b"{}")
    except ValueError:
        raise bad("the body is no JSON") from None
    if not isinstance(given, dict):
        raise bad("the body is no JSON object")
    here = _here(site_of(request), "search")

    def following(offset: int) -> Link:
        again = {**given, "offset": offset}
        return _link("next", here, GEOJSON, method="POST", body=again)

    wished = stac_search.of_body(given)
    return await _page(request, await _holdings(request), wished, following)


def _following(here: str, given: dict[str, str]) -> Any:
    def following(offset: int) -> Link:
        query = urlencode({**given, "offset": str(offset)}, safe=",:/")
        return _link("next", f"{here}?{query}", GEOJSON, method="GET")

    return following


async def _page(
    request: Request, holdings: list[Holding], wished: Search, following: Any
) -> Response:
    site = site_of(request)
    every = stac_search.found(holdings, wished)
    last = wished.offset + wished.limit
    shown = [_linked(site, one) for one in every[wished.offset : last]]
    found = {
        "type": "FeatureCollection",
        "features": shown,
        "numberMatched": len(every),
        "numberReturned": len(shown),
        "links": [*_around(site, request), *([following(last)] if last < len(every) else [])],
    }
    if request.method == "GET":
        return await _sent(request, found, "items", GEOJSON)
    return answers.json(found, site.languages[0], GEOJSON)


def _around(site: Site, request: Request) -> Iterator[Link]:
    query = request.scope["query_string"].decode("latin-1")
    path = site.base + request.scope["path"]
    yield _link("self", f"{path}?{query}" if query else path, GEOJSON)
    yield _link("root", _here(site))
