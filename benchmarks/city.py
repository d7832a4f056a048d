"""What benchmarks share: a loaded city below a home, a server over it, a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.db.cluster import Cluster

#: What is published first asks for the extents of whole layers, on a machine that may be busy.
_PATIENT = {"MAKAN_STATEMENT_TIMEOUT_S": "60"}
_MAKAN = (sys.executable, "-m", "pipeline")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of whoever runs the benchmark; Python keeps what it
    compiles, as it does for everybody who does not forbid it."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("MAKAN_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, **more}


def makan(home: Path, *words: str) -> None:
    """Runs a command over ``home``; a failure stops the benchmark."""
    environment = clean_environment(MAKAN_HOME=str(home.resolve()))
    subprocess.run([*_MAKAN, *words], check=True, env=environment, stdout=sys.stderr)


def prepared(home: Path, folder: Path, parcels: int) -> None:
    """A sample city of ``folder`` loaded into a database below ``home``, if it is not there yet."""
    if not (folder / "truth.csv").exists():
        made = ("sample", str(folder), "--parcels", str(parcels), "--seed", "1387")
        makan(home, *made, "--no-imagery")
    fresh = not Cluster(home.resolve()).exists
    makan(home, "db", "start")
    if fresh:
        makan(home, "load", "--all", str(folder), "--no-derive")


@contextmanager
def serving(home: Path, port: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``makan serve`` over ``home`` at ``port`` of this machine, ready."""
    environment = clean_environment(MAKAN_HOME=str(home.resolve()), **_PATIENT)
    server = subprocess.Popen(
        [*_MAKAN, "serve", "--port", str(port), *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        said = server.stdout.readline()
        assert said.startswith("ready"), said
        yield server
    finally:
        server.terminate()
        server.wait(30)
