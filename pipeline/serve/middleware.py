"""What holds for every answer: security headers, CORS, paths without a slash at the end."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serve import conditions, encodings
from pipeline.serve.conditions import Match

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

        scope, said = conditions.joined(scope)
        scope, encoding = _plain_tags(scope, said)
        last = Match(scope, said, send) if said else send

        async def dress(message: Message) -> None:
            if message["type"] == "http.response.start":
                _dress(message, encoding, self._always)
                if self._closed:
                    _close(message)
            await last(message)

        await self._app(scope, receive, dress)


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


async def _answer_preflight(send: Send, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b""})


def _plain_tags(scope: Scope, said: dict[bytes, bytes]) -> tuple[Scope, str | None]:
    """The request with If-None-Match as the handlers know it, and the encoding it names: compressed
    bytes have a tag of their own, as bytes that differ must (RFC 9110, 8.8.3.3)."""
    asked = said.get(b"if-none-match", b"").decode("latin-1")
    for name in encodings.OFFERED:
        if (ending := f'-{name}"') in asked:
            plain = (b"if-none-match", asked.replace(ending, '"').encode("latin-1"))
            rest = [pair for pair in scope["headers"] if pair[0] != b"if-none-match"]
            return {**scope, "headers": [*rest, plain]}, name
    return scope, None


def _close(message: Message) -> None:
    """No page of elsewhere reads it, and no cache that others share keeps it."""
    headers = MutableHeaders(scope=message)
    rules = [rule.strip() for rule in headers.get("cache-control", "").split(",")]
    kept = [rule for rule in rules if rule and rule not in ("public", "private")]
    headers["Cache-Control"] = ", ".join(["private", *kept])


def _dress(message: Message, known: str | None, more: Headed) -> None:
    """Everybody's headers, in one pass: this is done for every answer. ``known`` is the encoding
    that the tag of a 304 speaks of."""
    told = {}
    headers = []
    for pair in message["headers"]:
        told[pair[0].lower()] = pair[1]
        if pair[0].lower() not in _HIDDEN:
            headers.append(pair)
    encoding = known if message["status"] == 304 else told.get(b"content-encoding", b"").decode()
    tag = told.get(b"etag")
    if tag and encoding:
        marked = (b"etag", tag.removesuffix(b'"') + f'-{encoding}"'.encode())
        headers = [marked if name.lower() == b"etag" else (name, value) for name, value in headers]
    headers += more
    if told.get(b"content-type", b"").startswith(b"text/html"):
        headers.append(_FOR_PAGES)
    message["headers"] = headers
    if message["status"] == 304:
        MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
