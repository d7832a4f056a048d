"""OGC API - Processes: the list, descriptions, execution. Handlers of our own, not pygeoapi's.

Its manager keeps jobs in a file or loads all of them, checks no input against its schema and shares
one processor among requests. Here a process is a contract (``schemas/processes/``), answered by
``pipeline.answers`` with the login of the audience; a question can be asked by POST or, so that a
page with a form needs no script, by GET.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson
import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.answers import inputs, table
from pipeline.answers.examples import Examples
from pipeline.answers.problems import not_derived, status_of
from pipeline.answers.refusals import NotDerivedError, Refusal
from pipeline.contracts.process import Process
from pipeline.derive import processes as derived
from pipeline.serve import answers, jobs, links, papers, tile_layers, told, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.documents import FORMS, Kind, View, document
from pipeline.serve.errors import Problem, bad, unavailable
from pipeline.serve.links import JSON, OGC, SCHEMA, Link
from pipeline.serve.papers import Paper
from pipeline.serve.site import Site

_MAX_FIELDS = 100
FORM = "application/x-www-form-urlencoded"
#: The input that chooses the scale of a document's map.
_SCALE = "scale"
_EXECUTE_REL = f"{OGC}/execute"


async def listed(request: Request) -> Response:
    """GET /processes, or a part of them."""
    known = (*wanted.COMMON, "limit", "offset")
    given = wanted.parameters(request, known)
    every = list(site_of(request).answerer.processes.values())
    first = min(jobs.whole(given, "offset", 0, least=0), len(every))
    last = min(first + jobs.whole(given, "limit", len(every) or 1, least=1), len(every))

    def make(view: View) -> dict[str, Any]:
        found = [
            {**derived.summary(one, view.language), "links": _links(view, one)}
            for one in every[first:last]
        ]
        steps = {"next": last} if last < len(every) else {}
        turns = jobs.turns(view, given, "/processes", steps)
        return {"processes": found, "links": [*view.links("/processes"), *turns]}

    kind = Kind("processes/index.html", known=known)
    return await document(request, kind, make, f"{first}-{last}")


def _links(view: View, process: Process) -> list[Link]:
    path = f"/processes/{process.id}"
    return [
        *view.links(path),
        view.link(_EXECUTE_REL, JSON, "Execution", f"{path}/execution"),
        view.link("describedby", SCHEMA, "JSON Schema of the answer", f"{path}/answer-schema"),
    ]


def _process(request: Request) -> Process:
    name = request.path_params["process_id"]
    found = site_of(request).answerer.processes.get(name)
    if found is None:
        told = {"type": f"{jobs.EXCEPTIONS}/no-such-process"}
        raise Problem(404, "NoSuchProcess", f"there is no process {name!r}", told=told)
    return found


async def described(request: Request) -> Response:
    """GET /processes/{id}: the description, or the page with the form."""
    process = _process(request)
    known = await _examples(site_of(request))
    found = known.offered[process.id]

    def make(view: View) -> dict[str, Any]:
        told = (view.language, known.lacking)
        made = derived.description(view.site.schemas, process, found, *told)
        return {**made, "links": _links(view, process)}

    def page_only(view: View) -> dict[str, Any]:
        asked = derived.example(view.site.schemas.city, process, found, known.lacking)
        address = f"{view.site.base}/processes/{process.id}/execution"
        return {
            "curl": derived.curl(address, asked),
            "choices": derived.choices(found, view.language),
            "shape": _shape(view, process),
        }

    # Descriptions are kept, for as long as the examples in them are the same.
    return await document(request, Kind("processes/process.html", page_only), make, known.digest)


async def state(request: Request) -> str:
    """What descriptions depend on beside what was published: the examples of the city."""
    return (await _examples(site_of(request))).digest


async def _examples(site: Site) -> Examples:
    """The examples of this city; those known last, where the database does not answer."""
    known = site.answerer.examples
    with suppress(Problem, psycopg.Error):
        await known.look_up()
    return known


def _shape(view: View, process: Process) -> dict[str, Any] | None:
    """The input that is one shape, and the map that it can be drawn on; None without such an
    input."""
    offered = view.site.answerer.offered[process.id]
    field = next((name for name, one in offered.items() if one.meaning == "geometry"), None)
    if field is None or not tile_layers.groups(view.site):
        return None
    rename = view.site.schemas.city.published
    choice = next((some for some in process.choices if field in map(rename, some)), ())
    instead = [name for name in map(rename, choice) if name != field]
    told = {"field": field, "kind": offered[field].shape, "instead": instead}
    return told | tile_layers.city_map(view.site)


async def answer_schema(request: Request) -> Response:
    """GET /processes/{id}/answer-schema."""
    process = _process(request)
    site = site_of(request)
    given = wanted.parameters(request, wanted.COMMON)
    language = wanted.language(request, given, site.languages)
    return answers.json(derived.answer_schema(site.schemas, process), language, SCHEMA)


async def execute(request: Request) -> Response:
    """POST /processes/{id}/execution: the answer, or a job where it is preferred."""
    process = _process(request)
    given = wanted.parameters(request, wanted.COMMON)
    if _kind(request) == FORM:
        return await _by_form(request, process)
    asked = await _body(request)
    if jobs.preferred(request):
        return await _begun(request, process, given, _values(asked))
    given = _format(process, asked) | given
    answer = await _answered(request, process, _values(asked))
    if asked.get("response") == "document" and given.get("f", "json") == "json":
        answer = {derived.OUTPUT: answer}
        given["f"] = "json"
    return await _sent(request, process, given, answer, _values(asked))


async def execute_by_address(request: Request) -> Response:
    """GET /processes/{id}/execution with the inputs in the address."""
    process = _process(request)
    offered = site_of(request).answerer.offered[process.id]
    given = wanted.parameters(request, (*offered, *wanted.COMMON))
    texts = {n: v for n, v in given.items() if n not in wanted.COMMON}
    answer = await _answered(request, process, inputs.of_texts(offered, texts))
    return await _sent(request, process, given, answer, texts)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def _by_form(request: Request, process: Process) -> Response:
    """The form of the page, sent to be answered in the background: on to the page of the job."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "Forbidden", "the form of another site asks nothing here")
    text = (await wanted.body(request)).decode("utf-8", "replace")
    texts = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    given = {name: texts.pop(name) for name in wanted.COMMON if name in texts}
    offered = site_of(request).answerer.offered[process.id]
    begun = await _begun(request, process, given, inputs.of_texts(offered, texts))
    page = links.address(begun.headers["location"], {"f": "html", **given})
    return Response(status_code=303, headers={"Location": page, "Cache-Control": "no-store"})


