"""HTTP as uvicorn reads it, with what it leaves open: a request's head has an end, in bytes and in
time, and a host; and who sends no more may still read."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: So long may the rest of a head be whose beginning has come: the parser keeps it in memory.
MOST_HEAD = 65_536
#: So long may a head take to come, the first one counted from the connection's beginning.
MOST_HEAD_S = 15.0
#: So soon must an answer begin for a client that sends no more. Whether it still reads or has gone
#: cannot be told before something is written; nothing heavy is to be made for one that has gone.
MOST_HALF_S = 1.0
_END = b"content-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _END
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + _END


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *given: Any, **more: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*given, **more)
        self._in_head = False
        self._rest = 0
        self._head_limit: asyncio.TimerHandle | None = None
        self._half_limit: asyncio.TimerHandle | None = None

    @property
    def _answering(self) -> bool:
        """Whether the last request that was asked whole waits for the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, which has not asked yet."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        for limit in (self._head_limit, self._half_limit):
            if limit:
                limit.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What has come; 431 for a head without end."""
        if self._in_head:
            self._rest += len(data)
            if self._rest > MOST_HEAD:
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)
        # uvicorn's limit for a connection at rest ended with the first byte, whatever that was.
        if self._head_limit is None and (self._in_head or not self._answering):
            self._await_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more. What it asked whole it gets, and then the connection ends."""
        if not self._answering or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        self._half_limit = self.loop.call_later(MOST_HALF_S, self._end_half)
        return True

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._rest = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It has ended; refused (400) without the one host that HTTP/1.1 asks for (RFC 9112, 3.2):
        what is raised here the parser calls a request that is none."""
        self._in_head = False
        if self._head_limit:
            self._head_limit.cancel()
            self._head_limit = None
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise ValueError("a request names one host")
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_limit = self.loop.call_later(MOST_HEAD_S, self._end_head)

    def _end_head(self) -> None:
        """The head did not come in time: 408, or nothing where it was not even begun (a browser
        opens connections in advance, and would show the 408 for the next page)."""
        if self._answering:  # its turn comes after what was asked before it
            self._await_head()
        else:
            self._refuse(_TOO_SLOW if self._in_head else b"")

    def _end_half(self) -> None:
        if self.pipeline or (self._answering and not self.cycle.response_started):
            self.transport.close()

    def _refuse(self, answer: bytes) -> None:
        """The last that is said here; nothing is said into the midst of another answer."""
        if not self.transport.is_closing():
            if answer and not self._answering:
                self.transport.write(answer)
            self.transport.close()
