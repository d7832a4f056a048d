"""pygeoapi's own Starlette application, and how its endpoints are put behind our rules.

What is served by pygeoapi as it is: collections, tile sets, maps, coverages, positions. Around it:
only parameters that are known, errors in one form, JSON as it was meant (pygeoapi writes ``<`` as
``&lt;`` and Persian as escapes), and pages from one environment.
"""

from __future__ import annotations

import copy
import importlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any
from urllib.parse import urlencode

import orjson
from pygeoapi import api, util
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import described, raster_api, site, wanted
from pipeline.serve.errors import Problem, bad, missing
from pipeline.serve.fresh import State
from pipeline.serve.links import HTML
from pipeline.serve.site import Site

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]
_MODULE = "pygeoapi.starlette_app"
_PARSER = "pygeofilter.parsers.cql2_text"
_FORMS = ("json", "html", "jsonld")
_ORIGINALS = {
    "to_json": util.to_json,
    "render_j2_template": util.render_j2_template,
    "validate_datetime": api.validate_datetime,
}


def load(content: dict[str, Any], config: Path, openapi: Path) -> ModuleType:
    """pygeoapi's application for the ``content`` of ``config``; it reads two variables when it is
    imported. The file is not parsed again, which takes pygeoapi a quarter of a second."""
    os.environ["PYGEOAPI_CONFIG"] = str(config)
    os.environ["PYGEOAPI_OPENAPI"] = str(openapi)
    sys.modules.pop(_MODULE, None)
    settings = importlib.import_module("pygeoapi.config")
    reading = settings.get_config
    settings.get_config = lambda raw=False: copy.deepcopy(content)  # type: ignore[attr-defined]  # noqa: ARG005
    try:
        with _without_parser():
            module = importlib.import_module(_MODULE)
    finally:
        settings.get_config = reading  # type: ignore[attr-defined]
    _replace()
    return module


@contextmanager
def _without_parser() -> Iterator[None]:
    """Spares pygeoapi its CQL parser, whose grammar takes a third of a second to build: filters
    never come to it, since /items is ours."""
    if _PARSER in sys.modules:
        yield
        return
    stand_in = ModuleType(_PARSER)
    stand_in.parse = _no_parser  # type: ignore[attr-defined]
    sys.modules[_PARSER] = stand_in
    try:
        yield
    finally:
        del sys.modules[_PARSER]


def _no_parser(*_: Any) -> Any:
    raise NotImplementedError("filters are read by pipeline.serve.cql")


def _replace() -> None:
    """Puts our functions wherever pygeoapi's modules hold its own."""
    ours: dict[str, Any] = {
        "to_json": _to_json,
        "render_j2_template": _render,
        "validate_datetime": _as_asked,
    }
    for name, module in list(sys.modules.items()):
        if not name.startswith("pygeoapi"):
            continue
        for function, original in _ORIGINALS.items():
            if getattr(module, function, None) is original:
                setattr(module, function, ours[function])
    # pygeoapi's coverages cannot be scaled.
    importlib.import_module("pygeoapi.api.coverages").get_collection_coverage = (  # type: ignore[attr-defined]
        raster_api.get_collection_coverage
    )
    core = importlib.import_module("pygeoapi.api")
    describe = importlib.import_module("pygeoapi.api.collection").gen_collection
    core.gen_collection = described.refined(describe)  # type: ignore[attr-defined]


def _to_json(value: Any, pretty: bool = False) -> str:
    """Strict JSON in UTF-8: nothing escaped that need not be, no NaN."""
    del pretty
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps(value, default=util.json_serial, option=options).decode()


def _render(config: Any, tpl_config: Any, template: str, data: Any, locale_: Any = None) -> str:
    """pygeoapi's render function, by ``Pages``."""
    del config, tpl_config
    pages = site.current().pages
    language = getattr(locale_, "language", None) or pages.languages[0]
    return pages.render(str(template), data, _asked(data, pages.languages) or language)


