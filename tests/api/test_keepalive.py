"""One connection carries many requests, whatever the answers were; a client that misbehaves or goes
away takes nothing from the others. Asked of the real server, byte by byte."""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pipeline.db.engine import Database

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ITEMS = "/collections/parcels/items"
ONE = f"{ITEMS}/1"
#: A server of 40 collections; with everything that ends at the ready line, on any machine.
MOST_CPU_S = 6.0


@pytest.fixture(scope="module")
def served(city: Database) -> Iterator[tuple[int, float]]:
    """The port of a server with one worker, so that whatever breaks it breaks the next answer; and
    the CPU seconds until it was ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("MAKAN_")}
    settings = city.settings
    environment |= {
        "MAKAN_HOME": str(settings.home),
        "MAKAN_DATABASE": settings.database,
        "MAKAN_PORT": str(port),
        "MAKAN_WORKERS": "1",
    }
    words = [sys.executable, "-m", "pipeline", "serve"]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert select.select([process.stdout], [], [], 60)[0]
        assert process.stdout.readline().startswith("ready ")
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        spent = sum(sum(one.cpu_times()[:4]) for one in family)
        yield port, spent
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)


@pytest.fixture
def port(served: tuple[int, float]) -> int:
    """Where it listens."""
    return served[0]


@pytest.fixture
def line(port: int) -> Iterator[http.client.HTTPConnection]:
    """One connection, which may not be opened again."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as one:
        one.connect()
        one.auto_open = 0
        yield one


def _ask(
    line: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None,
    **headers: str,
) -> tuple[int, http.client.HTTPMessage, bytes]:  # fmt: skip
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    line.request(method, path, body, named)
    answer = line.getresponse()
    return answer.status, answer.headers, answer.read()


def test_it_starts_without_much_work(served: tuple[int, float]) -> None:
    assert served[1] < MOST_CPU_S


def test_many_answers_of_every_kind_on_one_connection(line: http.client.HTTPConnection) -> None:
    first = line.sock.getsockname()
    status, headers, whole = _ask(line, "GET", ONE)
    assert status == 200
    assert "connection" not in headers
    tag = headers["etag"]
    asked: list[tuple[str, str, bytes | None, dict[str, str], int]] = [
        ("GET", "/nothing-here", None, {}, 404),
        ("GET", f"{ITEMS}?limit=none", None, {}, 400),
        ("GET", ONE, None, {"If_None_Match": tag}, 304),
        ("HEAD", ONE, None, {}, 200),
        ("HEAD", f"{ITEMS}?limit=2", None, {"Accept_Encoding": "gzip"}, 200),
        ("OPTIONS", ITEMS, None, {}, 204),
        ("GET", f"{ITEMS}?f=fgb", None, {}, 200),
        ("GET", "/?f=html", None, {"Accept_Encoding": "gzip"}, 200),
        ("GET", "/?f=html", None, {"Accept_Encoding": "br"}, 200),
        ("GET", "/collections/parcels/tiles/WebMercatorQuad/30/0/0", None, {}, 404),
        # Bodies that nobody wants: what is left of them must not be taken for the next request.
        ("PUT", ONE, b"x" * 300_000, {"Content_Type": "application/geo+json"}, 405),
        ("POST", f"{ITEMS}/1", b"GET /health/live HTTP/1.1\r\n\r\n", {}, 405),
        ("POST", "/collections/parcels/search", b'{"op":', {"Content_Type": "text/plain"}, 415),
        ("DELETE", ONE, None, {}, 405),
    ]
    for method, path, body, more, wanted in asked:
        status, _, content = _ask(line, method, path, body, **more)
        assert status == wanted, (method, path, content)
        assert not content or (method != "HEAD" and status not in (204, 304))
        status, _, content = _ask(line, "GET", ONE)
        assert (status, content) == (200, whole), (method, path)
    assert line.sock.getsockname() == first


def test_a_client_may_say_that_it_is_the_last(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as one:
        one.sendall(f"GET {ONE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while part := one.recv(1 << 16):
            said += part
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in said.lower()


@dataclass
class Answers:
    """What comes on a socket, one answer after the other."""

    line: socket.socket
    rest: bytes = b""

    def __next__(self) -> tuple[int, bytes]:
        """Status and body."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        names = dict(part.lower().split(b": ", 1) for part in head.split(b"\r\n")[1:])
        size = int(names[b"content-length"])
        while len(self.rest) < size:
            self._more()
        body, self.rest = self.rest[:size], self.rest[size:]
        return int(head[9:12]), body

    def _more(self) -> None:
        part = self.line.recv(1 << 16)
        assert part, "closed"
        self.rest += part


def test_requests_sent_at_once_are_answered_in_their_order(port: int) -> None:
    paths = [f"{ITEMS}/{number}" for number in range(1, 11)]
    paths[4] = "/nothing-here"
    asked = "".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths)
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as one:
        one.sendall(asked.encode())
        answers = Answers(one)
        found = [next(answers) for _ in paths]
    assert [status for status, _ in found] == [404 if "nothing" in p else 200 for p in paths]
    for path, (status, body) in zip(paths, found, strict=True):
        assert status == 404 or f'"id":{path.rpartition("/")[2]},'.encode() in body


def _aborted(port: int, sent: bytes, *, wait_s: float = 0.0) -> None:
    """A client that goes away in the middle, with a reset."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as one:
        one.sendall(sent)
        time.sleep(wait_s)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def test_clients_that_go_away_take_nothing_from_others(
    port: int, line: http.client.HTTPConnection
) -> None:
    _, _, whole = _ask(line, "GET", ONE)
    get = f"GET {ITEMS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    file = f"GET {ITEMS}?f=fgb HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    search = b"POST /collections/parcels/search HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    for _ in range(5):
        for sent in (b"", b"GET /coll", get[:-2], get, get * 5, file, search):
            _aborted(port, sent)
        _aborted(port, file, wait_s=0.05)
    # A file that nobody waits for any more does not keep the next from being made.
    end = time.monotonic() + 5
    while (status := _ask(line, "GET", f"{ITEMS}?f=fgb")[0]) == 503:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert status == 200
    assert _ask(line, "GET", ONE)[2] == whole


def test_what_is_no_http_is_refused_and_done_with(
    port: int, line: http.client.HTTPConnection
) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HELLO\r\n\r\n"):
        with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as one:
            one.sendall(sent)
            said = b""
            while part := one.recv(1 << 16):
                said += part
        assert said.startswith(b"HTTP/1.1 400 ")
    assert _ask(line, "GET", ONE)[0] == 200


def test_a_head_without_end_is_refused(port: int) -> None:
    """60 MB of one header were kept in memory, and answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: ")
        sent, refused = 0, b""
        try:
            while sent < 20_000_000:
                one.sendall(b"a" * 65_536)
                sent += 65_536
        except OSError:
            refused = b"closed"
        assert refused
        assert sent < 16_000_000
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: ")
        for _ in range(80):
            time.sleep(0.005)
            one.sendall(b"a" * 1_000)
            if select.select([one], [], [], 0)[0]:
                break
        assert one.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\n", b"400"),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n", b"400"),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\n", b"200"),
        (b"GET /health/live HTTP/1.0\r\n", b"200"),
    ],
)
def test_a_request_names_one_host(port: int, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(head + b"Connection: close\r\n\r\n")
        assert one.recv(100).split()[1] == status
