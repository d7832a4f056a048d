"""Responses: bytes with the headers each kind must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import errors, wanted
from pipeline.serve.errors import Problem
from pipeline.serve.links import HTML, JSON
from pipeline.serve.site import Site

_VARY = {"Vary": "Accept, Accept-Language"}


def site_of(request: Request) -> Site:
    """The site the request is for."""
    found: Site = request.app.state.site
    return found


def data(
    content: bytes, kind: str, headers: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """An answer of ready bytes."""
    return Response(content, status, {**_VARY, **(headers or {})}, media_type=kind)


def json(content: Any, language: str, kind: str = JSON) -> Response:
    """A document."""
    encoded = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
    return data(encoded, kind, {"Content-Language": language})


def empty() -> Response:
    """204: nothing is there, and that is no error."""
    return Response(status_code=204)


async def page(site: Site, template: str, content: Mapping[str, Any], language: str) -> Response:
    """A page; made in a thread, since a long table takes its time."""
    made = await run_in_threadpool(site.pages.render, template, content, language)
    return html(made, language)


def html(text: str, language: str, status: int = 200) -> Response:
    """A page that is ready."""
    return data(text.encode(), HTML, {"Content-Language": language}, status)


async def failure(request: Request, error: Exception) -> Response:
    """The answer to a request that failed: problem details, or a page for who asked for pages."""
    problem = errors.of(error)
    if _wants_page(request):
        answer = _failure_page(request, problem)
    else:
        answer = data(problem.body(), errors.JSON_TYPE, status=problem.status)
    answer.headers.update({"Cache-Control": "no-store", **problem.headers})
    return answer


def _wants_page(request: Request) -> bool:
    asked = request.query_params.get("f")
    if asked is not None:
        return asked == "html"
    try:
        return wanted.form(request, {}, ("json", "html")) == "html"
    except Problem:
        return False


def _failure_page(request: Request, problem: Problem) -> Response:
    site = site_of(request)
    try:
        language = wanted.language(request, dict(request.query_params), site.languages)
    except Problem:  # what was wrong may be the language itself
        language = site.languages[0]
    content = {
        "code": problem.code,
        "status": problem.status,
        "description": problem.detail,
        "type": problem.code,
        "told": problem.told,
        **_way_back(request, site),
    }
    return html(site.pages.render("exception.html", content, language), language, problem.status)


def _way_back(request: Request, site: Site) -> dict[str, Any]:
    """Of a question that got no answer: where its form is, and the address with which what is near
    can be asked for instead, where it is plain which input that would be."""
    process = site.answerer.processes.get(request.path_params.get("process_id", ""))
    if process is None:
        return {}
    form = {"form": f"/processes/{process.id}"}
    asked = dict(request.query_params)
    offered = site.answerer.offered[process.id]
    chosen = {site.schemas.city.published(name) for some in process.choices for name in some}
    names = [n for n, one in offered.items() if n in asked and (n in chosen or one.required)]
    if len(names) != 1 or offered[names[0]].accepts.get("type") != "string":
        return form
    rest = {name: value for name, value in asked.items() if name not in (names[0], "lang")}
    return {**form, "instead": f"{form['form']}/execution", "input": names[0], "rest": rest}