def _asked(data: Any, languages: tuple[str, ...]) -> str | None:
    """The language that was asked for of a page about a query: pygeoapi renders these in the first
    one, but their links carry it."""
    if not isinstance(data, dict) or "query_path" not in data:
        return None
    text = " ".join(str(link.get("href")) for link in data.get("links", ()))
    return next((language for language in languages if f"lang={language}" in text), None)


def _as_asked(extents: Any, datetime_: str | None = None) -> str | None:
    """A time, for the provider to answer: it knows which there are, and of which there is nothing.

    pygeoapi's own calls one that lies outside of the collection's extent a mistake (400).
    """
    del extents
    return datetime_


def endpoint(
    module: ModuleType,
    name: str,
    *known: str,
    needs: str | None = None,
    forms: Mapping[str, str] = MappingProxyType({}),
) -> Endpoint:
    """pygeoapi's endpoint ``name`` behind our rules: ``known`` are its own parameters, ``needs``
    the kind of provider that the collection must have, ``forms`` its only formats, where pygeoapi
    takes others for granted, and what it calls them."""
    wrapped: Endpoint = getattr(module, name)

    async def handle(request: Request) -> Response:
        found: Site = request.app.state.site
        given = wanted.parameters(request, (*wanted.COMMON, *known))
        wanted.language(request, given, found.languages)
        if "collection_id" in request.path_params:
            _check_collection(found, request.path_params["collection_id"], needs)
        return _checked(await wrapped(_renamed(request, given, forms)))

    return handle


def _renamed(request: Request, given: dict[str, str], forms: Mapping[str, str]) -> Request:
    """The request, its format called what pygeoapi calls it; 400 for one that is not offered."""
    if not forms or "f" not in given:
        return request
    if given["f"] not in forms:
        raise bad(f"f: give one of {', '.join(forms)}")
    query = urlencode({**given, "f": forms[given["f"]]}).encode()
    return Request({**request.scope, "query_string": query}, request.receive)


def kept(handle: Endpoint, state: State) -> Endpoint:
    """An endpoint whose answers change with nothing but ``state`` while the server runs: each is
    made once.

    The key is what we make of the request; an answer that pygeoapi gave in another language than
    we expect is sent, but not kept.
    """

    async def answer(request: Request) -> Response:
        found: Site = request.app.state.site
        given = wanted.parameters(request, wanted.COMMON)
        form = wanted.form(request, given, _FORMS)
        language = wanted.language(request, given, found.languages)
        key, now = (request.scope["path"], form, language), await state(request)
        if key not in found.static or found.static[key][0] != now:
            response = await handle(request)
            if response.headers.get("content-language") != language:
                return response
            found.static[key] = now, response
        known: Response = found.static[key][1]
        return Response(known.body, headers=dict(known.headers))

    return answer


def _check_collection(found: Site, name: str, needs: str | None) -> None:
    kinds = {provider["type"] for provider in found.collection(name)["providers"]}
    if needs is not None and needs not in kinds:
        raise missing(f"the collection {name!r} is not served in this way")


def _checked(response: Response) -> Response:
    """The response, or the problem it reports in pygeoapi's words."""
    if response.headers.get("content-type") == HTML:
        response.headers["content-type"] = f"{HTML}; charset=utf-8"
    if response.status_code < 400:
        return response
    try:
        said = orjson.loads(bytes(response.body))
        code, detail = str(said["code"]), str(said["description"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        code, detail = "NoApplicableCode", "the request could not be answered"
        if b"InvalidParameterValue" in bytes(response.body):
            code = "InvalidParameterValue"
    status = response.status_code
    # pygeoapi answers some parameters that it cannot read with 500.
    if status == 500 and code == "InvalidParameterValue":
        status = 400
    if status >= 500:
        log.error("pygeoapi: %s", detail)
    raise Problem(status, code, detail)
