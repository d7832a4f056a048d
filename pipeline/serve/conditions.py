"""Conditions of requests (RFC 9110, 13): lines of one header read as one, and If-Match of files.

Who reads a file piece by piece says by If-Match which bytes the pieces are of: 412 where they are
others now. Of features it is heard where they are written alone: clients such as OWSLib keep the
header of a write for all that they ask after it.
"""

from __future__ import annotations

from starlette.types import Message, Scope, Send

from pipeline.serve.errors import JSON_TYPE, Problem

_MATCH, _NONE_MATCH = b"if-match", b"if-none-match"
_READS, _FILES = ("GET", "HEAD"), "/files/"
_HELD = (200, 206, 304)


def joined(scope: Scope) -> tuple[Scope, dict[bytes, bytes]]:
    """The request with the lines of each of these headers as one, and what they say."""
    found: dict[bytes, bytes] = {}
    again = False
    for name, value in scope["headers"]:
        if name in (_MATCH, _NONE_MATCH):
            again = again or name in found
            found[name] = found[name] + b", " + value if name in found else value
    if again:
        rest = [pair for pair in scope["headers"] if pair[0] not in found]
        scope = {**scope, "headers": [*rest, *found.items()]}
    return scope, found


class Match:
    """If-Match of a file: passes the answer on, or 412 in its place."""

    def __init__(self, scope: Scope, said: dict[bytes, bytes], send: Send) -> None:
        """To ``send``, as the request ``said``."""
        reads = scope["method"] in _READS and scope["path"].startswith(_FILES)
        wanted = said.get(_MATCH) if reads else None
        self._wanted = None if wanted is None else [one.strip() for one in wanted.split(b",")]
        self._head = scope["method"] == "HEAD"
        self._send, self._refused = send, False

    async def __call__(self, message: Message) -> None:
        """One part of the answer."""
        if self._refused:
            return
        starts = self._wanted is not None and message["type"] == "http.response.start"
        if starts and message["status"] in _HELD and not self._fits(message):
            self._refused = True
            await self._refuse()
            return
        await self._send(message)

    def _fits(self, message: Message) -> bool:
        """Compared as strong tags: a weak one fits nothing."""
        tag = next((value for name, value in message["headers"] if name.lower() == b"etag"), None)
        return self._wanted == [b"*"] or (tag is not None and tag in (self._wanted or ()))

    async def _refuse(self) -> None:
        body = Problem(412, "PreconditionFailed", "it is not any more what If-Match names").body()
        headers = [
            (b"content-type", JSON_TYPE.encode()), (b"cache-control", b"no-store"),
            (b"content-length", str(len(body)).encode()),
        ]  # fmt: skip
        await self._send({"type": "http.response.start", "status": 412, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self._head else body})
