"""OGC API - Processes: questions in the background. Who asked with a key sees the jobs of that key;
where no key is needed, who knows the address of a job sees it, and there is no list."""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection
from typing import Any
from uuid import UUID

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from pipeline.answers import bundles, table
from pipeline.answers.ask import Ask
from pipeline.answers.jobs import MOST_WAITING, Wanted
from pipeline.derive.processes import OUTPUT
from pipeline.serve import answers, links, told, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.documents import FORMS, View
from pipeline.serve.door import HOLDER
from pipeline.serve.errors import Problem, bad, missing
from pipeline.serve.links import JSON, OGC
from pipeline.serve.papers import TABLES
from pipeline.serve.period import interval
from pipeline.serve.query import Statement
from pipeline.serve.reader import Reader

RESULTS_REL = f"{OGC}/results"
STATES = ("accepted", "running", "successful", "failed", "dismissed")
_GOING = STATES[:2]
#: What errors are called in OGC API - Processes.
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
_PREFERENCE = re.compile(r"(^|[,;])\s*respond-async\s*($|[,;])", re.IGNORECASE)
_APPLIED = {"Preference-Applied": "respond-async"}
_NEVER = {"Cache-Control": "no-store"}
_PAGE, _MOST_PAGE = 20, 1000
_BUSY_S = "10"
#: Files that a job has made beside its answer.
_FILES = {"zip": "application/zip", "pdf": "application/pdf"}


def asking(reader: Reader) -> Ask:
    """How the answers' room asks the database: by the pool of ``reader``."""

    async def ask(query: bytes, values: dict[str, Any]) -> tuple[Any, ...] | None:
        return await reader.row(Statement(query, values))

    return ask


def writing(reader: Reader) -> Ask:
    """How the answers' room writes the list of jobs."""

    async def write(query: bytes, values: dict[str, Any]) -> tuple[Any, ...] | None:
        return await reader.write(Statement(query, values))

    return write


def preferred(request: Request) -> bool:
    """Whether the client would rather not wait (RFC 7240)."""
    return _PREFERENCE.search(request.headers.get("prefer", "")) is not None


async def begin(
    request: Request, process: str, given: dict[str, str], asked: dict[str, Any]
) -> Response:
    """201 with the place of the new job; 429 when too many wait."""
    site = site_of(request)
    number = await site.jobs.ask(process, asked, _holder(request))
    if number is None:
        said = f"{MOST_WAITING} questions wait already; ask again when one has ended"
        raise Problem(429, "TooMany", said, {"Retry-After": _BUSY_S})
    view = View(site, wanted.language(request, given, site.languages), "json")
    found = await site.jobs.status(UUID(number), _holder(request))
    answer = answers.data(orjson.dumps(_told(view, found or {})), JSON, status=201)
    answer.headers.update({**_NEVER, **_APPLIED, "Location": f"{site.base}/jobs/{number}"})
    return answer


def _holder(request: Request) -> str | None:
    name: str | None = request.scope.get(HOLDER)
    return name


def _number(request: Request) -> UUID:
    try:
        return UUID(request.path_params["job_id"])
    except ValueError:
        raise _no_such_job(request) from None


def _no_such_job(request: Request) -> Problem:
    told = {"type": f"{EXCEPTIONS}/no-such-job"}
    said = f"there is no job {request.path_params['job_id']!r}"
    return Problem(404, "NoSuchJob", said, told=told)


async def _found(request: Request) -> dict[str, Any]:
    found = await site_of(request).jobs.status(_number(request), _holder(request))
    if found is None:
        raise _no_such_job(request)
    return found