async def _body(request: Request) -> dict[str, Any]:
    if _kind(request) != JSON:
        raise Problem(415, "InvalidParameterValue", f"the body must be {JSON}")
    try:
        asked = orjson.loads(await wanted.body(request))
    except orjson.JSONDecodeError as error:
        raise bad(f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("inputs", {}), dict):
        raise bad('the body must be an object such as {"inputs": {}}')
    _check_request(asked)
    return asked


def _check_request(asked: dict[str, Any]) -> None:
    """What an execute request may say beside its inputs."""
    unknown = asked.keys() - {"inputs", "outputs", "response", "mode"}
    if unknown:
        raise bad(f"unknown member {sorted(unknown)[0]!r}; known are inputs, outputs, response")
    outputs = asked.get("outputs", {})
    if not isinstance(outputs, dict) or outputs.keys() - {derived.OUTPUT}:
        raise bad(f"outputs: the only output is {derived.OUTPUT}")
    if asked.get("response", "raw") not in ("raw", "document"):
        raise bad("response: must be raw or document")


def _format(process: Process, asked: dict[str, Any]) -> dict[str, str]:
    """The format that the request wants its output in, as the parameter that says so."""
    output = asked.get("outputs", {}).get(derived.OUTPUT, {})
    wish = output.get("format", {}) if isinstance(output, dict) else None
    if not isinstance(wish, dict):
        raise bad('outputs: give {"answer": {"format": {"mediaType": "application/pdf"}}}')
    kind = wish.get("mediaType")
    if kind is None:
        return {}
    offered = {media: name for name, (media, _) in papers.forms(process).items()}
    if kind not in offered:
        raise bad(f"outputs: {kind!r} is not offered here; there are {', '.join(offered)}")
    return {"f": offered[kind]}


def _values(asked: dict[str, Any]) -> dict[str, Any]:
    """Inputs, whether given as they are or as {"value": ...}."""
    return {
        name: value["value"] if isinstance(value, dict) and value.keys() <= {"value", "mediaType"}
        and "value" in value else value
        for name, value in asked.get("inputs", {}).items()
    }  # fmt: skip


async def _answered(request: Request, process: Process, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return await site_of(request).answerer.answer(process.id, given)
    except Refusal as refusal:
        raise _problem(refusal) from None
    except NotDerivedError as error:
        raise unavailable(not_derived(error)) from None


async def _begun(
    request: Request, process: Process, given: dict[str, str], inputs_: dict[str, Any]
) -> Response:
    """201: the question waits for a worker; one that cannot be answered is refused at once."""
    try:
        site_of(request).answerer.check(process.id, inputs_)
    except Refusal as refusal:
        raise _problem(refusal) from None
    return await jobs.begin(request, process.id, given, inputs_)


def _problem(refusal: Refusal) -> Problem:
    status, code = status_of(refusal)
    return Problem(status, code, refusal.detail, told=refusal.told)


async def _sent(
    request: Request,
    process: Process,
    given: dict[str, str],
    answer: dict[str, Any],
    asked: dict[str, Any],
) -> Response:
    """The answer as JSON, as a page or as a document; never kept by caches, since the data may
    change."""
    site: Site = site_of(request)
    here = f"/processes/{process.id}/execution"
    language = wanted.language(request, given, site.languages)
    form = wanted.form(request, given, tuple(papers.forms(process)))
    if form != "json" and process.document:
        scale = int(asked.get(_SCALE) or process.document.scale)
        wish = (form, language, scale)
        response = await papers.respond(Paper(site.press, process, process.document, answer, *wish))
    elif form == "csv" and process.batch:
        items = orjson.loads(orjson.dumps(answer[process.batch.lists[0]]))
        named = {"Content-Disposition": f'attachment; filename="{process.id}.csv"'}
        response = answers.data(await run_in_threadpool(table.of_items, items), links.CSV, named)
    elif form == "html":
        what = answer.get("said") or {} if process.verifies else answer
        content = {
            "id": process.id,
            "title": process.title.of(language),
            "answer": answer,
            "told": told.page(site, process.id, language, what, asked),
            "links": links.documents(site.base + here, given, FORMS, "html", language),
        }
        template = "processes/verified.html" if process.verifies else "processes/answer.html"
        response = await answers.page(site, template, content, language)
    else:
        response = answers.json(answer, language)
    response.headers["Cache-Control"] = "no-store"
    return response
