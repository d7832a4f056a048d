"""The door of a server that is not for everybody: who has no key stays outside, and all is logged.

The log says who asked for what and what came of it, never with which key and never for which
values: of a query only the names of its parameters.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.errors import ResourceError
from pipeline.serve import answers
from pipeline.serve.keys import Keys

#: Set in the scope of requests that the server makes of itself; no client can set it.
OURS = "makan.ours"
#: Where the scope of a request tells whose key it came with, which layers that may write, and the
#: area that it is at home in.
HOLDER, WRITES, AREA = "makan.holder", "makan.writes", "makan.area"
_HEALTH = ("/health/live", "/health/ready")
_STATIC = "/static/"


def access_log(path: Path) -> logging.Logger:
    """The log at ``path``, which only its owner reads; another process may move it away."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"the access log cannot be written: {error.strerror}",
            where=str(path),
            todo="A server with keys does not run without it.",
        ) from None
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.Logger(path.stem, logging.INFO)  # noqa: LOG001 - it must not reach the root's handlers
    log.addHandler(handler)
    return log


@dataclass(frozen=True)
class Entrance:
    """What a closed server has before its application: the keys that open, and the log."""

    keys: Keys
    log: logging.Logger

    def close(self) -> None:
        """The server ends."""
        for handler in self.log.handlers:
            handler.close()


class Door:
    """The layer that asks for the key."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        """Before ``app``."""
        self._app = app
        self._keys = entrance.keys
        self._log = entrance.log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request through, or answers it here; in both cases it is written down."""
        if scope["type"] != "http" or scope.get(OURS) or _is_free(scope["path"]):
            await self._app(scope, receive, send)
            return
        begun, name, status = time.monotonic(), None, 500

        async def heard(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            name = await self._keys.holder(Headers(scope=scope))
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            await (await answers.failure(Request(scope), error))(scope, receive, heard)
        else:
            known = {HOLDER: name, WRITES: self._keys.writes(name), AREA: self._keys.area(name)}
            await self._app({**scope, **known}, receive, heard)
        finally:
            self._write(scope, name, status, time.monotonic() - begun)

    def _write(self, scope: Scope, name: str | None, status: int, seconds: float) -> None:
        query = scope["query_string"].decode("latin-1")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "name": name,
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"],
            "parameters": sorted({key for key, _ in parse_qsl(query, keep_blank_values=True)}),
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        self._log.info(orjson.dumps(line).decode())


def _is_free(path: str) -> bool:
    """What tells nothing of the data: whether the server is well, and what its pages are drawn
    with."""
    return path in _HEALTH or path.startswith(_STATIC)
