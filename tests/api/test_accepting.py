"""New connections go to the worker that has fewest, and are taken whatever the others do."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from pipeline.serve.accepting import Connections, Listener, Tally


class _Held(asyncio.Protocol):
    """A connection, as uvicorn's keep themselves."""

    def __init__(self, among: Connections) -> None:
        self._among = among

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._among.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._among.discard(self)


def test_places_of_who_ended_are_free_again() -> None:
    tally = Tally(2)
    assert tally.fewest() == 0
    first, second = tally.take([]), tally.take([0])
    assert (first, second) == (0, 1)
    tally.tell(0, 5)
    tally.tell(1, 3)
    assert tally.fewest() == 3
    assert tally.take([0, 1, None]) is None
    assert tally.take([0]) == 1  # the second was killed, and told nobody
    assert tally.fewest() == 5


def test_who_has_more_than_another_leaves_the_next() -> None:
    tally = Tally(2)
    mine, other = Connections(tally, 0), Connections(tally, 1)
    assert not mine.most
    mine.add("a")
    assert mine.most
    other.coming(1)
    assert not mine.most
    other.coming(-1)
    assert mine.most
    other.closed()
    assert not mine.most  # nobody else takes any
    assert not Connections(tally, None).most


@pytest.fixture
def listening() -> socket.socket:
    found = socket.create_server(("127.0.0.1", 0))
    found.setblocking(False)  # noqa: FBT003 - the operating system's call
    return found


async def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true() and time.monotonic() < end:
        await asyncio.sleep(0.001)
    assert true()


def test_two_who_listen_share_what_comes(listening: socket.socket) -> None:
    async def share() -> None:
        tally = Tally(2)
        both = [Connections(tally, place) for place in (0, 1)]
        again = listening.dup()  # as a fork has it
        first = Listener(listening, lambda: _Held(both[0]), both[0])
        second = Listener(again, lambda: _Held(both[1]), both[1])
        clients = [socket.create_connection(listening.getsockname()) for _ in range(10)]
        await _until(lambda: sum(map(len, both)) == 10)
        assert [len(one) for one in both] == [5, 5]
        for one in clients:
            one.close()
        await _until(lambda: not any(both))
        for listener in (first, second):
            listener.close()
            await listener.wait_closed()
        again.close()

    with listening:
        asyncio.run(share())


def test_what_nobody_else_takes_is_taken(listening: socket.socket) -> None:
    """The other has fewer, and no time."""

    async def alone() -> None:
        tally = Tally(2)
        mine, idle = Connections(tally, 0), Connections(tally, 1)
        listener = Listener(listening, lambda: _Held(mine), mine)
        clients = [socket.create_connection(listening.getsockname()) for _ in range(5)]
        await _until(lambda: len(mine) == 5)
        assert not idle
        for one in clients:
            one.close()
        listener.close()

    with listening:
        asyncio.run(alone())
