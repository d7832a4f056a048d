"""What WMS and WMTS have in common: parameters whose names know no case, layers, exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import answers, crs, errors, map_draw, tile_layers, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.crs import Crs
from pipeline.serve.errors import Problem, bad
from pipeline.serve.site import Site

XML = "text/xml; charset=utf-8"
_MOST = 65_536


@dataclass(frozen=True)
class Offered:
    """A layer as these services name it: one collection, or a group of several."""

    name: str
    title: dict[str, str]
    description: dict[str, str]
    collections: tuple[str, ...]
    bbox: tuple[float, ...]
    queryable: bool


def parameters(request: Request) -> dict[str, str]:
    """The query with names in upper case; of doubled ones the last counts, as these standards
    leave unknown parameters aside."""
    raw: bytes = request.scope["query_string"]
    if len(raw) > _MOST:
        raise Problem(414, "InvalidParameterValue", "the address is too long")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise bad("the query is not UTF-8") from None
    return {name.upper(): value.replace("\0", "") for name, value in pairs}


def language(request: Request, given: Mapping[str, str], site: Site) -> str:
    """The language of titles: LANGUAGE or LANG, else as the client says."""
    asked = given.get("LANGUAGE") or given.get("LANG")
    return wanted.language(request, {"lang": asked} if asked else {}, site.languages)


def need(given: Mapping[str, str], name: str) -> str:
    """A parameter that must be there."""
    if not given.get(name):
        raise Problem(400, "MissingParameterValue", f"{name} is missing")
    return given[name]


def layers(site: Site) -> dict[str, Offered]:
    """All that can be drawn, by name: groups, then collections."""
    found = {}
    for name, drawn in tile_layers.groups(site).items():
        names = tuple(one.id for one in drawn.layers)
        found[name] = Offered(
            name, drawn.title, drawn.description, names, drawn.bounds(), queryable=True
        )
    for name, resource in site.config["resources"].items():
        if map_draw.drawable(site, name):
            found[name] = Offered(
                name,
                resource["title"],
                resource["description"],
                (name,),
                tile_layers.extent(site, name),
                queryable=name in site.served,
            )
    return found


def epsg(site: Site) -> dict[str, Crs]:
    """The CRSs that these services offer, by the names they use."""
    found = {f"EPSG:{one.srid}": one for uri, one in crs.supported(site.schemas.city).items()
             if uri != crs.CRS84}  # fmt: skip
    return {"CRS:84": crs.supported(site.schemas.city)[crs.CRS84], **found}


async def document(
    request: Request, template: str, content: dict[str, Any], spoken: str
) -> Response:
    """An XML document of ``template``."""
    site = site_of(request)
    made = await run_in_threadpool(site.pages.render, template, content, spoken)
    return answers.data(made.lstrip().encode(), XML, {"Content-Language": spoken})


def exception(error: Exception, version: str) -> Response:
    """The error as a service exception; its status is that of the problem."""
    problem = errors.of(error)
    code = {"NotFound": "LayerNotDefined"}.get(problem.code, problem.code)
    body = f'<ServiceException code="{escape(code)}">{escape(problem.detail)}</ServiceException>'
    if version == "1.1.1":
        kind, head = "application/vnd.ogc.se_xml", '<ServiceExceptionReport version="1.1.1">'
    else:
        kind = XML
        head = '<ServiceExceptionReport version="1.3.0" xmlns="http://www.opengis.net/ogc">'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{body}</ServiceExceptionReport>\n'
    headers = {"Cache-Control": "no-store", **problem.headers}
    return answers.data(text.encode(), kind, headers, problem.status)


def owx_exception(error: Exception) -> Response:
    """The error as WMTS tells it (OGC Web Services Common 1.1)."""
    problem = errors.of(error)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ExceptionReport xmlns="http://www.opengis.net/ows/1.1" version="1.1.0">'
        f'<Exception exceptionCode="{escape(problem.code)}"><ExceptionText>'
        f"{escape(problem.detail)}</ExceptionText></Exception></ExceptionReport>\n"
    )
    headers = {"Cache-Control": "no-store", **problem.headers}
    return answers.data(text.encode(), XML, headers, problem.status)
