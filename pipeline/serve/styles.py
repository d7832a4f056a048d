"""OGC API Styles: every collection and group of layers as MapLibre, SLD and QGIS styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import grids, style_maplibre, style_qml, style_sld, symbols
from pipeline.derive.symbols import Drawing
from pipeline.serve import answers, legend, links, tile_layers, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import missing
from pipeline.serve.links import HTML, JSON, Link
from pipeline.serve.site import Site
from pipeline.serve.tile_layers import Drawn, Offers

MAPLIBRE = "application/vnd.mapbox.style+json"
SLD = "application/vnd.ogc.sld+xml;version=1.0"
QML = "application/x-qgis-layer-settings"
PNG = "image/png"
_SHEETS = {"mbs": (MAPLIBRE, "MapLibre"), "sld10": (SLD, "SLD 1.0"), "qml": (QML, "QGIS (QML)")}
_CLASS = "http://www.opengis.net/def/rel/ogc/1.0"


@dataclass(frozen=True)
class Style:
    """One style: what it draws, and its name and title."""

    id: str
    drawn: Drawn
    drawings: tuple[Drawing, ...]

    @property
    def forms(self) -> dict[str, tuple[str, str]]:
        """The forms it is offered in; QGIS' own is of one layer alone."""
        several = len(self.drawings) > 1
        return {name: kind for name, kind in _SHEETS.items() if not (several and name == "qml")}


def all_styles(site: Offers) -> dict[str, Style]:
    """Groups first, then collections, by id."""
    found = {name: _style(site, name, drawn) for name, drawn in tile_layers.groups(site).items()}
    for name, served in site.served.items():
        if served.has_geometry and served.layer.publish.tiles:
            found[name] = _style(site, name, tile_layers.of_collection(site, name))
    return found


def _style(site: Offers, name: str, drawn: Drawn) -> Style:
    drawings = tuple(symbols.drawing(site.schemas, one.layer, one.audience) for one in drawn.layers)
    return Style(name, drawn, drawings)


def named(site: Offers, name: str) -> Style:
    """The style called ``name``; 404 if there is none."""
    drawn = tile_layers.groups(site).get(name)
    if drawn is None:
        if name not in site.served:
            raise missing(f"there is no style {name!r}")
        drawn = tile_layers.of_collection(site, name)
    return _style(site, name, drawn)


def _described(site: Site, style: Style, language: str) -> dict[str, Any]:
    here = f"{site.base}/styles/{style.id}"
    found: list[Link] = [
        links.link("stylesheet", kind, title, f"{here}?f={form}&lang={language}", language)
        for form, (kind, title) in style.forms.items()
    ]
    found.append(links.link("describedby", JSON, "Metadata", f"{here}/metadata?f=json", language))
    legend_address = f"{here}/legend?f=png&lang={language}"
    found.append(links.link(f"{_CLASS}/legend", PNG, "Legend", legend_address, language))
    return {"id": style.id, "title": style.drawn.title[language], "links": found}


async def listed(request: Request) -> Response:
    """GET /styles, and of one collection."""
    site = site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    form = wanted.form(request, given, ("json", "html"))
    language = wanted.language(request, given, site.languages)
    name = request.path_params.get("collection_id")
    found: Sequence[Style] = list(all_styles(site).values())
    path = "/styles"
    if name is not None:
        site.feature_collection(name)
        path = f"/collections/{name}/styles"
        found = [style for style in found if style.id == name]
        if not found:
            raise missing(f"the collection {name!r} has no style")
    offered = {"json": (JSON, "This document as JSON"), "html": (HTML, "This document as HTML")}
    content = {
        "default": found[0].id if found else None,
        "styles": [_described(site, style, language) for style in found],
        "links": links.documents(site.base + path, {}, offered, form, language),
    }
    if form == "html":
        return await answers.page(site, "styles/index.html", content, language)
    return answers.json(content, language)


async def sheet(request: Request) -> Response:
    """GET /styles/{id}: the style itself, in the form that is asked for."""
    site = site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    style = named(site, request.path_params["style_id"])
    form = wanted.form(request, given, tuple(style.forms))
    language = wanted.language(request, given, site.languages)
    kind, _ = style.forms[form]
    if form == "mbs":
        made = style_maplibre.style(
            style.drawings,
            style.drawn.title[language],
            tilejson=style.drawn.address(grids.WEB, "tilejson"),
            base=site.base,
            language=language,
        )
        return answers.json(made, language, kind)
    if form == "sld10":
        body = style_sld.style(style.drawings, language)
    else:
        body = style_qml.style(site.schemas, style.drawings[0], site.audience, language)
    return answers.data(body, kind, {"Content-Language": language})


async def metadata(request: Request) -> Response:
    """GET /styles/{id}/metadata."""
    site = site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    wanted.form(request, given, ("json",))
    language = wanted.language(request, given, site.languages)
    style = named(site, request.path_params["style_id"])
    told = _described(site, style, language)
    content = {
        **told,
        "description": style.drawn.description[language],
        "scope": "style",
        "stylesheets": [
            {"title": title, "native": form == "mbs", "specification": kind, "version": "1",
             "link": link}
            for (form, (kind, title)), link in zip(style.forms.items(), told["links"], strict=False)
        ],
        "layers": [
            {"id": one.name, "title": one.title.of(language),
             "type": {"area": "polygon"}.get(one.kind, one.kind),
             "legend": style_maplibre.legend(one, language)}
            for one in style.drawings
        ],
    }  # fmt: skip
    return answers.json(content, language)


async def legend_image(request: Request) -> Response:
    """GET /styles/{id}/legend: what the colours mean, as a picture."""
    site = site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    wanted.form(request, given, ("png",))
    language = wanted.language(request, given, site.languages)
    style = named(site, request.path_params["style_id"])
    body = await run_in_threadpool(legend.png, style.drawings, language, legend.font(site.config))
    return answers.data(body, PNG, {"Content-Language": language})
