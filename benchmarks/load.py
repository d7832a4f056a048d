"""`makan load` with all checks on against `ogr2ogr` without any: same file and server, in turns."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from pipeline import testing
from pipeline.contracts import registry
from pipeline.db.cluster import SUPERUSER, Cluster

LAYER = "parcel"


@dataclass(frozen=True)
class Timed:
    """One run: wall seconds, client CPU seconds, client peak memory in MB."""

    wall: float
    cpu: float
    peak_mb: float


def timed(words: list[str], environment: dict[str, str]) -> Timed:
    """Runs a command to its end; a failure stops the benchmark."""
    before = time.monotonic()
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{words[0]} failed: {said.decode(errors='replace')[-500:]}")
    return Timed(time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of whoever runs the benchmark."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MAKAN_")}
    return {**kept, **more}


def sample(folder: Path, parcels: int) -> Path:
    """The parcels of a sample city, made once for a size."""
    place = folder / f"sample-{parcels}"
    feed = next(f for f in registry.load("qom").feeds.values() if f.layer == LAYER)
    if not (place / "truth.csv").exists():
        # In a process of its own: what the generator holds would count as the loader's memory.
        words = [sys.executable, "-m", "pipeline", "sample", str(place), "--parcels", str(parcels)]
        subprocess.run([*words, "--seed", "1387", "--dirt", "0"], check=True)
    return next(path for pattern in feed.source.match for path in place.rglob(pattern))


def load_with_makan(cluster: Cluster, template_name: str, file: Path, number: int) -> Timed:
    """Into a fresh copy of the migrated template."""
    name = f"bench_{number}"
    with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template_name} OWNER makan_owner".encode())
    feed = next(f.id for f in registry.load("qom").feeds.values() if f.layer == LAYER)
    environment = clean_environment(MAKAN_HOME=str(cluster.home), MAKAN_DATABASE=name)
    words = [sys.executable, "-m", "pipeline", "load", feed, str(file)]
    found = timed(words, environment)
    with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    return found


def load_with_ogr2ogr(cluster: Cluster, file: Path) -> Timed:
    """Into a table of its own, dropped and made again by ogr2ogr."""
    target = make_conninfo(cluster.uri(SUPERUSER, "peer"))
    words = ["ogr2ogr", "-f", "PostgreSQL", f"PG:{target}", str(file), "-nln", "peer", "-overwrite"]
    return timed([*words, "-nlt", "PROMOTE_TO_MULTI"], clean_environment(PG_USE_COPY="YES"))


def main() -> None:
    """Prints every round, the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".makan") / "bench")
    chosen = parser.parse_args()
    if shutil.which("ogr2ogr") is None:
        raise SystemExit("ogr2ogr is not installed: apt-get install gdal-bin")
    file = sample(chosen.folder, chosen.parcels)
    ours, peers = [], []
    with (
        tempfile.TemporaryDirectory(prefix="makan-bench-") as home,
        testing.running_cluster(Path(home)) as cluster,
    ):
        template = testing.template(cluster, "qom")
        with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
            admin.execute(b"CREATE DATABASE peer")
        with psycopg.connect(cluster.uri(SUPERUSER, "peer")) as admin:
            admin.execute(b"CREATE EXTENSION postgis")
        for number in range(chosen.rounds):
            ours.append(load_with_makan(cluster, template.database, file, number))
            peers.append(load_with_ogr2ogr(cluster, file))
            print(f"round {number + 1}: makan {ours[-1]}  ogr2ogr {peers[-1]}")
    ratio = statistics.median(t.wall for t in ours) / statistics.median(t.wall for t in peers)
    print(f"{chosen.parcels} parcels: makan takes {ratio:.2f} x ogr2ogr's time (goal <= 2.00)")
    print(f"peak memory {max(t.peak_mb for t in ours):.0f} MB (goal < 1000)")


if __name__ == "__main__":
    main()
