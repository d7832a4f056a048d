"""HTTP as uvicorn reads it, with what it leaves open: a request's head has an end, and a host."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: So long may the rest of a head be whose beginning has come: the parser keeps it in memory.
MOST_HEAD = 65_536
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *given: Any, **more: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*given, **more)
        self._in_head = False
        self._rest = 0

    def data_received(self, data: bytes) -> None:
        """What has come; 431 for a head without end."""
        if self._in_head:
            self._rest += len(data)
            if self._rest > MOST_HEAD:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._rest = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It has ended; refused (400) without the one host that HTTP/1.1 asks for (RFC 9112, 3.2):
        what is raised here the parser calls a request that is none."""
        self._in_head = False
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise ValueError("a request names one host")
        super().on_headers_complete()
