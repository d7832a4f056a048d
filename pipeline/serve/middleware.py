"""What holds for every answer: security headers, CORS, paths without a slash at the end."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serve import conditions, encodings

_CONTENT_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)
Headed = tuple[tuple[bytes, bytes], ...]
_FOR_PAGES = (b"content-security-policy", _CONTENT_POLICY.encode())
_HIDDEN = (b"x-powered-by", b"server")
_ALWAYS: Headed = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
_EXPOSED = (
    "Accept-Ranges, Content-Bbox, Content-Crs, Content-Range, ETag, Link, Location, "
    "OGC-NumberMatched, OGC-NumberReturned, Retry-After"
)
#: Pages of everywhere may read what everybody may.
_CORS: Headed = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED.encode()),
)
_HEADERS = (
    *("Accept", "Accept-Language", "Content-Crs", "Content-Type", "If-Match", "If-None-Match"),
    *("If-Range", "Prefer", "Range"),
)
_PREFLIGHT = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        ", ".join(_HEADERS).encode(),
    ),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
)


class Guard:
    """The outermost layer round the application."""

    def __init__(self, app: ASGIApp, *, closed: bool) -> None:
        """Round ``app``; ``closed``: it is not for everybody, so neither are its answers."""
        self._app = app
        self._closed = closed
        self._always = _ALWAYS if closed else _ALWAYS + _CORS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and dresses its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _is_preflight(scope):
            await _answer_preflight(send, () if self._closed else _PREFLIGHT)
            return
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}

        scope, known = _plain_tags(conditions.joined(scope))

        async def dress(message: Message) -> None:
            if message["type"] == "http.response.start":
                _dress(message, known, self._always)
                if self._closed:
                    _close(message)
            await send(message)

        await self._app(scope, receive, dress)


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


async def _answer_preflight(send: Send, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b""})


def _plain_tags(scope: Scope) -> tuple[Scope, list[str]]:
    """The request with If-None-Match as the handlers know it, without the encodings that the client
    takes, and the tags that it names."""
    headers = Headers(scope=scope)
    asked = headers.get("if-none-match")
    if asked is None:
        return scope, []
    known, plain = conditions.tags(asked), asked
    for name in encodings.OFFERED:
        if (ending := f'-{name}"') in asked and encodings.taken(
            headers.get("accept-encoding"), name
        ):
            plain = plain.replace(ending, '"')
    if plain == asked:
        return scope, known
    rest = [pair for pair in scope["headers"] if pair[0] != b"if-none-match"]
    return {**scope, "headers": [*rest, (b"if-none-match", plain.encode("latin-1"))]}, known


def _encoding(tag: str, known: list[str]) -> str:
    """Of which encoding the client has the bytes that a 304 speaks of."""
    if tag in known:
        return ""
    return next((one for one in encodings.OFFERED if encodings.marked(tag, one) in known), "")


def _close(message: Message) -> None:
    """No page of elsewhere reads it, and no cache that others share keeps it."""
    headers = MutableHeaders(scope=message)
    rules = [rule.strip() for rule in headers.get("cache-control", "").split(",")]
    kept = [rule for rule in rules if rule and rule not in ("public", "private")]
    headers["Cache-Control"] = ", ".join(["private", *kept])


def _dress(message: Message, known: list[str], more: Headed) -> None:
    """Everybody's headers, in one pass: this is done for every answer. ``known`` are the tags of
    what the client has."""
    told = {}
    headers = []
    for pair in message["headers"]:
        told[pair[0].lower()] = pair[1]
        if pair[0].lower() not in _HIDDEN:
            headers.append(pair)
    tag = told.get(b"etag", b"").decode()
    encoding = told.get(b"content-encoding", b"").decode()
    if message["status"] == 304:
        encoding = _encoding(tag, known)
    if tag and encoding:
        marked = (b"etag", encodings.marked(tag, encoding).encode())
        headers = [marked if name.lower() == b"etag" else (name, value) for name, value in headers]
    headers += more
    if told.get(b"content-type", b"").startswith(b"text/html"):
        headers.append(_FOR_PAGES)
    message["headers"] = headers
    if message["status"] == 304:
        MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