def _told(view: View, job: dict[str, Any]) -> dict[str, Any]:
    """The status info (OGC 18-062r2, 7.12) of a job."""
    path = f"/jobs/{job['id']}"
    found = [*view.links(path)]
    if job["status"] in ("successful", "failed"):
        found.append(view.link(RESULTS_REL, JSON, "The answer", f"{path}/results"))
    if job["status"] in ("accepted", "running"):
        found.append(view.link("monitor", JSON, "How far it is", path))
    times = ("created", "started", "finished", "updated", "expires")
    return {
        "jobID": job["id"],
        "processID": job["process"],
        "type": "process",
        "status": job["status"],
        "progress": job["progress"],
        **({"message": job["message"]} if job.get("message") else {}),
        **{name: job[name] for name in times if job.get(name)},
        "links": found,
    }


async def listed(request: Request) -> Response:
    """GET /jobs: those of the key that asks."""
    site = site_of(request)
    if not site.audience.needs_key:
        raise missing("there is no list of jobs here; each is known by its address alone")
    filters = ("type", "processID", "status", "datetime", "minDuration", "maxDuration")
    given = wanted.parameters(request, (*wanted.COMMON, *filters, "limit", "offset"))
    view = _view(request, given)
    asked = _wanted(given)
    found = [] if given.get("type", "process") != "process" else await site.jobs.listed(
        asked, _holder(request)
    )  # fmt: skip
    more = len(found) > asked.limit
    made = {
        "jobs": [_told(view, one) for one in found[: asked.limit]],
        "links": [*view.links("/jobs"), *_turns(view, given, asked, more=more)],
    }
    return await _shown(view, "jobs/index.html", made, made)


def _wanted(given: dict[str, str]) -> Wanted:
    statuses = _several(given.get("status"))
    if set(statuses or ()) - set(STATES):
        raise bad(f"status: must be of {', '.join(STATES)}")
    since, until = interval(given["datetime"]) if "datetime" in given else (None, None)
    return Wanted(
        limit=min(whole(given, "limit", _PAGE, least=1), _MOST_PAGE),
        offset=whole(given, "offset", 0, least=0),
        processes=_several(given.get("processID")),
        statuses=statuses,
        since=since,
        until=until,
        shortest=whole(given, "minDuration", None, least=0),
        longest=whole(given, "maxDuration", None, least=0),
    )


