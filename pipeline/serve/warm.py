"""Asks the application once for each kind of answer, so that no client pays for a first time.

Features are asked for where none can be: that makes the SQL and the page, and costs the database
nothing, however large a layer is and whatever it is computed of.
"""

from __future__ import annotations

from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Scope

from pipeline.serve.door import OURS
from pipeline.serve.site import Site

_NOWHERE = "bbox=0,0,0,0&limit=1"
_FORMS = ("json", "html", "csv")
_AWAY = 503


def _addresses(site: Site) -> Iterator[tuple[str, str]]:
    """Path and query of what is asked."""
    for form in ("json", "html"):
        for path in ("/", "/collections", "/conformance", "/openapi"):
            yield path, f"f={form}"
    for name in site.config["resources"]:
        here = f"/collections/{name}"
        yield here, "f=html"
        yield here, "f=json"
        if name in site.served:
            if site.served[name].layer.source != "log":
                for form in _FORMS:
                    yield f"{here}/items", f"{_NOWHERE}&f={form}"
            yield f"{here}/schema", "f=json"
            yield f"{here}/queryables", "f=json"


async def warm(app: ASGIApp, site: Site) -> None:
    """Asks everything once, while the database answers; a failing answer is its own matter, told
    to whoever asks next."""
    for path, query in _addresses(site):
        if await _ask(app, path, query) == _AWAY:
            return


async def _ask(app: ASGIApp, path: str, query: str) -> int:
    """The status of the answer."""
    status = 0
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
        OURS: True,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status
