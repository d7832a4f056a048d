"""OGC API - Records 1 (20-004r1): what is published, as records of one catalogue that is searched.

A record is made for each collection, raster and process that the audience sees. They are some
dozens and cannot change while the server runs, so they are made once a language and kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import shapely
from starlette.requests import Request
from starlette.responses import Response

from pipeline import fold
from pipeline.derive.openapi_records import CATALOGUE, MOST, PAGE
from pipeline.serve import (
    answers,
    crs,
    datasets,
    dcat,
    jobs,
    links,
    record_filter,
    record_search,
    wanted,
)
from pipeline.serve.documents import FORMS, Kind, View, document
from pipeline.serve.errors import missing
from pipeline.serve.links import GEOJSON, HTML, JSON, JSONLD, SCHEMA
from pipeline.serve.record_search import Ends, Record
from pipeline.serve.site import Site

_CORE = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"
_PATH = f"/collections/{CATALOGUE}"
_FORMATS = {
    "json": (GEOJSON, "This document as GeoJSON"),
    "html": FORMS["html"],
    "jsonld": (JSONLD, "This document as RDF (DCAT)"),
}
Part = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]


def every(site: Site, language: str) -> list[Record]:
    """All records, collections first; kept."""
    key = ("records", language)
    if key not in site.static:
        found = [_dataset(site, name, language) for name in site.config["resources"]]
        found += [_service(site, name, language) for name in site.answerer.processes]
        site.static[key] = found
    kept: list[Record] = site.static[key]
    return kept


def _dataset(site: Site, name: str, language: str) -> Record:
    resource = site.config["resources"][name]
    west, south, east, north = resource["extents"]["spatial"]["bbox"]
    place = shapely.box(west, south, east, north)
    time = resource["extents"].get("temporal")
    ends = (_moment(time.get("begin")), _moment(time.get("end"))) if time else None
    path = f"/collections/{name}"
    kinds = {provider["type"] for provider in resource["providers"]}
    ways = [("about", JSON, path)]
    if "feature" in kinds:
        ways.append(("items", GEOJSON, f"{path}/items?f=json"))
    if "coverage" in kinds:
        ways.append((f"{links.OGC}/coverage", JSON, f"{path}/coverage?f=json"))
    texts = {part: resource[part] for part in ("title", "description", "keywords")}
    files = [link for link in resource["links"] if link["rel"] == "enclosure"]
    return _record(site, language, name, ("dataset", texts, place, ends), ways, files)


def _service(site: Site, name: str, language: str) -> Record:
    process = site.answerer.processes[name]
    texts: Part = {
        part: {spoken: getattr(process, part).of(spoken) for spoken in site.languages}
        for part in ("title", "description")
    }
    texts["keywords"] = {one: list(process.keywords) for one in site.languages}
    kind = "document" if process.document else "service"
    path = f"/processes/{name}"
    ways = [("about", JSON, path), (f"{links.OGC}/execute", JSON, f"{path}/execution")]
    return _record(site, language, name, (kind, texts, None, None), ways, [])


def _record(
    site: Site,
    language: str,
    name: str,
    told: tuple[str, Part, shapely.Geometry | None, Ends | None],
    ways: list[tuple[str, str, str]],
    files: list[Part],
) -> Record:
    kind, texts, place, ends = told
    said = {part: found.get(language, "") for part, found in texts.items()}
    metadata = site.config["metadata"]
    content = {
        "id": name,
        "type": "Feature",
        "conformsTo": [_CORE],
        "time": {"interval": [_written(end) for end in ends]} if ends else None,
        "geometry": orjson.loads(shapely.to_geojson(place)) if place is not None else None,
        "properties": {
            "type": kind,
            **said,
            "language": {"code": language},
            "languages": [{"code": one} for one in site.languages],
            "license": metadata["license"]["url"],
            "contacts": [{"name": metadata["contact"]["name"], "roles": ["publisher"]}],
        },
        "links": [
            *(links.link(rel, form, said["title"], site.base + path, language)
              for rel, form, path in ways),
            *files,
        ],
    }  # fmt: skip
    return Record(content, _words(name, texts), place, ends)


def _words(name: str, texts: Part) -> tuple[str, ...]:
    """Each text that is searched, in each language, as searches spell it."""
    said = [text for found in texts.values() for text in found.values()]
    parts = [one for text in said for one in (text if isinstance(text, list) else [text])]
    return tuple(f" {fold.one(str(part))} " for part in (name, *parts))


def _moment(found: Any) -> datetime | None:
    """A time of the configuration, which has it as a date or a text too."""
    if found is None or isinstance(found, datetime):
        return found
    return datetime.fromisoformat(str(found)).replace(tzinfo=UTC)


def _written(end: datetime | None) -> str:
    return ".." if end is None else end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def described(request: Request) -> Response:
    """GET /collections/catalogue."""

    def page_only(view: View) -> Part:
        found = [one.content for one in every(view.site, view.language)]
        return {"features": found, "numberMatched": len(found)}

    return await document(request, Kind("records/index.html", page_only), about)


def listed(theirs: Handler) -> Handler:
    """GET /collections: pygeoapi's list, and the catalogue among them."""

    async def answer(request: Request) -> Response:
        response = await theirs(request)
        if request.scope["path"] != "/collections" or response.headers["content-type"] != JSON:
            return response
        site = answers.site_of(request)
        language = wanted.language(request, dict(request.query_params), site.languages)
        found = orjson.loads(bytes(response.body))
        found["collections"].append(about(View(site, language, "json")))
        return answers.json(found, language)

    return answer