def _several(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


def whole[Other: (int, None)](
    given: dict[str, str], name: str, other: Other, *, least: int
) -> int | Other:
    """The parameter ``name``, a whole number from ``least``; ``other`` where it is not given."""
    text = given.get(name)
    if text is None:
        return other
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise bad(f"{name}: must be a whole number from {least}")
    return int(text)


def _turns(view: View, given: dict[str, str], asked: Wanted, *, more: bool) -> list[links.Link]:
    steps = {"next": asked.offset + asked.limit} if more else {}
    if asked.offset:
        steps["prev"] = max(asked.offset - asked.limit, 0)
    return turns(view, given, "/jobs", steps)


def turns(view: View, given: dict[str, str], path: str, steps: dict[str, int]) -> list[links.Link]:
    """Links to other parts of a list: relation (next, prev) and what that part leaves out."""
    kept = {name: value for name, value in given.items() if name not in ("lang", "f")}
    here = view.site.base + path
    titles = {"next": "Next page", "prev": "Previous page"}
    return [
        links.link(
            rel,
            JSON,
            titles[rel],
            links.address(here, {**kept, "offset": str(offset)}),
            view.language,
        )
        for rel, offset in steps.items()
    ]


def _view(request: Request, given: dict[str, str], forms: Collection[str] = FORMS) -> View:
    site = site_of(request)
    form = wanted.form(request, given, tuple(forms))
    return View(site, wanted.language(request, given, site.languages), form)


async def _shown(view: View, template: str, made: dict[str, Any], page: Any) -> Response:
    if view.form == "html":
        content = {"jobs": page, "links": made.get("links", [])}
        answer = await answers.page(view.site, template, content, view.language)
    else:
        answer = answers.json(made, view.language)
    answer.headers.update(_NEVER)
    return answer


async def status(request: Request) -> Response:
    """GET /jobs/{id}."""
    view = _view(request, wanted.parameters(request, wanted.COMMON))
    found = await _found(request)
    made = _told(view, found)
    page = {
        **made,
        "forms": [form for form in _forms(request, found) if form not in FORMS],
        "parameters": orjson.dumps(found["inputs"], option=orjson.OPT_INDENT_2).decode(),
    }
    return await _shown(view, "jobs/job.html", made, page)


async def dismiss(request: Request) -> Response:
    """DELETE /jobs/{id}: calls it off; of one that has ended the answer goes, and its files."""
    view = _view(request, wanted.parameters(request, wanted.COMMON))
    number, before = _number(request), await _found(request)
    if not await view.site.jobs.dismiss(number, _holder(request)):
        raise _no_such_job(request)
    if before["status"] not in _GOING:  # else its worker takes away what it has begun
        await run_in_threadpool(bundles.drop, view.site.settings.home, str(number))
    made = _told(view, await _found(request))
    answer = answers.json(made, view.language)
    answer.headers.update(_NEVER)
    return answer


async def results(request: Request) -> Response:
    """GET /jobs/{id}/results: the answer as the question at once would have given it."""
    given = wanted.parameters(request, (*wanted.COMMON, "response"))
    found = await _found(request)
    view = _view(request, given, _forms(request, found))
    if found["status"] in _GOING:
        told = {"type": f"{EXCEPTIONS}/result-not-ready"}
        raise Problem(404, "ResultNotReady", "the job has not ended yet", told=told)
    if found["status"] == "failed":
        problem = dict(found["problem"])
        status, code, said = (problem.pop(name) for name in ("status", "code", "detail"))
        raise Problem(status, code, said, told=problem)
    kept = await view.site.jobs.result(_number(request), _holder(request))
    if kept is None:
        raise missing("the answer of this job is gone")
    return await _answer(request, view, found, kept, given.get("response", "raw"))


def _forms(request: Request, job: dict[str, Any]) -> Collection[str]:
    """The formats that the answer of a job is offered in."""
    process = site_of(request).answerer.processes[job["process"]]
    if process.bundle:
        return (*FORMS, *_FILES)
    return TABLES if process.batch else FORMS


async def _answer(
    request: Request, view: View, job: dict[str, Any], kept: bytes, form: str
) -> Response:
    if view.form == "html":
        process = view.site.answerer.processes[job["process"]]
        found = orjson.loads(gzip.decompress(kept))
        content = {
            "id": process.id,
            "title": process.title.of(view.language),
            "answer": found,
            "told": told.page(view.site, process.id, view.language, found, job["inputs"]),
            "links": view.links(f"/jobs/{job['id']}/results"),
        }
        answer = await answers.page(view.site, "processes/answer.html", content, view.language)
        answer.headers.update(_NEVER)
        return answer
    headers = {**_NEVER, "Content-Language": view.language}
    if view.form in _FILES:
        path = bundles.place(view.site.settings.home, job["id"], view.form)
        if not path.is_file():
            raise missing("this job has made no such file, or it is gone")
        return FileResponse(
            path,
            media_type=_FILES[view.form],
            headers=headers,
            filename=f"{job['process']}-{job['id'][:8]}.{view.form}",
        )
    if view.form == "csv":
        of = view.site.answerer.processes[job["process"]].batch
        headers["Content-Disposition"] = f'attachment; filename="{job["process"]}.csv"'
        rows = table.of_packed(kept, of.lists[0] if of else "")
        return StreamingResponse(rows, media_type=links.CSV, headers=headers)
    if form == "document":
        whole = b'{"%s":%s}' % (OUTPUT.encode(), gzip.decompress(kept))
        return answers.data(whole, JSON, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return answers.data(kept, JSON, {**headers, "Content-Encoding": "gzip"})
    return answers.data(gzip.decompress(kept), JSON, headers)
