"""A server beside ours: what it serves, and its process while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from benchmarks.serve import cpu
from benchmarks.serve.drive import Request
from benchmarks.serve.install import Unobtainable
from benchmarks.serve.sample import Box, Sample

_READY_S = 60


@dataclass(frozen=True)
class Place:
    """What there is to serve: the database, a view of it with its columns, those that tiles of a
    level carry, and where to work."""

    parts: dict[str, str]
    schema: str
    view: str
    fields: tuple[str, ...]
    tile_fields: dict[int, tuple[str, ...]]
    srid: int
    box: Box
    folder: Path

    @property
    def uri(self) -> str:
        """The database as an address."""
        login = f"{self.parts['user']}:{quote(self.parts['password'], safe='')}"
        host = quote(self.parts["host"], safe="")
        return f"postgresql://{login}@{host}:{self.parts['port']}/{self.parts['dbname']}"


@dataclass(frozen=True)
class Peer:
    """A server: what it is called, its port, how it is installed (the answer: its words and
    environment), and the requests it is asked for each work that it can do."""

    name: str
    port: int
    install: Callable[[], object]
    begin: Callable[[Place, int], tuple[list[str], dict[str, str]]]
    ask: Callable[[str, Sample, Place], list[Request] | None]
    ready: str = "/"


@contextmanager
def running(peer: Peer, place: Place) -> Iterator[int]:
    """The server's process, when it answers."""
    words, environment = peer.begin(place, peer.port)
    log = place.folder / f"{peer.name}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            words,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
            cwd=place.folder,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{peer.port}{peer.ready}", log)
        yield process.pid
    finally:
        # With all that it has started: lighttpd leaves MapServer's processes behind.
        family = cpu.family(process.pid)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for one in family[1:]:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    lines = log.read_text(errors="replace").strip().splitlines()
    raise Unobtainable(f"does not start: {lines[-1] if lines else 'says nothing'}")
