"""/items and /search: features spliced as PostGIS wrote them."""

from __future__ import annotations

import csv
import io
from collections.abc import Buffer, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import shapely
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.answers.table import cell
from pipeline.serve import (
    answers,
    changes,
    files,
    json_fg,
    links,
    own_area,
    paging,
    params,
    wanted,
)
from pipeline.serve.errors import Problem, bad, missing
from pipeline.serve.links import CSV, GEOJSON, HTML, JSON, JSONFG, Link
from pipeline.serve.query import PERIOD, Query
from pipeline.serve.served import Served
from pipeline.serve.site import Site
from pipeline.serve.state import Counted

FORMATS = {
    "json": (GEOJSON, "This document as GeoJSON"),
    **json_fg.FORMAT,
    "html": (HTML, "This document as HTML"),
    "csv": (CSV, "This document as CSV"),
    **files.FORMATS,
}
#: The area that a list was cut by.
_AREA = "Makan-Area"
Known = Callable[[Served], tuple[str, ...]]
# The default page is sized for programs; a page of that length is nothing to look at.
_PAGE_FOR_PEOPLE = "50"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what was read from it."""

    site: Site
    served: Served
    given: dict[str, str]
    form: str
    language: str

    @property
    def path(self) -> str:
        """Where the collection is."""
        return f"{self.site.base}/collections/{self.served.id}"

    def collection_link(self) -> Link:
        """Back to the collection."""
        title = self.served.layer.title.of(self.language)
        return {"rel": "collection", "type": JSON, "title": title, "href": self.path}


def read(request: Request, known: Known, formats: Mapping[str, Any]) -> Asked:
    """The request, with the parameters that the collection's are ``known`` to be."""
    site = answers.site_of(request)
    served = site.feature_collection(request.path_params["collection_id"])
    given = wanted.parameters(request, known(served))
    form = wanted.form(request, given, tuple(formats))
    return Asked(site, served, given, form, wanted.language(request, given, site.languages))


async def items(request: Request) -> Response:
    """GET /collections/{id}/items."""
    if is_log(request):
        return await changes.items(request)
    asked = read(request, _known, FORMATS)
    if asked.form == "html":
        asked.given.setdefault("limit", _PAGE_FOR_PEOPLE)
    return await _answered(request, asked)


def _known(served: Served) -> tuple[str, ...]:
    return (*params.known(served), *own_area.parameters(served))


def is_log(request: Request) -> bool:
    """Whether the collection tells of changes: those are read on from a place, and not searched."""
    served = answers.site_of(request).served.get(request.path_params["collection_id"])
    return served is not None and served.layer.source == "log"


async def _answered(request: Request, asked: Asked) -> Response:
    area = own_area.of(request, asked.served, asked.given)
    if asked.form not in files.FORMATS:
        wished = params.query(asked.served, asked.given, placed=asked.form == "jsonfg")
        return await _answer(request, asked, own_area.cut(asked.site, wished, area))
    wished = params.query(asked.served, asked.given, whole=True)
    wished = own_area.cut(asked.site, wished, area)
    counted = await asked.site.state.counts(wished)
    matched = await _matched(request, asked, wished, counted)
    answer = await asked.site.files.answer(wished, asked.form, request.is_disconnected)
    answer.headers["Content-Crs"] = f"<{wished.shape.crs.uri}>"
    end = wished.offset + (wished.limit or matched)
    answer.headers.update(_counts(matched, max(0, min(end, matched) - wished.offset)))
    if end < matched:
        # Who asks for a part (QGIS does, page by page) learns where the rest is.
        href = links.address(f"{asked.path}/items", {**asked.given, "offset": str(end)})
        kind = FORMATS[asked.form][0]
        following = links.link("next", kind, "Next page", href, asked.language)
        answer.headers["Link"] = links.header([following])
    return answer


def _counts(matched: int | None, returned: int) -> dict[str, str]:
    """Headers for formats that have no place for a count (and for who asks by HEAD)."""
    told = {} if matched is None else {"OGC-NumberMatched": str(matched)}
    return {**told, "OGC-NumberReturned": str(returned)}


async def _matched(request: Request, asked: Asked, wished: Query, counted: Counted) -> int:
    """How many features match, by the count that is kept or by a new one."""
    if counted.number is None:
        row = await asked.site.features.row(wished.count(), request.is_disconnected)
        counted.keep(int(row[0]) if row else 0)
    return counted.number or 0


async def search(request: Request) -> Response:
    """POST /collections/{id}/search: the filter is the body (CQL2 JSON), the rest as in /items."""
    if is_log(request):
        raise missing("changes are not searched: read them on from a cursor")
    asked = read(request, params.known, FORMATS)
    if "filter" in asked.given or "filter-lang" in asked.given:
        raise bad("filter: in a search it is the body, as CQL2 JSON")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("application/json", "application/query-cql-json"):
        raise Problem(415, "InvalidParameterValue", "the body must be application/json (CQL2)")
    try:
        text = (await wanted.body(request)).decode()
    except UnicodeDecodeError:
        raise bad("the body is not UTF-8") from None
    asked.given.update({"filter": text, "filter-lang": "cql2-json"})
    return await _answered(request, asked)


