"""Peers in an environment of their own, outside the project: ``~/.cache/makan-bench``.

Nothing is installed into the system: Debian's packages are unpacked into a folder. What a registry
refuses is an answer (``Unobtainable``), and the peer is told of, not left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_TIMEOUT_S = 3600


class Unobtainable(Exception):  # noqa: N818 - what it is
    """Why a peer cannot be had here."""


def cache() -> Path:
    """Where peers are; MAKAN_BENCH_CACHE is another place."""
    given = os.environ.get("MAKAN_BENCH_CACHE")
    place = Path(given) if given else Path.home() / ".cache" / "makan-bench"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _run(words: list[str], **options: object) -> str:
    """What a command says; Unobtainable with its last line if it fails."""
    if shutil.which(words[0]) is None:
        raise Unobtainable(f"there is no {words[0]} on this machine")
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, **options
    )  # type: ignore[call-overload]
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Unobtainable(f"{' '.join(words[:3])}: {lines[-1].strip() if lines else 'failed'}")
    return str(done.stdout)


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` below the cache, made by ``make`` the first time; told while it lasts."""
    place = cache() / name
    done = place / ".made"
    if not done.exists():
        print(f"installing {name} into {place} …", file=sys.stderr, flush=True)
        place.mkdir(parents=True, exist_ok=True)
        make(place)
        done.touch()
    return place


def python(name: str, *packages: str) -> Path:
    """The interpreter of a venv with ``packages``."""

    def make(place: Path) -> None:
        _run([sys.executable, "-m", "venv", str(place)])
        _run([str(place / "bin" / "python"), "-m", "pip", "install", "-q", *packages])

    return once(name, make) / "bin" / "python"


def debian(name: str, *packages: str) -> Path:
    """A folder with Debian's ``packages``, unpacked, and what they need and is not here."""

    def make(place: Path) -> None:
        told = _run(["apt-get", "install", "-s", "--no-install-recommends", *packages])
        needed = [line.split()[1] for line in told.splitlines() if line.startswith("Inst ")]
        _run(["apt-get", "download", *needed], cwd=place)
        for package in sorted(place.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(place)])

    return once(name, make)


def libraries(place: Path) -> dict[str, str]:
    """The environment in which unpacked programs find their libraries."""
    found = [str(path) for path in (place / "usr" / "lib").glob("*-linux-gnu")]
    return {"LD_LIBRARY_PATH": ":".join(found)}


def cargo(name: str, version: str, features: str) -> Path:
    """A program of crates.io."""

    def make(place: Path) -> None:
        words = ["cargo", "install", name, "--version", version, "--locked", "--root", str(place)]
        _run([*words, "--no-default-features", "--features", features])

    return once(name, make) / "bin" / name


def go(name: str, module: str) -> Path:
    """A program of the Go module proxy."""

    def make(place: Path) -> None:
        _run(["go", "install", f"{module}@latest"], env={**os.environ, "GOBIN": str(place)})

    return once(name, make) / name
