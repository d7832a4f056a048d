"""Processes in the OpenAPI document: what is asked, and the jobs of it."""

from __future__ import annotations

import json

from pipeline.contracts.audience import Audience
from pipeline.contracts.process import Process
from pipeline.contracts.registry import Schemas
from pipeline.derive.openapi_parts import Part, binary, form, get, parameter, ref
from pipeline.derive.processes import example, offered

_PREFER: Part = {
    "name": "Prefer",
    "in": "header",
    "description": "respond-async: ask in the background",
    "schema": {"type": "string"},
}


def paths(schemas: Schemas, audience: Audience, language: str) -> tuple[list[Part], Part]:
    """Tags and paths of the processes that ``audience`` may ask."""
    asked = [one for one in schemas.processes.values() if audience.may_ask(one)]
    if not asked:
        return [], {}
    page, some = [ref("f"), ref("lang")], _json({"type": "object"})
    found: Part = {
        "/processes": get("processes", "processes", "Processes", [*page, *_part()], some)
    }
    for process in asked:
        here = f"/processes/{process.id}"
        title = process.title.of(language)
        found[here] = get("processes", f"{process.id}.describe", title, page, some)
        found[f"{here}/answer-schema"] = get(
            "processes", f"{process.id}.schema", f"{title}: schema of the answer", page, some
        )
        found[f"{here}/execution"] = _execution(schemas, process, audience, title, language)
    found |= _jobs(listed=audience.needs_key)
    return [{"name": "processes", "description": "Answers for other systems"}], found


def _jobs(*, listed: bool) -> Part:
    """Paths of what is asked in the background."""
    page, some = [ref("f"), ref("lang")], _json({"type": "object"})
    number = {
        "name": "jobId",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    }
    here = "/jobs/{jobId}"
    paths: Part = {
        here: get("processes", "jobs.status", "Status of a job", [number, *page], some),
        f"{here}/results": get(
            "processes", "jobs.results", "Answer of a job", [number, *page], some
        ),
    }
    dismissed = get("processes", "jobs.dismiss", "Dismiss a job", [number, *page], some)
    paths[here]["delete"] = dismissed["get"]
    if listed:
        paths["/jobs"] = get("processes", "jobs.list", "Jobs", [*page, *_narrowing()], some)
    return paths


def _part() -> list[Part]:
    """Which part of a list is asked for."""
    return [
        parameter("limit", "At most so many", {"type": "integer", "minimum": 1}),
        ref("offset"),
    ]


def _narrowing() -> list[Part]:
    whole = ("limit", "offset", "minDuration", "maxDuration")
    text = ("type", "processID", "status", "datetime")
    return [
        {"name": name, "in": "query", "schema": {"type": "integer" if name in whole else "string"}}
        for name in (*text, *whole)
    ]


def _json(schema: Part) -> Part:
    return {"application/json": {"schema": schema}}


def _execution(
    schemas: Schemas, process: Process, audience: Audience, title: str, language: str
) -> Part:
    found = offered(schemas.city, audience, process)
    parameters = [
        {
            "name": name,
            "in": "query",
            "description": one.title.of(language),
            "required": one.required,
            "schema": {"type": "string"},
        }
        for name, one in found.items()
    ]
    answer, how = _json({"type": "object"}), [ref("f"), ref("lang")]
    if process.document:
        answer |= {"text/html": {"schema": {"type": "string"}}} | binary("application/pdf")
        how[0] = form("json", "html", "pdf")
    made = get("processes", f"{process.id}.ask", title, [*parameters, *how], answer)
    body = {
        "type": "object",
        "properties": {
            "inputs": {"type": "object"},
            "outputs": {"type": "object"},
            "response": {"type": "string", "enum": ["raw", "document"]},
        },
    }
    post = get("processes", f"{process.id}.execute", title, how, answer)["get"]
    asked = {"inputs": example(schemas.city, process, found)}
    content: Part = {"application/json": {"schema": body}}
    if json.dumps(asked, ensure_ascii=False).isascii():  # the document is in English
        content["application/json"]["example"] = asked
    post["requestBody"] = {"required": True, "content": content}
    post["parameters"] = [*post.get("parameters", []), _PREFER]
    post["responses"]["201"] = {
        "description": "A job, where `Prefer: respond-async` was said",
        "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
        "content": answer,
    }
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}
    for operation in (made["get"], post):
        operation["responses"]["413"] = {"description": "Asks for too much", "content": problem}
    return {**made, "post": post}