async def _answer(request: Request, asked: Asked, wished: Query) -> Response:
    headers = {"Content-Crs": f"<{wished.shape.crs.uri}>"}
    gone = request.is_disconnected
    counted = await asked.site.state.counts(wished)
    if not wished.hits:
        statement = wished.page(counted=wished.counted and counted.number is not None)
        page = _page(wished, await asked.site.features.row(statement, gone), counted)
    else:
        page = _Page(b"", 0, await _matched(request, asked, wished, counted), None)
    found = _links(asked, wished, page)
    if area := own_area.of(request, asked.served, asked.given):
        headers[_AREA] = area
        found.append(_everywhere(asked))
    headers |= {**_counts(page.matched, page.returned), "Link": links.header(found)}
    if asked.form == "html":
        answer = await _html_page(asked, wished, page, found)
    elif asked.form == "csv":
        content = await run_in_threadpool(_csv, asked.served, wished, page.features)
        name = f'attachment; filename="{asked.served.id}.csv"'
        answer = answers.data(content, CSV, {"Content-Disposition": name})
    elif asked.form == "jsonfg":
        counts = (page.matched, page.returned)
        content = json_fg.collection(asked.served, wished.shape, counts, found, page.features)
        answer = answers.data(content, JSONFG)
    else:
        answer = answers.data(_collection(page, found), GEOJSON)
    answer.headers.update(headers)
    return answer


@dataclass(frozen=True, slots=True)
class _Page:
    features: Buffer
    returned: int
    matched: int | None
    next_cursor: str | None


def _page(wished: Query, row: tuple[Any, ...] | None, counted: Counted) -> _Page:
    features, returned, more, last, matched = row or (b"", 0, False, None, None)
    if matched is not None:
        counted.keep(int(matched))
    cursor = None
    if more:
        keys = [None if key is None else bytes(key).decode() for key in last]
        cursor = paging.cursor(wished.keys, keys)
    # Who wants no count gets the same bytes whether it is known by now or not.
    number = counted.number if wished.counted else matched
    return _Page(features or b"", int(returned), number, cursor)


def _links(asked: Asked, wished: Query, page: _Page) -> list[Link]:
    path, language = f"{asked.path}/items", asked.language
    found = links.documents(path, asked.given, FORMATS, asked.form, language)
    kind = FORMATS[asked.form][0]
    rest = {n: v for n, v in asked.given.items() if n not in ("offset", "cursor")}
    if page.next_cursor:
        href = links.address(path, {**rest, "cursor": page.next_cursor})
        found.append(links.link("next", kind, "Next page", href, language))
    if wished.offset:
        back = {"offset": str(max(0, wished.offset - wished.limit))}
        href = links.address(path, {**rest, **back})
        found.append(links.link("prev", kind, "Previous page", href, language))
    return [*found, asked.collection_link()]


def _everywhere(asked: Asked) -> Link:
    """The same list of the whole city."""
    rest = {n: v for n, v in asked.given.items() if n not in ("offset", "cursor")}
    href = links.address(f"{asked.path}/items", {**rest, own_area.PARAMETER: own_area.EVERYWHERE})
    return links.link("related", FORMATS[asked.form][0], "The whole city", href, asked.language)


def _collection(page: _Page, found: list[Link]) -> bytes:
    # No timeStamp, which the standard leaves open: the same features are to be the same bytes.
    matched = b"" if page.matched is None else b'"numberMatched":%d,' % page.matched
    return b"".join(
        (
            b'{"type":"FeatureCollection",%b"numberReturned":%d,"links":'
            % (matched, page.returned),
            orjson.dumps(found),
            b',"features":[',
            page.features,
            b"]}",
        )
    )


async def _html_page(asked: Asked, wished: Query, page: _Page, found: list[Link]) -> Response:
    content = {
        "type": "FeatureCollection",
        "features": _objects(page.features),
        "numberMatched": page.matched,
        "numberReturned": page.returned,
        "links": found,
        "itemtype": "feature",
        "items_path": f"{asked.path}/items",
        "dataset_path": asked.path,
        "collections_path": f"{asked.site.base}/collections",
        "offset": wished.offset,
        "limit": wished.limit,
        "title_field": _label(asked.served, wished),
    }
    return await answers.page(asked.site, "collections/items/index.html", content, asked.language)


def _objects(features: Buffer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(b"".join((b"[", features, b"]")))
    return found


def _label(served: Served, wished: Query) -> str | None:
    """The field that names features, if it is among those that are shown."""
    names = wished.shape.names
    return served.label if names is None or served.label in names else None


def _csv(served: Served, wished: Query, features: Buffer) -> bytes:
    """A table with the id first and the geometry as WKT last."""
    names = wished.columns
    shaped = served.has_geometry and not wished.shape.skip_geometry
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(["id", *names, *(["geometry"] if shaped else [])])
    for feature in _objects(features):
        held = dict(zip(PERIOD, _held(feature), strict=True))
        cells = [cell({**held, **feature["properties"]}[name]) for name in names]
        geometry = [_wkt(feature["geometry"])] if shaped else []
        table.writerow([feature["id"], *cells, *geometry])
    return out.getvalue().encode()


def _held(feature: dict[str, Any]) -> list[str | None]:
    """Begin and end of a version, None where open."""
    ends = feature.get("time", {}).get("interval", [None, None])
    return [None if end == ".." else end for end in ends]


def _wkt(geometry: dict[str, Any] | None) -> str:
    if geometry is None:
        return ""
    text: str = shapely.to_wkt(shapely.from_geojson(orjson.dumps(geometry)), rounding_precision=-1)
    return text
