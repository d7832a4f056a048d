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
