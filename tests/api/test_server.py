"""The server as a process: ready when it says so, one line when it cannot, nothing left behind."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx2 as httpx
import psutil
import pytest

from pipeline.contracts.raster import ServedRaster
from pipeline.db.engine import Database
from pipeline.serve import running

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(database: Database, port: int, **more: str) -> subprocess.Popen[str]:
    settings = database.settings
    environment = {name: v for name, v in os.environ.items() if not name.startswith("MAKAN_")}
    environment |= {
        "MAKAN_HOME": str(settings.home),
        "MAKAN_DATABASE": settings.database,
        "MAKAN_PORT": str(port),
        "MAKAN_WORKERS": "2",
        **more,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _gone(family: list[psutil.Process], seconds: float) -> bool:
    _, alive = psutil.wait_procs(family, timeout=seconds)
    return not [found for found in alive if found.status() != psutil.STATUS_ZOMBIE]


def _ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    return process.stdout.readline() if ready else ""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ready_then_stopped(city: Database, stop: signal.Signals) -> None:
    port = _free_port()
    process = _start(city, port)
    try:
        assert _ready_line(process) == f"ready http://127.0.0.1:{port}/\n"
        family = _family(process)
        # The parent, two workers, what looks after jobs, its worker, and what follows edits.
        assert len(family) == 6
        answers = [
            httpx.get(f"http://127.0.0.1:{port}/collections/parcels/items?limit=1", timeout=2)
            for _ in range(10)
        ]
        assert all(answer.json()["numberMatched"] == 10 for answer in answers)
        assert max(answer.elapsed.total_seconds() for answer in answers) < 1
        assert "server" not in answers[0].headers
        if stop == signal.SIGINT:
            os.killpg(process.pid, stop)  # Ctrl-C reaches the whole group
        else:
            process.send_signal(stop)
        out, _ = process.communicate(timeout=15)
        assert out == ""  # the ready line was the only one
        assert _gone(family, 10)
        if stop != signal.SIGKILL:
            assert process.returncode == 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    finally:
        process.kill()
        process.wait()


def _connected(port: int, number: int) -> list[socket.socket]:
    """Connections that stay, each after an answer."""
    found = []
    for _ in range(number):
        one = socket.create_connection(("127.0.0.1", port), timeout=10)
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
        assert one.recv(65_536).startswith(b"HTTP/1.1 200")
        found.append(one)
    return found


def _workers(process: subprocess.Popen[str], port: int) -> list[psutil.Process]:
    """Those who listen, but for the parent of all."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [one for one in found if _held(one, port, "LISTEN")]


def _held(worker: psutil.Process, port: int, status: str = "ESTABLISHED") -> int:
    """How many clients are connected with a worker."""
    kept = worker.net_connections("tcp")
    return sum(one.status == status and one.laddr.port == port for one in kept)


def test_a_worker_that_dies_is_replaced(city: Database) -> None:
    """Clients are shared out among both workers, and most new ones go to one that is new: where
    the machine is busy not each of them, since nobody waits long for a worker that is."""
    port = _free_port()
    process = _start(city, port)
    clients: list[socket.socket] = []
    try:
        assert _ready_line(process).startswith("ready ")
        before = _workers(process, port)
        assert len(before) == 2
        clients += _connected(port, 8)
        assert min(_held(one, port) for one in before) >= 2
        before[0].kill()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            answer = httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5)
            assert answer.status_code == 200
            now = _workers(process, port)
            if len(now) == 2 and before[0] not in now:
                break
            time.sleep(0.1)
        new = next(one for one in now if one not in before)
        while time.monotonic() < deadline and not _held(new, port):
            clients += _connected(port, 1)  # it is warming up
            time.sleep(0.2)
        first, missing = _held(new, port), _held(before[1], port) - _held(new, port)
        clients += _connected(port, missing)
        assert missing > 2
        assert _held(new, port) - first > missing / 2
        for one in clients:
            one.close()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=15)
        assert out == ""  # not told to be ready a second time
    finally:
        for one in clients:
            one.close()
        process.kill()
        process.wait()


@pytest.mark.defect("1.3-restart")
def test_what_is_published_anew_is_served_without_a_restart(city: Database, tmp_path: Path) -> None:
    """A first raster while the server runs; requests go on all the while, and none is lost."""
    database = city.settings
    home = _home_beside(tmp_path, database.home)
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    process = _start(city, port, MAKAN_HOME=str(home))
    try:
        assert _ready_line(process).startswith("ready ")
        before = {child.pid for child in psutil.Process(process.pid).children()}
        assert httpx.get(f"{base}/collections/dem").status_code == 404
        pointer = ServedRaster.pointer(home, "dem")
        pointer.parent.mkdir(parents=True)
        pointer.write_text(_DEM.model_dump_json())
        stale = home / "run" / "serve-1.pid"
        stale.write_text("1")  # of a server that was killed; nobody holds its lock
        with ThreadPoolExecutor(2) as pool:
            done = Event()
            asking = [pool.submit(_ask_until, f"{base}{path}", done) for path in _ASKED]
            assert running.tell(home) == 1
            told = time.monotonic()
            answers = 0
            while answers < 20 and time.monotonic() < told + 30:
                found = httpx.get(f"{base}/collections/dem?f=json", timeout=10).status_code
                answers = answers + 1 if found == 200 else 0
            time.sleep(1)  # the old workers are gone by now
            done.set()
            counts = [found.result() for found in asking]
        assert answers == 20
        assert min(counts) > 20
        assert not stale.exists()
        assert not before & {child.pid for child in psutil.Process(process.pid).children()}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=15)
        assert (out, err) == ("", "")
        assert running.tell(home) == 0
        assert not list((home / "run").iterdir())
    finally:
        process.kill()
        process.wait()


_ASKED = ("/collections/parcels/items?limit=5", "/collections?f=json")
_DEM = ServedRaster(
    layer="dem", path="rasters/dem/x.tif", version="0", made_of="0", run=1, sheets=1, srid=32639,
    width=10, height=10, bounds=(490_000, 3_830_000, 490_100, 3_830_100),
    lonlat=(50.89, 34.6, 50.9, 34.7), updated="2026-01-01T00:00:00Z",
)  # fmt: skip


def _home_beside(folder: Path, home: Path) -> Path:
    """A home of its own that shares the cluster of ``home``."""
    made = folder / "home"
    made.mkdir()
    (made / "db").symlink_to(home / "db")
    return made


def _ask_until(address: str, done: Event) -> int:
    """Asks again and again, each time by a new connection; every answer must be 200."""
    count = 0
    while not done.is_set():
        assert httpx.get(address, timeout=10).status_code == 200
        count += 1
    return count


def _fails(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    return process.returncode, err


def test_a_port_that_is_taken(city: Database) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, said = _fails(_start(city, port))
    assert code == 7
    assert str(port) in said
    assert "MAKAN_PORT" in said


def test_a_database_that_is_not_there(city: Database, tmp_path: Path) -> None:
    code, said = _fails(_start(city, _free_port(), MAKAN_HOME=str(tmp_path)))
    assert code == 6
    assert "makan db start" in said
    address = "postgresql://nobody:secret@127.0.0.1:1/none"
    code, said = _fails(_start(city, _free_port(), MAKAN_DATABASE_URL=address))
    assert code == 6
    assert "does not answer" in said
    assert "secret" not in said


def test_a_host_that_is_none(city: Database) -> None:
    code, said = _fails(_start(city, _free_port(), MAKAN_HOST="no.such.host.invalid"))
    assert code == 2
    assert "MAKAN_HOST" in said
