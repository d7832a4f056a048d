"""The changes of all collections in the order of publication, for systems that keep a copy.

A change is numbered by its publication and its object. Publications are committed in the order of
their numbers (``ops.publish``), and what one has changed follows from versions that never go away:
so who has read up to a cursor misses nothing, whatever is loaded meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import answers, bbox, crs, links, params, period, wanted
from pipeline.serve.change_feed import OBJECT_BITS, Place, Wanted, begin, read
from pipeline.serve.clause import Clause
from pipeline.serve.errors import bad, missing
from pipeline.serve.links import GEOJSON, HTML, JSON, Link
from pipeline.serve.served import Served
from pipeline.serve.site import Site
from pipeline.serve.values import integer

#: Parameters of the changes.
PARAMETERS = (
    *("f", "lang", "limit", "cursor", "since", "collection", "bbox", "bbox-crs", "datetime"),
    *("crs", "skipGeometry"),
)
#: Beside the facts of a change: the row itself, as the collection shows it.
_ROW = "row"
FORMATS = {
    "json": (GEOJSON, "This document as GeoJSON"),
    "html": (HTML, "This document as HTML"),
}
_PAGE_FOR_PEOPLE = 50


async def items(request: Request) -> Response:
    """GET /collections/{changes}/items."""
    site = answers.site_of(request)
    served = site.feature_collection(request.path_params["collection_id"])
    given = wanted.parameters(request, PARAMETERS)
    form = wanted.form(request, given, tuple(FORMATS))
    language = wanted.language(request, given, site.languages)
    found = Wanted(
        site,
        served,
        params.shape(served, given),
        _limit(served, given, form),
        _only(site, given),
        request.is_disconnected,
        _box(served, given),
        period.interval(given["datetime"]) if "datetime" in given else (None, None),
    )
    place = await read(found, await begin(found, given))
    path = f"{site.base}/collections/{served.id}"
    told = _links(path, given, form, language, place if found.more else None)
    title = served.layer.title.of(language)
    told.append({"rel": "collection", "type": JSON, "title": title, "href": path})
    if form == "html":
        return await _page(found, path, told, language)
    headers = {"Content-Crs": f"<{found.shape.crs.uri}>", "Link": links.header(told)}
    return answers.data(_document(found, place, told), GEOJSON, headers)


async def item(request: Request) -> Response:
    """GET /collections/{changes}/items/{change}: one change, by its number."""
    site = answers.site_of(request)
    served = site.feature_collection(request.path_params["collection_id"])
    given = wanted.parameters(request, ("f", "lang", "crs", "skipGeometry"))
    form = wanted.form(request, given, tuple(FORMATS))
    language = wanted.language(request, given, site.languages)
    text = request.path_params["item_id"]
    number = params.item_number(text) or 0
    shape, gone = params.shape(served, given), request.is_disconnected
    found = Wanted(site, served, shape, 1, None, gone)
    await read(found, Place(number >> OBJECT_BITS, (number & (2**OBJECT_BITS - 1)) - 1))
    feature: dict[str, Any] = orjson.loads(found.features[0]) if found.features else {"id": None}
    if feature["id"] != number:
        raise missing(f"there is no change {text!r}")
    path = f"{site.base}/collections/{served.id}"
    title = served.layer.title.of(language)
    told = links.documents(f"{path}/items/{number}", given, FORMATS, form, language)
    told.append({"rel": "collection", "type": JSON, "title": title, "href": path})
    if form == "json":
        headers = {"Content-Crs": f"<{shape.crs.uri}>"}
        return answers.data(orjson.dumps({**feature, "links": told}), GEOJSON, headers)
    row = feature["properties"][_ROW]
    content: dict[str, Any] = {
        **_plain(feature), _ROW: row, "links": told, "title": title,
        "id_field": "id", "title_field": None, "dataset_path": path,
        "collections_path": f"{site.base}/collections",
    }  # fmt: skip
    return await answers.page(site, "collections/items/item.html", content, language)


def _plain(feature: dict[str, Any]) -> dict[str, Any]:
    """A change as a page shows it: without its row, which is told apart."""
    told = {name: value for name, value in feature["properties"].items() if name != _ROW}
    return {**feature, "properties": told}


def _limit(served: Served, given: dict[str, str], form: str) -> int:
    publish = served.layer.publish
    if "limit" not in given:
        return _PAGE_FOR_PEOPLE if form == "html" else publish.default_limit
    try:
        limit = int(integer(given["limit"]))
    except ValueError as error:
        raise bad(f"limit: must be {error}, {given['limit']!r} is not") from None
    if limit < 1:
        raise bad("limit: must be 1 or more")
    return min(limit, publish.max_limit)


def _only(site: Site, given: dict[str, str]) -> Served | None:
    name = given.get("collection")
    if name is None:
        return None
    found = site.served.get(name)
    if found is None or found.layer.source != "feed":
        raise bad(f"collection: there are no changes of {name!r}")
    return found


def _box(log: Served, given: dict[str, str]) -> Callable[[Served], Clause] | None:
    """What makes of a collection the condition that its features meet the box that is asked for."""
    if "bbox" not in given:
        if "bbox-crs" in given:
            raise bad("bbox-crs: stands without bbox")
        return None
    named = crs.named(log.city, given.get("bbox-crs", crs.CRS84), "bbox-crs")
    bbox.parse(given["bbox"], named)
    return lambda served: bbox.clause(served, given["bbox"], named)


def _links(
    path: str, given: dict[str, str], form: str, language: str, place: Place | None
) -> list[Link]:
    found = links.documents(f"{path}/items", given, FORMATS, form, language)
    if place is not None:
        rest = {name: value for name, value in given.items() if name != "since"}
        href = links.address(f"{path}/items", {**rest, "cursor": str(place)})
        found.append(links.link("next", FORMATS[form][0], "Next page", href, language))
    return found


def _document(found: Wanted, place: Place, told: list[Link]) -> bytes:
    """The page; ``cursor`` is where to come back for what will change, whether more follows now."""
    return b"".join(
        (
            b'{"type":"FeatureCollection","numberReturned":%d,"cursor":"%b","links":'
            % (found.returned, str(place).encode()),
            orjson.dumps(told),
            b',"features":[',
            b",".join(found.features),
            b"]}",
        )
    )


async def _page(found: Wanted, path: str, told: list[Link], language: str) -> Response:
    features = [_plain(one) for one in orjson.loads(b"[%b]" % b",".join(found.features))]
    content = {
        "type": "FeatureCollection",
        "features": features,
        "numberMatched": None,
        "numberReturned": found.returned,
        "links": told,
        "itemtype": "feature",
        "items_path": f"{path}/items",
        "dataset_path": path,
        "collections_path": f"{found.site.base}/collections",
        "offset": 0,
        "limit": found.limit,
        "title_field": None,
    }
    return await answers.page(found.site, "collections/items/index.html", content, language)
