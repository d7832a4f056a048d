"""Compresses answers as each client takes them: zstd, Brotli or gzip; streams by gzip alone."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.derive.raster_collections import COG
from pipeline.serve import encodings
from pipeline.serve.files import FLATGEOBUF, GEOPARQUET

_FROM = 1_000
_GZIP_LEVEL = 4
_TIFF = COG.partition(";")[0]
#: Compressed already, or so large that it would take longer than a city's network.
_AS_THEY_ARE = (*DEFAULT_EXCLUDED_CONTENT_TYPES, FLATGEOBUF, GEOPARQUET, _TIFF)
_PACKED = ("image/png", "image/jpeg", "image/webp", "font/woff2", "application/vnd.pmtiles")


class Squeeze:
    """The layer that compresses; a body that comes in one piece costs one pass over it."""

    def __init__(self, app: ASGIApp) -> None:
        """Round ``app``."""
        self._app = app
        self._streaming = GZipMiddleware(
            app, minimum_size=_FROM, compresslevel=_GZIP_LEVEL, exclude_content_types=_AS_THEY_ARE
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; its answer is compressed on the way back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chosen = encodings.chosen(Headers(scope=scope).get("accept-encoding", ""))
        if chosen is None or scope["method"] == "HEAD":
            await self._app(scope, receive, _varied(send))
            return
        begun: Message | None = None

        async def squeezed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = message
                return
            if begun is not None and message["type"] == "http.response.body":
                if not message.get("more_body"):
                    message = _whole(begun, message, chosen)
                await send(begun)
                begun = None
            await send(message)

        if chosen == "gzip":
            await self._streaming(scope, receive, _varied(send))
        else:
            await self._app(scope, receive, squeezed)


def _whole(begun: Message, message: Message, encoding: str) -> Message:
    """The body compressed, where that is worth while; the headers say so."""
    headers = MutableHeaders(scope=begun)
    body: bytes = message.get("body", b"")
    kind = headers.get("content-type", "").partition(";")[0]
    headers.add_vary_header("Accept-Encoding")
    if (
        begun["status"] == 206
        or len(body) < _FROM
        or "content-encoding" in headers
        or kind in (*_AS_THEY_ARE, *_PACKED)
    ):
        return message
    packed = encodings.encode(body, encoding)
    headers["Content-Encoding"] = encoding
    headers["Content-Length"] = str(len(packed))
    return {**message, "body": packed}


def _varied(send: Send) -> Send:
    """Says that another client may get other bytes."""

    async def varied(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
        await send(message)

    return varied
