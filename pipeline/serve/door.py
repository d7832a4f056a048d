"""The door of a server that is not for everybody: who has no key stays outside, and all is logged.

The log says who asked for what and what came of it, never with which key and never for which
values: of a query only the names of its parameters. A line is written before its answer begins, so
that nobody reads what the log does not tell of: where it cannot be written, the answer is 503.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.errors import ResourceError
from pipeline.serve import answers, errors
from pipeline.serve.keys import Keys

log = logging.getLogger(__name__)

#: Set in the scope of requests that the server makes of itself; no client can set it.
OURS = "makan.ours"
#: Where the scope of a request tells whose key it came with, which layers that may write, and the
#: area that it is at home in.
HOLDER, WRITES, AREA = "makan.holder", "makan.writes", "makan.area"
_HEALTH = ("/health/live", "/health/ready")
_STATIC = "/static/"
_READING = ("GET", "HEAD", "OPTIONS")
_MUTE = "who asks is written down here, which is not possible at the moment"


class _Lines(WatchedFileHandler):
    """A file of lines that only its owner reads; whoever writes one hears whether it is there."""

    _torn = False

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_private)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line past all buffers, which would keep what the disk refused for later."""
        self.reopenIfNeeded()
        if self.stream is None:  # it could not be opened the last time
            self.stream = self._open()
        line = f"{'\n' * self._torn}{self.format(record)}\n".encode()
        written = os.write(self.stream.fileno(), line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def access_log(path: Path) -> logging.Logger:
    """The log at ``path``, which only its owner reads; another process may move it away."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _Lines(path, encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"the access log cannot be written: {error.strerror}",
            where=str(path),
            todo="A server with keys does not run without it.",
        ) from None
    handler.setFormatter(logging.Formatter("%(message)s"))
    found = logging.Logger(path.stem, logging.INFO)  # noqa: LOG001 - it must not reach the root's handlers
    found.addHandler(handler)
    return found


@dataclass(frozen=True)
class Entrance:
    """What a closed server has before its application: the keys that open, and the log."""

    keys: Keys
    log: logging.Logger

    def close(self) -> None:
        """The server ends."""
        for handler in self.log.handlers:
            handler.close()


@dataclass
class _Visit:
    """One request, which is written down by ``write`` before its answer is sent. It is ``passed``
    where the application has heard of it."""

    scope: Scope
    receive: Receive
    send: Send
    write: Callable[[_Visit, int], bool]
    name: str | None = None
    passed: bool = False
    begun: float = field(default_factory=time.monotonic)
    _told: bool | None = None

    async def heard(self, message: Message) -> None:
        """Sends what the application answers, or 503 in its place."""
        if message["type"] == "http.response.start":
            self._told = self.write(self, message["status"])
            if not self._told:
                changes = self.passed and self.scope["method"] not in _READING
                done = "look whether what was sent was done" if changes else "nothing was done"
                await self.fail(errors.unavailable(f"{_MUTE}; {done}"), self.send)
        if self._told:
            await self.send(message)

    async def fail(self, error: Exception, send: Send) -> None:
        """Answers with ``error``."""
        await (await answers.failure(Request(self.scope), error))(self.scope, self.receive, send)

    def end(self) -> None:
        """What was never answered is written down too."""
        if self._told is None:
            self.write(self, 500)


class Door:
    """The layer that asks for the key."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        """Before ``app``."""
        self._app = app
        self._keys = entrance.keys
        self._log = entrance.log
        self._mute = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request through, or answers it here; in both cases it is written down."""
        if scope["type"] != "http" or scope.get(OURS) or _is_free(scope["path"]):
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send, self._write)
        try:
            visit.name = name = await self._keys.holder(Headers(scope=scope))
            if self._mute and scope["method"] not in _READING:
                raise errors.unavailable(f"{_MUTE}; nothing was done")
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            await visit.fail(error, visit.heard)
        else:
            known = {HOLDER: name, WRITES: self._keys.writes(name), AREA: self._keys.area(name)}
            visit.passed = True
            await self._app({**scope, **known}, receive, visit.heard)
        finally:
            visit.end()

    def _write(self, visit: _Visit, status: int) -> bool:
        """Whether the line could be written. The time it tells is until the answer began."""
        scope = visit.scope
        query = scope["query_string"].decode("latin-1")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "name": visit.name,
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"],
            "parameters": sorted({key for key, _ in parse_qsl(query, keep_blank_values=True)}),
            "status": status,
            "ms": round((time.monotonic() - visit.begun) * 1000, 1),
        }
        try:
            self._log.info(orjson.dumps(line).decode())
        except OSError as error:
            log.warning("the access log cannot be written, nobody is answered: %s", error.strerror)
            self._mute = True
        else:
            self._mute = False
        return not self._mute


def _is_free(path: str) -> bool:
    """What tells nothing of the data: whether the server is well, and what its pages are drawn
    with."""
    return path in _HEALTH or path.startswith(_STATIC)
