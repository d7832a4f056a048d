"""``make conformance``: a sample city is loaded and served, and everything asked of it that OGC's
standards ask: the abstract tests (ours), then OGC's executable suites, as far as they can be had.

Exits with 1 if anything fails. Reports are left in ``.makan/conformance``, which git ignores.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from conformance import known, suites

REPORTS = Path(".makan") / "conformance"
_READY_S, _SHOWN = 900, 300
_GRID = "WebMercatorQuad"


@contextmanager
def city(parcels: int) -> Iterator[str]:
    """The address of a sample city that is served by two processes until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    REPORTS.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pipeline", "demo", "--parcels", str(parcels)]
    with TemporaryDirectory(prefix="makan-") as home, (REPORTS / "server.log").open("wb") as log:
        Path(home).chmod(0o711)  # the database runs as another user when root tests
        env = {**os.environ, "MAKAN_HOME": home, "MAKAN_PORT": str(port)}
        server = subprocess.Popen(words, env=env, stdout=log, stderr=log)
        try:
            base = f"http://127.0.0.1:{port}"
            _await(server, base)
            yield base
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _await(server: subprocess.Popen[bytes], base: str) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            if httpx2.get(f"{base}/health/ready").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.5)
    raise SystemExit(f"the city is not served; {REPORTS}/server.log says why")


def abstract_tests(base: str) -> int:
    """Ours, one by one over HTTP; pytest's exit code."""
    words = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
    words.append(f"--junitxml={REPORTS / 'abstract-tests.xml'}")
    env = {**os.environ, "MAKAN_CONFORMANCE_URL": base}
    return subprocess.run(words, env=env, check=False).returncode


def _arguments(name: str, base: str) -> dict[str, str]:
    """What a suite is told of the service."""
    told = {"iut": f"{base}/", "noofcollections": "-1"}
    if "edr" in name:
        # Here -1 would mean none, not all.
        many = len(httpx2.get(f"{base}/collections?f=json").json()["collections"])
        told = {"iut": base, "noofcollections": str(many)}
        told["apiDefinition"] = f"{base}/openapi?f=json"
    if "processes" in name:
        told = {"iut": base, "echoprocessid": "echo"}
    if "coverages" in name:
        told["iut"] = base
    if "tiles" in name:
        tileset = httpx2.get(f"{base}/tiles/{_GRID}?f=json").json()
        # A level whose single tile holds the whole city: elsewhere tiles may be empty (204).
        single = [
            one
            for one in tileset["tileMatrixSetLimits"]
            if one["minTileRow"] == one["maxTileRow"] and one["minTileCol"] == one["maxTileCol"]
        ]
        limits = (single or tileset["tileMatrixSetLimits"][:1])[-1]
        template = next(link["href"] for link in tileset["links"] if link["rel"] == "item")
        told |= {
            "tilematrixsetdefinitionuri": tileset["tileMatrixSetURI"],
            "urltemplatefortiles": template,
            "tilematrix": limits["tileMatrix"],
            "mintilerow": str(limits["minTileRow"]),
            "maxtilerow": str(limits["maxTileRow"]),
            "mintilecol": str(limits["minTileCol"]),
            "maxtilecol": str(limits["maxTileCol"]),
        }
    return told


def executable_suites(base: str) -> bool:
    """OGC's own, as far as they can be had; whether none of those that ran has a failure that is
    not known."""
    good, expected = True, known.load()
    for name in suites.NAMES:
        found = suites.run(name, _arguments(name, base), REPORTS.resolve() / name)
        if found.why:
            print(f"{name:24} NOT RUN  {found.why}", flush=True)
            continue
        parts = known.parted(name, found.failures, expected)
        print(f"{name:24} {_counts(found, parts)}", *_lines(parts), sep="\n    ", flush=True)
        good = good and not parts.new
    return good


def _counts(found: suites.Result, parts: known.Parted) -> str:
    unjudged = len(parts.unjudged)
    failed = len(found.failures) - unjudged
    told = f"{found.passed} passed, {failed} failed (of these {failed - len(parts.new)} known), "
    told += f"{unjudged} NOT JUDGED, " if unjudged else ""
    return f"{told}{found.skipped} skipped ({found.version})"


def _lines(parts: known.Parted) -> list[str]:
    new = [failure[:_SHOWN] for failure in parts.new]
    new += [f"not judged: {one}" for one in sorted(set(parts.unjudged))]
    return new + [f"known: {one}" for one in sorted(set(parts.known))]


def main() -> int:
    """Everything; 0 if nothing fails. What could not be run or judged is told, and no failure."""
    parser = argparse.ArgumentParser(prog="make conformance")
    parser.add_argument("--url", help="a server that runs already, instead of a sample city")
    parser.add_argument("--parcels", type=int, default=1000, help="size of the sample city")
    asked = parser.parse_args()
    if asked.url:
        code = abstract_tests(asked.url.rstrip("/"))
        return int(not executable_suites(asked.url.rstrip("/"))) or code
    with city(asked.parcels) as base:
        code = abstract_tests(base)
        return int(not executable_suites(base)) or code


if __name__ == "__main__":
    sys.exit(main())
