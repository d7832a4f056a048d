"""The changes of all collections in the order of publication, for systems that keep a copy.

A change is numbered by its publication and its object. Publications are committed in the order of
their numbers (``ops.publish``), and what one has changed follows from versions that never go away:
so who has read up to a cursor misses nothing, whatever is loaded meanwhile.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from psycopg import sql
from psycopg.types.numeric import Int8
from starlette.requests import Request
from starlette.responses import Response

from pipeline.db import queries
from pipeline.derive import views
from pipeline.serve import answers, links, params, query, wanted
from pipeline.serve.errors import bad, missing
from pipeline.serve.links import GEOJSON, HTML, JSON, Link
from pipeline.serve.query import Shape, Statement
from pipeline.serve.served import Served
from pipeline.serve.site import Site
from pipeline.serve.values import integer, moment

#: Parameters of the changes.
PARAMETERS = ("f", "lang", "limit", "cursor", "since", "collection", "crs", "skipGeometry")
FORMATS = {
    "json": (GEOJSON, "This document as GeoJSON"),
    "html": (HTML, "This document as HTML"),
}
_PUBLICATIONS = 100
_PAGE_FOR_PEOPLE = 50
_RUN = 19
#: How much of a change's number is that of its object; the SQL shifts by as many.
_OBJECT_BITS = 32


class Place(NamedTuple):
    """Up to which publication, and which object of it, changes are known."""

    seq: int
    object: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(list(self))).decode().rstrip("=")

    @classmethod
    def read(cls, token: str) -> Place:
        """The place that a cursor of ours stands for; 400 for any other text."""
        try:
            plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            found = orjson.loads(plain)
            whole = isinstance(found, list) and all(type(n) is int for n in found)
            if whole and len(found) == 2 and all(0 <= n < 2**63 for n in found):
                return cls(*found)
        except (binascii.Error, ValueError):
            pass
        raise bad("cursor: it is not one that this server gave")


class Publication(NamedTuple):
    """One load or undo of a layer."""

    seq: int
    run: int
    layer: str
    is_undo: bool
    recorded: str


@dataclass
class _Wanted:
    """What is asked for, and what was found of it."""

    site: Site
    served: Served
    shape: Shape
    limit: int
    only: Served | None
    gone: Callable[[], Awaitable[bool]]
    features: list[bytes] = field(default_factory=list)
    returned: int = 0
    more: bool = False

    async def row(self, name: str, **values: object) -> tuple[Any, ...] | None:
        """The first row of a query about publications."""
        view = sql.Identifier(self.site.audience.schema_name, views.PUBLICATION)
        made = _template(name).format(view=view).as_bytes(None)
        return await self.site.features.row(Statement(made, values), self.gone)


@lru_cache(maxsize=64)
def _template(name: str) -> sql.SQL:
    lines = queries.load("history")[name].splitlines()
    return sql.SQL("\n".join(line for line in lines if not line.startswith("--")))


async def items(request: Request) -> Response:
    """GET /collections/{changes}/items."""
    site = answers.site_of(request)
    served = site.feature_collection(request.path_params["collection_id"])
    given = wanted.parameters(request, PARAMETERS)
    form = wanted.form(request, given, tuple(FORMATS))
    language = wanted.language(request, given, site.languages)
    found = _Wanted(
        site,
        served,
        params.shape(served, given),
        _limit(served, given, form),
        _only(site, given),
        request.is_disconnected,
    )
    place = await _read(found, await _begin(found, given))
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
    found = _Wanted(site, served, shape, 1, None, gone)
    await _read(found, Place(number >> _OBJECT_BITS, (number & (2**_OBJECT_BITS - 1)) - 1))
    feature = orjson.loads(found.features[0]) if found.features else {"id": None}
    if feature["id"] != number:
        raise missing(f"there is no change {text!r}")
    path = f"{site.base}/collections/{served.id}"
    title = served.layer.title.of(language)
    told = links.documents(f"{path}/items/{number}", given, FORMATS, form, language)
    told.append({"rel": "collection", "type": JSON, "title": title, "href": path})
    if form == "json":
        headers = {"Content-Crs": f"<{shape.crs.uri}>"}
        return answers.data(orjson.dumps({**feature, "links": told}), GEOJSON, headers)
    content = {
        **_plain(feature), "links": told, "title": title, "id_field": "id", "title_field": None,
        "dataset_path": path, "collections_path": f"{site.base}/collections",
    }  # fmt: skip
    return await answers.page(site, "collections/items/item.html", content, language)


def _plain(feature: dict[str, Any]) -> dict[str, Any]:
    """A change as a page shows it: its row as one text."""
    row = feature["properties"]["row"]
    written = None if row is None else orjson.dumps(row).decode()
    return {**feature, "properties": {**feature["properties"], "row": written}}


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


async def _begin(found: _Wanted, given: dict[str, str]) -> Place:
    """The place after which changes are wanted."""
    if "cursor" in given:
        if "since" in given:
            raise bad("since: the cursor says it already")
        return Place.read(given["cursor"])
    since = given.get("since")
    if since is None:
        return Place(0, 0)
    if since.isascii() and since.isdigit() and len(since) < _RUN:
        row = await found.row("seq_of_run", run=Int8(int(since)))
        if row is None:
            raise bad(f"since: load {since} has changed nothing that is shown here")
    else:
        row = await found.row("seq_at", moment=_moment(since))
    return Place(int(row[0]) + 1 if row else 0, 0)


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise bad(f"since: {text!r} is neither the number of a load nor {error}") from None


async def _read(found: _Wanted, place: Place) -> Place:
    """Reads on from ``place`` until the page is full; the place that was reached."""
    layer = found.only.layer.id if found.only else None
    row = await found.row(
        "publications", seq=Int8(place.seq), layer=layer, most=Int8(_PUBLICATIONS)
    )
    listed = [Publication(*one) for one in orjson.loads(row[0] if row else b"[]")]
    for one in listed:
        place = await _take(found, one, place.object if one.seq == place.seq else 0)
        if found.more or found.returned >= found.limit:
            break
    # Whether more follows shows when it is asked for: an empty last page costs nobody anything.
    found.more |= len(listed) == _PUBLICATIONS or bool(listed and place.seq <= listed[-1].seq)
    return place


async def _take(found: _Wanted, one: Publication, after: int) -> Place:
    """Takes what is left of one publication, as far as it fits."""
    collection = found.site.schemas.layer(one.layer).publish.collection
    made = _statement(found.site.served[collection], found.shape, one.is_undo)
    values = {
        "seq": Int8(one.seq), "run": Int8(one.run), "after": Int8(after), "collection": collection,
        "recorded": one.recorded, "limit": Int8(found.limit - found.returned),
    }  # fmt: skip
    row = await found.site.features.row(Statement(made, values), found.gone)
    features, returned, more, last = row or (None, 0, False, None)
    if features:
        found.features.append(bytes(features))
    found.returned += int(returned)
    found.more = bool(more)
    return Place(one.seq, int(last)) if more else Place(one.seq + 1, 0)


@lru_cache(maxsize=256)
def _statement(served: Served, shape: Shape, is_undo: bool) -> bytes:
    schema = served.audience.schema_name
    made = _template("changes").format(
        versions=sql.Identifier(schema, views.versions_view(served.layer)),
        begun=_template("begun_by_undo" if is_undo else "begun_by_load"),
        geometry=query.geometry(served, shape),
        properties=query.properties(served, tuple(served.fields)),
    )
    return made.as_bytes(None)


def _links(
    path: str, given: dict[str, str], form: str, language: str, place: Place | None
) -> list[Link]:
    found = links.documents(f"{path}/items", given, FORMATS, form, language)
    if place is not None:
        rest = {name: value for name, value in given.items() if name != "since"}
        href = links.address(f"{path}/items", {**rest, "cursor": str(place)})
        found.append(links.link("next", FORMATS[form][0], "Next page", href, language))
    return found


def _document(found: _Wanted, place: Place, told: list[Link]) -> bytes:
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


async def _page(found: _Wanted, path: str, told: list[Link], language: str) -> Response:
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
        "title_field": None,
    }
    return await answers.page(found.site, "collections/items/index.html", content, language)
