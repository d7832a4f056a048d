"""POST, PUT, PATCH and DELETE of features (OGC API Features Part 4), and OPTIONS.

Coordinates are taken in the CRS that Content-Crs names. Who replaces, updates or deletes says which
version it has seen (If-Match): 428 where it does not, 412 where that is not the one in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import shapely
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.contracts.layer import Operation
from pipeline.db.access import EVERYTHING
from pipeline.edits import body
from pipeline.edits.body import Draft
from pipeline.edits.refusals import Busy, Done, Malformed, Missing, Overtaken, Refused, Taken
from pipeline.edits.row import Client, Row
from pipeline.edits.write import Asked, Editor
from pipeline.findings import Finding
from pipeline.operations import NoOperationError
from pipeline.serve import answers, crs, fresh, params, query, wanted
from pipeline.serve.crs import Crs
from pipeline.serve.door import HOLDER, WRITES
from pipeline.serve.errors import Problem, bad, missing
from pipeline.serve.links import GEOJSON, JSON
from pipeline.serve.served import Served
from pipeline.serve.site import Site

Handler = Callable[[Request], Any]
MERGE_PATCH = "application/merge-patch+json"
_TYPES = {"create": (GEOJSON, JSON), "replace": (GEOJSON, JSON), "update": (MERGE_PATCH,)}
_METHODS: dict[str, Operation] = {
    "POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete",
}  # fmt: skip
METHODS = ["GET", "HEAD", "OPTIONS", *_METHODS]
_BUSY_S = 5
_A_MINUTE, _EDITS_A_MINUTE = 60, 120


@dataclass(frozen=True, slots=True)
class _Call:
    """A request to write, understood as far as its headers go."""

    request: Request
    site: Site
    served: Served
    operation: Operation
    crs: Crs
    content: bytes

    @property
    def editor(self) -> Editor:
        """Who writes for this audience."""
        if self.site.editor is None:
            raise LookupError("an audience that may write has a writer")
        return self.site.editor

    @property
    def who(self) -> str:
        """Whose key it came with."""
        return str(self.request.scope[HOLDER])

    @property
    def language(self) -> str:
        """The reader's language."""
        return wanted.language(self.request, {}, self.site.languages)


def allowed(served: Served, *, one: bool) -> str:
    """The methods that a collection's items, or ``one`` of them, can be asked by."""
    found = ["GET", "HEAD", "OPTIONS"]
    may = served.audience.may(served.layer)
    for method, operation in _METHODS.items():
        if operation in may and one == (operation != "create"):
            found.append(method)
    return ", ".join(found)


def dispatched(read: Handler, *, one: bool) -> Handler:
    """The handler of /items, or of ``one`` of them: ``read`` for GET, ours for the rest."""

    async def answer(request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            response: Response = await read(request)
            return response
        site = answers.site_of(request)
        served = site.feature_collection(request.path_params["collection_id"])
        methods = {"Allow": allowed(served, one=one)}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**methods, **_accepts(served, one=one)})
        if request.method not in methods["Allow"].split(", "):
            detail = f"{request.method} is not possible here"
            raise Problem(405, "MethodNotAllowed", detail, methods)
        return await _write(await _read(request, site, served))

    return answer


def _accepts(served: Served, *, one: bool) -> dict[str, str]:
    may = served.audience.may(served.layer)
    if one:
        return {"Accept-Patch": MERGE_PATCH} if "update" in may else {}
    return {"Accept-Post": ", ".join(_TYPES["create"])} if "create" in may else {}


async def _read(request: Request, site: Site, served: Served) -> _Call:
    operation = _METHODS[request.method]
    _permitted(request, served)
    given = wanted.parameters(request, ("lang",))
    wanted.language(request, given, site.languages)
    uri = request.headers.get("content-crs", f"<{crs.CRS84}>").strip()
    found = crs.named(site.schemas.city, uri.removeprefix("<").removesuffix(">"), "Content-Crs")
    content = b"" if operation == "delete" else await _body(request, _TYPES[operation])
    return _Call(request, site, served, operation, found, content)


def _permitted(request: Request, served: Served) -> None:
    """The key must say that it writes this layer: most keys only read."""
    writes = request.scope.get(WRITES, frozenset())
    if not {served.layer.id, EVERYTHING} & writes:
        raise Problem(403, "Forbidden", f"this key does not write {served.id}")


async def _body(request: Request, kinds: tuple[str, ...]) -> bytes:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in kinds:
        raise Problem(415, "InvalidParameterValue", f"the body must be {' or '.join(kinds)}")
    if not request.headers.get("content-encoding", "identity") == "identity":
        raise Problem(415, "InvalidParameterValue", "the body must not be compressed")
    return await wanted.body(request)


async def _write(call: _Call) -> Response:
    await run_in_threadpool(_not_too_often, call)
    asked = _asked(call)
    try:
        # Not given up half-way: each of its statements has a limit, and what is written is told.
        done = await run_in_threadpool(_done, call, asked)
    except (Refused, Missing, Overtaken, Busy, Malformed, NoOperationError) as refusal:
        raise _problem(call, refusal) from None
    if done.changed:
        call.site.state.forget()
    return await _answer(call, done)


def _not_too_often(call: _Call) -> None:
    made, wait = call.editor.lately(call.who, _A_MINUTE)
    if made >= _EDITS_A_MINUTE:
        detail = f"{_EDITS_A_MINUTE} edits a minute are enough for one key"
        raise Problem(429, "TooManyRequests", detail, {"Retry-After": str(max(1, wait))})


