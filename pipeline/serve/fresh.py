"""Conditional requests: every answer that can be asked for again has a strong ETag.

A tag is made of the address with its query, of what the Accept headers choose, of what was
published (configuration, contracts, pages, code) and of the state of the data: equal tags mean
equal bytes, so an unchanged answer is told by 304 before anything is asked of the data. The tag of
the compressed bytes is another one: ``middleware`` sees to that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import conditions, wanted
from pipeline.serve.door import AREA
from pipeline.serve.site import Site

Handler = Callable[[Request], Awaitable[Response]]
#: The state of the data behind a request; None for what is not known to stay the same.
State = Callable[[Request], Awaitable[str | None]]
#: Kept by the client, but asked for again each time.
REVALIDATE = "no-cache"
_VARY = "Accept, Accept-Language"
_VERSION = re.compile(r'"([0-9]+)-[0-9a-f]+(?:-(?:gzip|br|zstd))?"')


def validated(handler: Handler, state: State, cache: str = REVALIDATE) -> Handler:
    """``handler`` with tags and 304; ``cache`` is what caches are told."""

    async def answer(request: Request) -> Response:
        found = await state(request)
        if found is None:
            return await handler(request)
        return await _conditional(request, _tag(request, found), handler, cache)

    return answer


async def feature(request: Request, run: int | None, state: State, handler: Handler) -> Response:
    """The answer of ``handler`` about one feature, with a tag that begins with its version: the
    ``run`` that wrote it. Where it has none (of a view) the tag is bound to the layer's state."""
    if run is None:
        return await validated(handler, state)(request)
    tag = _tag(request, str(run), head=f"{run}-")
    return await _conditional(request, tag, handler, REVALIDATE)


def of_version(request: Request, run: int, path: str, crs: str) -> str:
    """The tag of the feature at ``path`` as ``run`` has written it; the one of a GET without a
    query, where ``crs`` is empty."""
    asked = Request({**request.scope, "path": path, "query_string": crs.encode()})
    return _tag(asked, str(run), head=f"{run}-")


def version_of(tag: str) -> str | None:
    """The version that a tag of a feature begins with; a weak tag names none (RFC 9110, 13.1.1)."""
    found = _VERSION.fullmatch(tag.strip())
    return found[1] if found else None


async def _conditional(request: Request, tag: str, handler: Handler, cache: str) -> Response:
    asked = request.headers.get("if-none-match", "")
    response = (
        Response(status_code=304) if tag in conditions.tags(asked) else await handler(request)
    )
    if response.status_code == 200 and asked.strip() == "*":
        response = Response(status_code=304)
    return _marked(response, tag, cache)


def _tag(request: Request, state: str, head: str = "") -> str:
    site: Site = request.app.state.site
    scope = request.scope
    digest = hashlib.blake2b(digest_size=12)
    for part in (
        site.digest,
        state,
        scope["path"],
        scope["query_string"].decode("latin-1"),
        *wanted.negotiated(request, site.languages),
        # Two keys may see different lists at one address.
        *filter(None, [scope.get(AREA)]),
    ):
        digest.update(f"{len(part)} {part}".encode())
    return f'"{head}{digest.hexdigest()}"'


def _marked(response: Response, tag: str, cache: str) -> Response:
    """Answers that hold something have a tag; an empty tile is kept as long, without one."""
    if response.status_code in (200, 304):
        response.headers["ETag"] = tag
    elif response.status_code != 204:
        return response
    response.headers["Cache-Control"] = cache
    response.headers["Vary"] = _VARY
    return response


async def published(request: Request) -> str | None:
    """For what depends on nothing but what was published."""
    del request
    return ""


async def layer(request: Request) -> str | None:
    """For features: the state of the layer in the path."""
    site: Site = request.app.state.site
    served = site.served.get(request.path_params["collection_id"])
    return None if served is None else await site.state.version(served.layer.id)
