"""A Dask cluster of two workers, each a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.spread import store

ROOT = Path(__file__).resolve().parents[2]
# The name `tests` is pygeoapi's in other processes: tasks are in a module of their own.
sys.path.insert(0, str(Path(__file__).parent))


@dataclass
class Dask:
    """The scheduler's address, and the processes."""

    address: str
    workers: list[subprocess.Popen[bytes]]


def _start(module: str, *words: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *words]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(program, env=env, stdout=quiet, stderr=quiet)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the scheduler does not listen")


@pytest.fixture
def dask() -> Iterator[Dask]:
    """A scheduler and two workers without nannies, so that a dead one stays dead."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    scheduler = _start(
        "dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
    )
    workers: list[subprocess.Popen[bytes]] = []
    try:
        _wait(port)
        words = (f"tcp://{address}", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        workers += [_start("dask_worker", *words, "--name", name) for name in ("one", "two")]
        yield Dask(f"dask://{address}", workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of an object storage that speaks S3."""
    pytest.importorskip("s3fs", reason="needs s3fs and moto[server], which the lock file lacks")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"), ("AWS_ACCESS_KEY_ID", "makan"),
        ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    system, _ = store.reached("s3://makan")
    system.mkdir("makan")
    yield "s3://makan"
    server.stop()