def _asked(call: _Call) -> Asked:
    served, number, versions = call.served, None, None
    if call.operation != "create":
        text = call.request.path_params["item_id"]
        number = params.item_number(text)
        if number is None:
            raise missing(f"there is no feature {text!r} in {served.id}")
        versions = _versions(call.request)
    client = Client(call.crs.srid, served.digits(call.crs), call.crs.flipped)
    words = f"{call.request.method} {call.request.scope['path']}"
    return Asked(
        served.layer, number, versions, served.fields, client, call.who, words, call.content
    )


def _versions(request: Request) -> frozenset[str] | None:
    """The versions that If-Match names; 428 where there is no such header."""
    header = request.headers.get("if-match")
    if header is None:
        detail = "say which version you have seen: If-Match with the ETag of the feature"
        raise Problem(428, "PreconditionRequired", detail)
    if header.strip() == "*":
        return None
    return frozenset(filter(None, (fresh.version_of(tag) for tag in header.split(","))))


def _done(call: _Call, asked: Asked) -> Done:
    """In a thread: reads the body and writes the row."""
    if call.operation == "delete":
        return call.editor.delete(asked)
    sent = body.parsed(call.content)
    shown = query.item(call.served, query.Shape(call.crs), asked.number or 0)

    def make(current: Row | None, connection: Any) -> Draft:
        feature = sent
        if call.operation == "update" and current is not None:
            found = connection.execute(shown.sql, shown.values).fetchone()
            feature = body.merged(orjson.loads(found[0]), sent)
        made = body.draft(feature, call.served.layer, call.served.fields, flipped=call.crs.flipped)
        if asked.number is not None and made.id not in (None, asked.number, str(asked.number)):
            raise Malformed(f"the body is of the feature {made.id}, the address of {asked.number}")
        return made

    return call.editor.put(asked, make)


async def _answer(call: _Call, done: Done) -> Response:
    """201 with the way to the new feature, 204, or the feature where that is preferred."""
    number, created = done.id, call.operation == "create"
    headers = {}
    path = f"/collections/{call.served.id}/items/{number}"
    if created:
        headers["Location"] = call.site.base + path
    if done.run is None:
        return Response(status_code=204)
    preferred = _preferred(call.request)
    if preferred:
        headers["Preference-Applied"] = f"return={preferred}"
    other = "" if call.crs.uri == crs.CRS84 else call.crs.uri
    headers["ETag"] = fresh.of_version(call.request, done.run, path, other)
    if (preferred or ("representation" if created else "minimal")) == "minimal":
        return Response(status_code=201 if created else 204, headers=headers)
    content = await _representation(call, done)
    headers["Content-Crs"] = f"<{call.crs.uri}>"
    return answers.data(content, GEOJSON, headers, 201 if created else 200)


def _preferred(request: Request) -> str | None:
    for part in request.headers.get("prefer", "").split(","):
        name, _, value = part.partition("=")
        kept = value.partition(";")[0].strip().strip('"')
        if name.strip().lower() == "return" and kept in ("representation", "minimal"):
            return kept
    return None


async def _representation(call: _Call, done: Done) -> bytes:
    """The feature as it is now, with what was found about it."""
    question = query.item(call.served, query.Shape(call.crs), done.id)
    row = await call.site.features.row(question)
    if row is None:
        raise missing(f"the feature {done.id} has been taken away meanwhile")
    told = orjson.dumps([_told(call, found) for found in done.findings])
    return bytes(row[0])[:-1] + b',"findings":' + told + b"}"


def _problem(call: _Call, refusal: Exception) -> Problem:
    if isinstance(refusal, Missing):
        text = call.request.path_params["item_id"]
        return missing(f"there is no feature {text!r} in {call.served.id}")
    if isinstance(refusal, Overtaken):
        detail = "the feature has been changed since; read it again"
        return Problem(412, "PreconditionFailed", detail)
    if isinstance(refusal, Busy):
        detail = f"{call.served.id} is being loaded; come again"
        return Problem(503, "ServiceUnavailable", detail, {"Retry-After": str(_BUSY_S)})
    if isinstance(refusal, Refused):
        told = {"findings": [_told(call, found) for found in refusal.findings]}
        status, code = (409, "Conflict") if isinstance(refusal, Taken) else (422, "InvalidFeature")
        detail = "; ".join(one["message"] for one in told["findings"][:3])
        return Problem(status, code, detail, told=told)
    if isinstance(refusal, NoOperationError):
        return bad(f"Content-Crs: {refusal}")
    return bad(str(refusal), "InvalidFeature")


def _told(call: _Call, found: Finding) -> dict[str, Any]:
    """A finding by published names, with its message in each language and its place."""
    catalog, city = call.editor.catalog, call.site.schemas.city
    field = city.published(found.field) if found.field else None
    shown = Finding(
        found.code, found.layer, found.key, found.line, field, found.value, found.detail
    )
    messages = {name: catalog.message(shown, name) for name in ("en", "fa")}
    told: dict[str, Any] = {
        "code": found.code,
        "field": field,
        "message": messages["fa" if call.language == "fa" else "en"],
        "messages": messages,
        "value": found.value,
        "detail": found.detail,
    }
    if found.geometry is not None and not found.geometry.is_empty:
        told["place"] = _place(call, found)
    return {name: value for name, value in told.items() if value is not None}


def _place(call: _Call, found: Finding) -> dict[str, Any]:
    """Where a fault between rows is: a point of it, as the client writes coordinates."""
    point: Any = shapely.point_on_surface(found.geometry)
    moved: Any = crs.transform(point, call.site.schemas.city.srid, call.crs.srid)
    digits = call.served.digits(call.crs)
    pair = [round(moved.x, digits), round(moved.y, digits)]
    return {"type": "Point", "coordinates": pair[::-1] if call.crs.flipped else pair}
