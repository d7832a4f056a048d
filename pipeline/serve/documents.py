"""Documents about the service: landing page, conformance, OpenAPI, schemas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import jsonschema
from pipeline.derive.openapi_records import CATALOGUE
from pipeline.serve import (
    answers,
    conformance,
    files,
    gml,
    links,
    params,
    tile_layers,
    wanted,
)
from pipeline.serve.answers import site_of
from pipeline.serve.config import LICENCE
from pipeline.serve.errors import missing
from pipeline.serve.links import HTML, JSON, OGC, OPENAPI, SCHEMA, Link
from pipeline.serve.pages import translated
from pipeline.serve.site import Site

_FOLLOWS = "case-status"
_SEARCH = "search"
_CAPABILITIES = "SERVICE={}&REQUEST=GetCapabilities"
FORMS = {"json": (JSON, "This document as JSON"), "html": (HTML, "This document as HTML")}


@dataclass(frozen=True, slots=True)
class View:
    """For whom a document is made."""

    site: Site
    language: str
    form: str

    def links(self, path: str) -> list[Link]:
        """The document itself and its other format."""
        return links.documents(self.site.base + path, {}, FORMS, self.form, self.language)

    def link(self, rel: str, kind: str, title: str, path: str) -> Link:
        """A link to another document."""
        return links.link(rel, kind, title, self.site.base + path, self.language)


Make = Callable[[View], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a document is sent: its page, what only the page needs, its media type, parameters."""

    template: str
    page_only: Make | None = None
    media_type: str = JSON
    known: tuple[str, ...] = wanted.COMMON
    forms: tuple[str, ...] = tuple(FORMS)


async def document(request: Request, kind: Kind, make: Make, part: str = "") -> Response:
    """The document that ``make`` makes, as JSON or as a page; kept, since it cannot change.
    ``part`` tells parts of a list apart."""
    site = site_of(request)
    given = wanted.parameters(request, kind.known)
    form = kind.forms[0] if len(kind.forms) == 1 else wanted.form(request, given, kind.forms)
    view = View(site, wanted.language(request, given, site.languages), form)
    key = (request.scope["path"], form, view.language, part)
    if key not in site.static:
        site.static[key] = await _made(view, kind, make(view))
    kept: Response = site.static[key]
    return Response(kept.body, headers=dict(kept.headers))


async def _made(view: View, kind: Kind, content: dict[str, Any]) -> Response:
    if view.form == "json":
        return answers.json(content, view.language, kind.media_type)
    added = kind.page_only(view) if kind.page_only else {}
    return await answers.page(view.site, kind.template, {**content, **added}, view.language)


async def licence(request: Request) -> Response:
    """GET /licence: under what the data may be used, where the city has no address for it."""

    def told(view: View) -> dict[str, Any]:
        metadata = view.site.config["metadata"]
        return {
            "title": metadata["license"]["name"][view.language],
            "provider": view.site.schemas.city.provider.of(view.language),
            "url": metadata["license"]["url"],
            "contact": metadata["contact"]["email"],
            "links": view.links(LICENCE),
        }

    return await document(request, Kind("licence.html"), told)


async def kiosk(request: Request) -> Response:
    """GET /kiosk: search, map and follow-up of cases for touch screens, from this server alone."""

    def told(view: View) -> dict[str, Any]:
        site = view.site
        return {
            **tile_layers.city_map(site),
            "code": site.schemas.city.published("parcel_code"),
            "follows": _FOLLOWS in site.answerer.processes,
            "search": _searched(site),
            "links": [],
        }

    return await document(request, Kind("kiosk.html", known=("lang",), forms=("html",)), told)


async def landing(request: Request) -> Response:
    """GET /."""

    def page_only(view: View) -> dict[str, Any]:
        return {
            "collection": bool(view.site.config["resources"]),
            "tile": _tiled(view.site),
            "process": bool(view.site.answerer.processes),
            "search": _searched(view.site),
        }

    return await document(request, Kind("landing_page.html", page_only), _landing)


def _searched(site: Site) -> dict[str, str] | None:
    """Where words are searched for, and the input that they are."""
    process = site.answerer.processes.get(_SEARCH)
    if process is None:
        return None
    asked = next(one.name for one in process.inputs if one.required)
    return {"path": f"/processes/{_SEARCH}/execution", "input": asked}


