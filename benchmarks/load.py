"""`makan load` with all checks on against `ogr2ogr` without any: same files and server, in turns.

Beside it what a second delivery costs: the same file, and one in which 1 % of the rows differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.city import clean_environment
from benchmarks.deliveries import feed, made
from pipeline import testing
from pipeline.db.cluster import SUPERUSER, Cluster


@dataclass(frozen=True)
class Timed:
    """One run: wall seconds, client CPU seconds, client peak memory in MB."""

    wall: float
    cpu: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.wall:6.2f} s ({self.cpu:5.2f} CPU-s, {self.peak_mb:4.0f} MB)"


@dataclass(frozen=True)
class Round:
    """What was timed in one round, on one fresh database."""

    first: Timed
    again: Timed
    changed: Timed
    peer: Timed


def timed(
    words: list[str], environment: dict[str, str], *, fine: tuple[int, ...] = (0, 1)
) -> Timed:
    """Runs a command to its end; an exit code that is not ``fine`` stops the benchmark (1 says of
    makan's that there are findings)."""
    before = time.monotonic()
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in fine:
        raise SystemExit(f"{words[0]} failed: {said.decode(errors='replace')[-500:]}")
    return Timed(time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@contextmanager
def fresh(cluster: Cluster, template: str) -> Iterator[dict[str, str]]:
    """The environment of a fresh copy of the migrated template."""
    with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE bench TEMPLATE {template} OWNER makan_owner".encode())
        try:
            yield clean_environment(MAKAN_HOME=str(cluster.home), MAKAN_DATABASE="bench")
        finally:
            admin.execute(b"DROP DATABASE bench WITH (FORCE)")


def one_round(cluster: Cluster, template: str, file: Path, other: Path) -> Round:
    """A first load, the same file again, a delivery with changes; and ogr2ogr."""
    words = [sys.executable, "-m", "pipeline", "load", feed().id]
    with fresh(cluster, template) as environment:
        loads = [timed([*words, str(path)], environment) for path in (file, file, other)]
    return Round(*loads, load_with_ogr2ogr(cluster, file))


def load_with_ogr2ogr(cluster: Cluster, file: Path) -> Timed:
    """Into a table of its own, dropped and made again by ogr2ogr, with its spatial index."""
    target = make_conninfo(cluster.uri(SUPERUSER, "peer"))
    words = ["ogr2ogr", "-f", "PostgreSQL", f"PG:{target}", str(file), "-nln", "peer", "-overwrite"]
    words += ["-nlt", "PROMOTE_TO_MULTI"]
    return timed(words, clean_environment(PG_USE_COPY="YES"), fine=(0,))


def median(rounds: list[Round], name: str) -> float:
    """The median wall time of one kind of run."""
    return statistics.median(getattr(one, name).wall for one in rounds)


def measured(cluster: Cluster, template: str, folder: Path, parcels: int, rounds: int) -> float:
    """Prints the rounds of one size and their ratios; returns our rows per second."""
    (file, other), found = made(folder, parcels), []
    for number in range(rounds):
        found.append(one_round(cluster, template, file, other))
        told = found[-1]
        print(f"{parcels} parcels, round {number + 1}: makan {told.first}  ogr2ogr {told.peer}")
        print(f"    the same file {told.again}  1 % changed {told.changed}", flush=True)
    first, peer = median(found, "first"), median(found, "peer")
    print(f"{parcels} parcels: makan takes {first / peer:.2f} x ogr2ogr's time (goal <= 2.00)")
    print(f"    {peer / first:.2f} of ogr2ogr's rows/s (goal >= 0.70)")
    print(f"    the same file {first / median(found, 'again'):.1f} x faster (goal >= 5)")
    print(f"    1 % changed {first / median(found, 'changed'):.1f} x faster (goal >= 3)")
    peak = max(max(one.first.peak_mb, one.changed.peak_mb) for one in found)
    print(f"    peak memory {peak:.0f} MB (goal < {1000 if parcels <= 300_000 else 1500})")
    return parcels / first


def main() -> None:
    """Prints every round, the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, nargs="+", default=[300_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".makan") / "bench")
    chosen = parser.parse_args()
    if shutil.which("ogr2ogr") is None:
        raise SystemExit("ogr2ogr is not installed: apt-get install gdal-bin")
    with (
        tempfile.TemporaryDirectory(prefix="makan-bench-") as home,
        testing.running_cluster(Path(home)) as cluster,
    ):
        template = testing.template(cluster, "qom").database
        with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
            admin.execute(b"CREATE DATABASE peer")
        with psycopg.connect(cluster.uri(SUPERUSER, "peer")) as admin:
            admin.execute(b"CREATE EXTENSION postgis")
        speeds = [
            measured(cluster, template, chosen.folder, parcels, chosen.rounds)
            for parcels in chosen.parcels
        ]
    if len(speeds) > 1:
        print(f"rows/s at {chosen.parcels[-1]}: {speeds[-1] / speeds[0]:.2f} of those at "
              f"{chosen.parcels[0]} (goal >= 0.90)")  # fmt: skip


if __name__ == "__main__":
    main()
