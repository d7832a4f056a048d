"""How long a connection may take: a head that never ends, a client that sends no more. A server of
uvicorn's on a real socket, over the protocol of ours, with limits that a test can wait for."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import uvicorn

from pipeline.serve import protocol

HEAD_S, HALF_S, REST_S = 1.6, 0.8, 3.2
ASK = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
GONE: list[str] = []


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what was sent; /slow after a while, /drop when its client is gone."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * HEAD_S)
    if scope["path"] == "/late":
        await asyncio.sleep(HALF_S / 2)
    if scope["path"] == "/drop":
        GONE.append((await receive())["type"])
        return
    said = scope["path"].encode() + body
    size = (b"content-length", str(len(said)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [size]})
    if scope["path"] == "/long":
        for part in said:
            await send({"type": "http.response.body", "body": bytes([part]), "more_body": True})
            await asyncio.sleep(HALF_S / 2)
        said = b""
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the server listens."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.setattr(protocol, "MOST_HEAD_S", HEAD_S)
        patch.setattr(protocol, "MOST_HALF_S", HALF_S)
        config = uvicorn.Config(
            _app, http=protocol.Protocol, ws="none", lifespan="off", loop="uvloop", log_config=None,
            timeout_keep_alive=REST_S,  # type: ignore[arg-type]
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def _connected(port: int, sent: bytes = b"") -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    one.sendall(sent)
    return one


def _rest(one: socket.socket) -> tuple[bytes, float]:
    """What comes until the server closes, and after how many seconds it does."""
    began, said = time.monotonic(), b""
    while part := one.recv(1 << 16):
        said += part
    return said, time.monotonic() - began


def _answer(one: socket.socket, ending: bytes) -> bytes:
    """What comes until it ends so; head and body may come one by one."""
    said = b""
    while not said.endswith(ending) and (part := one.recv(1000)):
        said += part
    assert said.endswith(ending)
    return said


def test_heads_that_never_end_are_ended_and_keep_nobody_waiting(port: int) -> None:
    with ExitStack() as stack:
        began, last = time.monotonic(), 0.0
        slow = [
            stack.enter_context(_connected(port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "))
            for _ in range(200)
        ]
        while not select.select(slow, [], [], 0)[0]:
            assert time.monotonic() - began < 3 * HEAD_S
            for one in slow:
                with suppress(OSError):
                    one.sendall(b"a")
            asked = time.monotonic()
            with _connected(port, ASK % b"/me") as one:
                _answer(one, b"/me")
            last = max(last, time.monotonic() - asked)
            time.sleep(HEAD_S / 10)
        assert time.monotonic() - began > HEAD_S / 2
        assert last < HEAD_S / 2
        said = []
        for one in slow:
            with suppress(ConnectionResetError):  # it had sent a byte just then
                said.append(_rest(one)[0])
        assert all(one.startswith(b"HTTP/1.1 408 ") for one in said)
        assert len(said) > len(slow) / 2
        assert time.monotonic() - began < 4 * HEAD_S


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_who_never_asks_is_let_go_without_a_word(port: int, sent: bytes) -> None:
    with _connected(port, sent) as one:
        said, seconds = _rest(one)
    assert said == b""
    assert HEAD_S / 2 < seconds < REST_S


def test_a_connection_at_rest_has_a_limit_of_its_own(port: int) -> None:
    with _connected(port, ASK % b"/") as one:
        said, seconds = _rest(one)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"408" not in said
    assert REST_S - 0.1 < seconds < 2 * REST_S


def test_blank_lines_are_no_sign_of_life(port: int) -> None:
    """The limit at rest ended with the first byte; such a connection lived for ever."""
    with _connected(port, ASK % b"/") as one:
        assert _answer(one, b"\r\n\r\n/").startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        while not select.select([one], [], [], HEAD_S / 10)[0]:
            one.sendall(b"\r\n")
            assert time.monotonic() - began < 3 * HEAD_S
        assert one.recv(1000) == b""


def test_no_408_comes_into_the_midst_of_an_answer(port: int) -> None:
    """A slow answer is no fault of the client, whose next request has begun meanwhile."""
    with _connected(port, ASK % b"/slow" + b"GET /next HTTP/1.1\r\n") as one:
        assert _answer(one, b"/slow").startswith(b"HTTP/1.1 200 ")
        one.sendall(b"Host: x\r\n\r\n")
        assert _answer(one, b"/next").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/", b"/late"])
def test_who_sends_no_more_is_answered(port: int, path: bytes) -> None:
    with _connected(port, ASK % path) as one:
        one.shutdown(socket.SHUT_WR)
        said, seconds = _rest(one)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(path)
    assert seconds < REST_S / 2


def test_all_that_was_asked_before_the_end_is_answered(port: int) -> None:
    sent = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    with _connected(port, ASK % b"/late" + ASK % b"/a" + sent) as one:
        one.shutdown(socket.SHUT_WR)
        said, _ = _rest(one)
    assert said.count(b"HTTP/1.1 200 ") == 3
    assert said.index(b"/late") < said.index(b"/a") < said.index(b"/bbody")


def test_an_answer_that_has_begun_comes_to_its_end(port: int) -> None:
    with _connected(port, ASK % b"/long") as one:
        one.shutdown(socket.SHUT_WR)
        said, seconds = _rest(one)
    assert said.endswith(b"/long")
    assert seconds > HALF_S


def test_a_body_that_will_not_come_is_not_waited_for(port: int) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
    with _connected(port, sent) as one:
        one.shutdown(socket.SHUT_WR)
        said, seconds = _rest(one)
    assert said == b""
    assert seconds < HALF_S


def test_work_ends_soon_for_who_has_gone(port: int) -> None:
    """Whether a client that sends no more still reads cannot be told; it is not believed long."""
    GONE.clear()
    _connected(port, ASK % b"/drop").close()
    end = time.monotonic() + 5 * HALF_S
    while not GONE and time.monotonic() < end:
        time.sleep(0.01)
    assert GONE == ["http.disconnect"]