def _tiled(site: Site) -> bool:
    providers = (p for found in site.config["resources"].values() for p in found["providers"])
    return any(provider["type"] == "tile" for provider in providers)


def _landing(view: View) -> dict[str, Any]:
    site = view.site
    identity = translated(site.config["metadata"]["identification"], view.language, site.languages)
    found = [
        *view.links("/"),
        view.link("service-desc", OPENAPI, "The OpenAPI definition as JSON", "/openapi?f=json"),
        view.link("service-doc", HTML, "The OpenAPI definition as HTML", "/openapi?f=html"),
        view.link("conformance", JSON, "Conformance", "/conformance"),
        view.link("data", JSON, "Collections", "/collections"),
        view.link(f"{OGC}/ogc-catalog", JSON, "Catalogue", f"/collections/{CATALOGUE}"),
    ]
    if site.answerer.processes:
        found.append(view.link(f"{OGC}/processes", JSON, "Processes", "/processes"))
        if site.audience.needs_key:
            found.append(view.link(f"{OGC}/job-list", JSON, "Jobs", "/jobs"))
    if _tiled(site):
        found.append(view.link(f"{OGC}/tiling-schemes", JSON, "Tile grids", "/TileMatrixSets"))
    if tile_layers.groups(site):
        found += [
            view.link(f"{OGC}/tilesets-vector", JSON, "Maps of several layers", "/tiles"),
            view.link(f"{OGC}/styles", JSON, "Styles", "/styles"),
            view.link(f"{OGC}/map", "image/png", "Map", "/map?f=png"),
            view.link("service", "text/xml", "WMS", f"/wms?{_CAPABILITIES.format('WMS')}"),
            view.link("service", "text/xml", "WMTS", f"/wmts?{_CAPABILITIES.format('WMTS')}"),
        ]
    return {"title": identity["title"], "description": identity["description"], "links": found}


async def conforms(request: Request) -> Response:
    """GET /conformance."""

    def make(view: View) -> dict[str, Any]:
        found = conformance.classes(
            view.site.config,
            view.site.answerer.processes,
            lists_jobs=view.site.audience.needs_key,
            writes=view.site.editor is not None,
            arrays=any(f.several for one in view.site.served.values() for f in one.fields.values()),
        )
        return {"conformsTo": found}

    return await document(request, Kind("conformance.html"), make)


async def openapi(request: Request) -> Response:
    """GET /openapi: the document as it was published, or the page that shows it."""
    site = site_of(request)
    known = (*wanted.COMMON, "ui")
    given = wanted.parameters(request, known)
    if wanted.form(request, given, tuple(FORMS)) == "json":
        return answers.data(site.openapi, OPENAPI)

    def make(view: View) -> dict[str, Any]:
        return {"openapi-document-path": f"{view.site.base}/openapi"}

    return await document(request, Kind("openapi/swagger.html", known=known), make)


async def schema(request: Request) -> Response:
    """GET /collections/{id}/schema, of the features as JSON or (``f=xsd``) as GML."""
    if request.query_params.get("f") == "xsd":
        return await _xsd(request)
    return await _schema(request, "schema", jsonschema.schema)


async def _xsd(request: Request) -> Response:
    site = site_of(request)
    wanted.parameters(request, wanted.COMMON)
    served = site.feature_collection(request.path_params["collection_id"])
    key = (request.scope["path"], "xsd")
    if key not in site.static:
        wished = params.query(served, {}, whole=True)
        site.static[key] = await run_in_threadpool(files.gml_schema, wished, site.base)
    return answers.data(site.static[key], gml.XSD)


async def queryables(request: Request) -> Response:
    """GET /collections/{id}/queryables."""
    return await _schema(request, "queryables", jsonschema.queryables)


async def _schema(request: Request, name: str, derive: Callable[..., dict[str, Any]]) -> Response:
    site = site_of(request)
    served = site.feature_collection(request.path_params["collection_id"])
    if name == "queryables" and served.layer.source == "log":
        raise missing("changes take no filter: read them on from a cursor")
    path = f"{site.base}/collections/{served.id}"

    def make(view: View) -> dict[str, Any]:
        made: dict[str, Any] = derive(
            site.schemas, served.layer, site.audience, view.language, f"{path}/{name}"
        )
        return made

    def page_only(_: View) -> dict[str, Any]:
        return {"dataset_path": path, "collections_path": f"{site.base}/collections"}

    return await document(request, Kind(f"collections/{name}.html", page_only, SCHEMA), make)
