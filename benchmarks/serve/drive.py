"""Puts load on a server, or on the database itself, and counts what comes back.

Processes, each with some connections that it keeps; the next request goes out when the answer
before it is whole (a closed loop). No library stands in between: what a client costs is taken from
the same two cores.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Self

import psycopg

_PROCESSES = 4
_CONNECTIONS = 2
_TIMEOUT_S = 60.0
_FINE = (200, 204, 304)
_MOST_FAULTS = 100
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What is asked: a path with its query, and further header lines."""

    path: str
    headers: tuple[str, ...] = ()

    def raw(self, host: str, port: int) -> bytes:
        """As it goes over the wire."""
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {host}:{port}", *self.headers]
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass(frozen=True)
class Counted:
    """What came back: answers, seconds, bytes of bodies and headers, what was no answer."""

    answers: int
    seconds: float
    size: int
    faults: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.answers else 0.0


@dataclass
class _Connection:
    address: tuple[str, int]
    socket_is_open: bool = False
    begun: bytearray = field(default_factory=bytearray)
    end: int = 0
    chunked: bool = False
    last: bool = False
    status: int = 0

    def open(self) -> None:
        self.socket = socket.create_connection(self.address, timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket_is_open = True

    def send(self, raw: bytes) -> None:
        self.begun.clear()
        self.end, self.chunked, self.status = 0, False, 0
        self.socket.sendall(raw)

    def read(self) -> bool:
        """Takes what is there; whether the answer is whole."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("closed in the middle of an answer")
        self.begun += part
        if not self.status:
            head = self.begun.find(b"\r\n\r\n")
            if head < 0:
                return False
            self._head(bytes(self.begun[:head]), head + 4)
        if self.chunked:
            return self.begun.endswith(b"0\r\n\r\n")
        return len(self.begun) >= self.end

    def _head(self, head: bytes, after: int) -> None:
        self.status = int(head[9:12])
        length = _LENGTH.search(head)
        self.chunked = bool(_CHUNKED.search(head))
        self.last = bool(_LAST.search(head))
        self.end = after + (int(length[1]) if length and self.status != 304 else 0)


class _Share:
    """One process' share: each of ``raws`` once, or round and round for ``seconds``."""

    def __init__(
        self, address: tuple[str, int], raws: Sequence[bytes], seconds: float | None
    ) -> None:
        self._address, self._raws = address, raws
        self._end = None if seconds is None else time.monotonic() + seconds
        self._selector = selectors.DefaultSelector()
        self._place = self._busy = 0
        self.answers = self.size = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Until there is nothing more to ask, or no time."""
        most = len(self._raws) if self._end is None else _CONNECTIONS
        for _ in range(min(_CONNECTIONS, most)):
            self._next(_Connection(self._address))
            self._busy += 1
        while self._busy:
            ready = self._selector.select(_TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"{self._address} does not answer")
            for key, _ in ready:
                self._heard(key.data)

    def _heard(self, one: _Connection) -> None:
        try:
            if one.read():
                self._answered(one)
        except ConnectionError as error:
            self.faults.append(str(error))
            if len(self.faults) > _MOST_FAULTS:
                raise
            one.last = True
            self._on(one)

    def _over(self) -> bool:
        if self._end is None:
            return self._place >= len(self._raws)
        return time.monotonic() > self._end

    def _answered(self, one: _Connection) -> None:
        if one.status not in _FINE:
            self.faults.append(f"{one.status} {bytes(one.begun[-200:])!r}")
        if self._end is None or not self._over():
            self.answers += 1
            self.size += len(one.begun)
        self._on(one)

    def _on(self, one: _Connection) -> None:
        """The next request, or none; on a new connection where the server closes this one."""
        if self._over() or one.last:
            self._selector.unregister(one.socket)
            one.socket.close()
            one.socket_is_open = False
        if self._over():
            self._busy -= 1
        else:
            self._next(one)

    def _next(self, one: _Connection) -> None:
        if not one.socket_is_open:
            one.open()
            self._selector.register(one.socket, selectors.EVENT_READ, one)
        one.send(self._raws[self._place % len(self._raws)])
        self._place += 1


def _work(
    address: tuple[str, int], raws: Sequence[bytes], seconds: float | None
) -> tuple[int, int, list[str]]:
    share = _Share(address, raws, seconds)
    share.run()
    return share.answers, share.size, share.faults[:3]


def _ask(
    uri: str, asked: Sequence[tuple[bytes, dict[str, Any]]], seconds: float | None
) -> tuple[int, int, list[str]]:
    """One process' share of statements, on one connection."""
    answers = size = place = 0
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(b"SET TIME ZONE 'UTC'")
        cursor = connection.cursor(binary=True)
        end = None if seconds is None else time.monotonic() + seconds
        while place < len(asked) if end is None else time.monotonic() < end:
            query, values = asked[place % len(asked)]
            row = cursor.execute(query, values, prepare=True).fetchone()
            answers, place = answers + 1, place + 1
            size += len(row[0]) if row and row[0] and not isinstance(row[0], int) else 0
    return answers, size, []


class Drivers:
    """The processes, for the time of a ``with``."""

    def __init__(self) -> None:
        """Forks them at the first use."""
        self._pool = ProcessPoolExecutor(_PROCESSES, mp_context=get_context("fork"))

    def __enter__(self) -> Self:
        """Starts."""
        list(self._pool.map(time.sleep, [0.05] * _PROCESSES))
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""
        self._pool.shutdown()

    def http(self, port: int, asked: Sequence[Request], seconds: float | None) -> Counted:
        """Asks a server of this machine; ``seconds`` None: each request once."""
        raws = [one.raw("127.0.0.1", port) for one in asked]
        return self._run(_work, ("127.0.0.1", port), raws, seconds)

    def sql(
        self, uri: str, asked: Sequence[tuple[bytes, dict[str, Any]]], seconds: float | None
    ) -> Counted:
        """Asks the database."""
        return self._run(_ask, uri, asked, seconds)

    def _run(self, work: Any, place: Any, asked: Sequence[Any], seconds: float | None) -> Counted:
        shares = [asked[number::_PROCESSES] for number in range(_PROCESSES)]
        if seconds is not None:
            # All connections are busy, however few addresses there are.
            shares = [share or asked for share in shares]
        begun = time.monotonic()
        jobs = [self._pool.submit(work, place, share, seconds) for share in shares if share]
        found = [job.result() for job in jobs]
        spent = time.monotonic() - begun if seconds is None else seconds
        return Counted(
            sum(one[0] for one in found),
            spent,
            sum(one[1] for one in found),
            tuple(fault for one in found for fault in one[2]),
        )
