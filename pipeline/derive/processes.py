"""What derives from a process: its OGC description, its form, its page in docs/."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.contracts.base import Text
from pipeline.contracts.city import City
from pipeline.contracts.process import Input, Process
from pipeline.contracts.registry import Schemas
from pipeline.derive import schema_30

#: The only output of every process.
OUTPUT = "answer"
VERSION = "1.0.0"
_HEAD = """\
# Processes: the questions that other systems ask

Made by `makan schema generate` from `schemas/processes/`. Every process is at `/processes/ID`
(a page with a form in a browser) and is asked at `/processes/ID/execution`: by POST with
`{"inputs": {...}}`, or by GET with the inputs in the address. It answers with one JSON document,
whose schema is at `/processes/ID/answer-schema`. Every fact carries the number of its load
(`run`); `sources` tells layer, feed, file, SHA-256 and time of each. `stale` names facts that
are behind their layers.

With `Prefer: respond-async` a question is asked in the background: 201 and the `Location` of a
job, which tells `status` and `progress`; its answer is at `…/results` for seven days
(MAKAN_JOB_KEEP_DAYS), DELETE dismisses it, whether it waits, runs or has ended. Who asked with a
key finds its jobs at `/jobs`; without keys a job is known by its address alone.

A wrong input is 400 with `field`, `rule` and `example`; nothing found is 404 with `near`; a
question over its limit is 413 with `found` and `most`; facts that were never derived and a
database that is down are 503.

| process | who asks | audience |
|---|---|---|"""


def offered(city: City, audience: Audience, process: Process) -> dict[str, Input]:
    """Inputs that ``audience`` is offered, by the names that clients use."""
    return {city.published(one.name): one for one in audience.inputs(process)}


def all_offered(schemas: Schemas, audience: Audience) -> dict[str, dict[str, Input]]:
    """The same of every process that ``audience`` may ask."""
    return {
        one.id: offered(schemas.city, audience, one)
        for one in schemas.processes.values()
        if audience.may_ask(one)
    }


def summary(process: Process, language: str) -> dict[str, Any]:
    """What the list of processes says of one."""
    return {
        "id": process.id,
        "version": VERSION,
        "title": process.title.of(language),
        "description": process.description.of(language),
        "keywords": list(process.keywords),
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value"],
    }


def description(
    schemas: Schemas,
    process: Process,
    found: Mapping[str, Input],
    language: str,
    lacking: Collection[str] = (),
) -> dict[str, Any]:
    """The process description (OGC 18-062r2, 7.10) with the inputs ``found``, without links; its
    example has none that are ``lacking``, if there are others."""
    return {
        **summary(process, language),
        "inputs": {name: _input(one, language) for name, one in found.items()},
        "outputs": {
            OUTPUT: {
                "title": process.title.of(language),
                "schema": schema_30.written(_output(schemas, process)),
            }
        },
        "example": {"inputs": example(schemas.city, process, found, lacking)},
    }


def _output(schemas: Schemas, process: Process) -> dict[str, Any]:
    """The answer's schema; of a document, that of each format it is offered in."""
    found = answer_schema(schemas, process)
    if process.document is None:
        return found
    page = {"type": "string", "contentMediaType": "text/html"}
    pdf = {"type": "string", "contentEncoding": "binary", "contentMediaType": "application/pdf"}
    return {"oneOf": [{**found, "contentMediaType": "application/json"}, page, pdf]}


def _input(one: Input, language: str) -> dict[str, Any]:
    return {
        "title": one.title.of(language),
        "description": (one.description or one.title).of(language),
        "minOccurs": int(one.required),
        "maxOccurs": 1,
        "schema": {**schema_30.written(one.accepts), "example": one.example},
    }


def choices(found: Mapping[str, Input], language: str) -> dict[str, list[tuple[str, str]]]:
    """For a form: of each input with few values, each value and its words; of a truth, both."""
    yes_no = {"true": Text(en="yes", fa="بله"), "false": Text(en="no", fa="خیر")}
    made = {}
    for name, one in found.items():
        values = one.accepts.get("enum")
        if values is None and one.accepts.get("type") == "boolean":
            values = [True, False]
        if values:
            texts = [json.dumps(v) if isinstance(v, bool) else str(v) for v in values]
            words = one.labels or yes_no
            made[name] = [(t, words[t].of(language) if t in words else t) for t in texts]
    return made


def example(
    city: City, process: Process, found: Mapping[str, Input], lacking: Collection[str] = ()
) -> dict[str, Any]:
    """Inputs of a question that can be asked, of those that were ``found``; of several ways the
    first for which nothing is ``lacking``."""
    chosen: set[str] = set()
    for names in process.choices:
        ways = [name for name in names if city.published(name) in found]
        there = [name for name in ways if name not in lacking]
        chosen.update(map(city.published, (there or ways)[:1]))
    return {n: one.example for n, one in found.items() if one.required or n in chosen}


def answer_schema(schemas: Schemas, process: Process) -> dict[str, Any]:
    """The JSON Schema of the answer, by published names."""
    path = schemas.process_file(process, "schema.json")
    found: dict[str, Any] = _named(json.loads(path.read_bytes()), schemas.city.names)
    return found


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _named(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def markdown(schemas: Schemas) -> str:
    """docs/processes.md: each process with its inputs, a curl line, who asks it."""
    lines = [_HEAD]
    for process in schemas.processes.values():
        who = "everybody" if process.privacy == "P0" else "staff"
        lines.append(f"| [{process.id}](#{process.id}) | {process.asked_by.en} | {who} |")
    for process in schemas.processes.values():
        lines += ["", *_section(schemas, process)]
    return "\n".join(lines) + "\n"


def _section(schemas: Schemas, process: Process) -> Iterator[str]:
    city = schemas.city
    yield f"## {process.id}\n\n{process.title.en} – {process.title.fa}. {process.description.en}\n"
    yield from ("| input | accepts | meaning |", "|---|---|---|")
    for one in process.inputs:
        kind = one.accepts.get("type", "any")
        kinds = " or ".join(kind) if isinstance(kind, list) else kind
        needed = ", required" if one.required else ""
        staff = ", staff only" if one.privacy != "P0" else ""
        said = (one.description or one.title).en
        yield f"| `{city.published(one.name)}` | {kinds}{needed}{staff} | {said} |"
    for names in process.choices:
        choice = ", ".join(f"`{city.published(name)}`" for name in names)
        yield from ("", f"Exactly one of {choice} must be given.")
    if process.limit:
        yield from ("", f"At most {process.limit.most} {process.limit.unit.en} at once.")
    if process.document:
        yield from (
            "",
            "Also a page (`f=html`) and a PDF (`f=pdf`), with a receipt: `documents.md`.",
        )
    audience = next(one for one in schemas.audiences.values() if one.may_ask(process))
    place = f"http://127.0.0.1:{8080 + audience.port_offset}/processes/{process.id}/execution"
    asked = example(city, process, offered(city, audience, process))
    yield from ("", "```sh", curl(place, asked, key=audience.needs_key), "```")


def curl(address: str, asked: dict[str, Any], *, key: bool = False) -> str:
    """The command line that asks ``asked`` at ``address``."""
    body = json.dumps({"inputs": asked}, ensure_ascii=False)
    opened = " -H 'X-API-Key: …'" if key else ""
    return (
        f"curl -s {address}{opened} \\\n"
        f"     -H 'Content-Type: application/json' \\\n     -d '{body}'"
    )