def about(view: View) -> Part:
    """The catalogue as a collection of records."""
    site = view.site
    boxes = [one.place for one in every(site, view.language) if one.place is not None]
    west, south, east, north = shapely.union_all(boxes).bounds
    identity = site.config["metadata"]["identification"]
    return {
        "id": CATALOGUE,
        "type": "Collection",
        "itemType": "record",
        "title": links.said("Catalogue", view.language),
        "description": identity["description"].get(view.language, ""),
        "extent": {"spatial": {"bbox": [[west, south, east, north]], "crs": crs.CRS84}},
        "crs": [crs.CRS84],
        "license": site.config["metadata"]["license"]["url"],
        "defaultSortOrder": [{"field": name, "direction": "asc"} for name in record_search.DEFAULT],
        "links": [
            *view.links(_PATH),
            view.link(f"{links.OGC}/sortables", SCHEMA, "Sortables", f"{_PATH}/sortables"),
            view.link(f"{links.OGC}/queryables", SCHEMA, "Queryables", f"{_PATH}/queryables"),
            view.link("items", GEOJSON, "Catalogue", f"{_PATH}/items?f=json"),
            view.link("items", HTML, "Catalogue", f"{_PATH}/items?f=html"),
        ],
    }


async def items(request: Request) -> Response:
    """GET /collections/catalogue/items: the records that are searched for, a page of them."""
    site = answers.site_of(request)
    known = (*wanted.COMMON, *record_search.PARAMETERS, *record_filter.PARAMETERS)
    given = wanted.parameters(request, known)
    # What is given empty counts as not given (req/record-core-query-parameters/empty-value).
    given = {name: value for name, value in given.items() if value}
    form = wanted.form(request, given, tuple(_FORMATS))
    view = View(site, wanted.language(request, given, site.languages), form)
    found = record_search.chosen(every(site, view.language), given)
    found = record_search.ordered(await record_filter.chosen(site, found, given), given)
    first = jobs.whole(given, "offset", 0, least=0)
    last = first + min(jobs.whole(given, "limit", PAGE, least=1), MOST)
    told = await _told(site, found[first:last], view.language)
    if form == "jsonld":
        return _as_dcat(site, told, view.language)
    steps = {"next": last} if last < len(found) else {}
    content = {
        "type": "FeatureCollection",
        "numberMatched": len(found),
        "numberReturned": len(found[first:last]),
        "links": [
            *links.documents(f"{site.base}{_PATH}/items", given, _FORMATS, form, view.language),
            view.link("collection", JSON, "Catalogue", _PATH),
            *jobs.turns(view, given, f"{_PATH}/items", steps),
        ],
        "features": told,
    }
    if form == "html":
        return await answers.page(site, "records/index.html", {**content, **given}, view.language)
    return answers.json(content, view.language, GEOJSON)


async def schema(request: Request) -> Response:
    """GET /collections/catalogue/sortables and /queryables: the properties that records can be
    sorted by, or asked for by their value."""
    site = answers.site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    wanted.form(request, given, ("json",))
    language = wanted.language(request, given, site.languages)
    name = request.scope["path"].rsplit("/", 1)[1]
    address, title = f"{site.base}{_PATH}/{name}", links.said("Catalogue", language)
    made = record_search.schema(address, title, place=name == "queryables")
    return answers.json(made, language, SCHEMA)


async def _told(
    site: Site, records: list[Record], language: str, name: str | None = None
) -> list[Part]:
    """The records (the one called ``name``), those of datasets with what changes with the data."""
    known = await datasets.known(site)
    contents = [one.content for one in records if name is None or one.content["id"] == name]
    return [
        datasets.whole(site, one, known, language)
        if one["properties"]["type"] == "dataset" else one
        for one in contents
    ]  # fmt: skip


def _as_dcat(site: Site, records: list[Part], language: str) -> Response:
    made = dcat.catalogue(site, f"{site.base}{_PATH}/items", records, language)
    return answers.json(made, language, JSONLD)


async def item(request: Request) -> Response:
    """GET /collections/catalogue/items/{id}."""
    site = answers.site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    form = wanted.form(request, given, tuple(_FORMATS))
    language = wanted.language(request, given, site.languages)
    name = request.path_params["item_id"]
    for one in await _told(site, every(site, language), language, name):
        if form == "jsonld":
            return _as_dcat(site, [one], language)
        if one["id"] == name:
            here = f"{site.base}{_PATH}/items/{name}"
            own = [
                *links.documents(here, {}, _FORMATS, form, language),
                links.link("collection", JSON, "Catalogue", f"{site.base}{_PATH}", language),
            ]
            content = {**one, "links": [*own, *one["links"]]}
            if form == "html":
                page = {"features": [content], "numberMatched": 1, "links": own, "single": True}
                return await answers.page(site, "records/index.html", page, language)
            return answers.json(content, language, GEOJSON)
    raise missing(f"there is no record {name!r} in the catalogue")
