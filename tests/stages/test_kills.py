"""The loader is killed, and the database crashed, at random moments: always a whole version stands.

A warm process forks one load after the other, so that a moment falls into the load itself and not
into imports. ``KILLS=100 CRASHES=20`` sets how many; every fourth load fills an empty layer.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
import pytest
from click.testing import CliRunner

from pipeline import testing
from pipeline.cli.main import cli
from pipeline.contracts import registry
from pipeline.db.cluster import SUPERUSER, Cluster
from pipeline.db.engine import Database
from pipeline.errors import MakanError

KILLS, CRASHES = int(os.environ.get("KILLS", "25")), int(os.environ.get("CRASHES", "5"))
FEED, SEED, PARCELS = "parcels", 20261126, 1500
WHOLE = "SELECT coalesce(md5(string_agg(t::text, E'\\n' ORDER BY id)), '') FROM data.parcel t"
# Neither ids nor lines: the same file over another state keeps the lines of rows that stay equal.
CONTENT = """
SELECT coalesce(md5(string_agg(r::text, E'\\n' ORDER BY r::text)), '') FROM (
    SELECT to_jsonb(t) - 'id' - 'run_id' - 'source_line' FROM data.parcel t
) found (r)"""
INDEXES = (
    "SELECT string_agg(indexdef, ';' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'data'"
)
LEFT = """
SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'stage'),
    (SELECT count(*) FROM ops.run WHERE status = 'running')"""
OPEN = """
SELECT count(*) FROM ops.run WHERE status = 'done'
    AND arrived <> skipped + inserted + updated + unchanged + quarantined"""
MODULES = [
    "pipeline.testing",
    "pipeline.cli.load",
    "pipeline.stages.load",
    "adbc_driver_postgresql",
]


@dataclass
class Bed:
    """One city's database of its own, two deliveries of parcels, and what each must lead to."""

    database: Database
    files: tuple[Path, Path]
    folder: Path
    wanted: dict[Path, str] = field(default_factory=dict)
    indexes: str = ""
    seconds: float = 0.0
    armed_after: float = 0.0

    def ask(self, query: str) -> tuple[object, ...]:
        """One row, as the owner."""
        with self.database.connect("owner") as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row

    def empty(self) -> None:
        """The layer as before its first load."""
        with self.database.connect("owner") as connection:
            connection.execute("TRUNCATE data.parcel, history.parcel")
            connection.execute("UPDATE ops.run SET status = 'undone' WHERE status = 'done'")

    def start(self, path: Path, *, folder: bool = False) -> ForkServerProcess:
        """A load in a process of its own, of a file or of all files of a ``folder``."""
        settings = self.database.settings
        environment = {
            "MAKAN_HOME": str(settings.home), "MAKAN_CITY": settings.city,
            "MAKAN_DATABASE": settings.database, "MAKAN_BATCH_ROWS": "200",
        }  # fmt: skip
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(MODULES)
        words = ["load", "--all", str(path)] if folder else ["load", FEED, str(path)]
        process = context.Process(
            target=testing.command, args=(words, environment, self.folder / "said.txt")
        )
        process.start()
        return process

    def finish(self, path: Path) -> int | None:
        """A load that nobody disturbs; its exit code."""
        process = self.start(path)
        process.join(60)
        return process.exitcode

    def said(self) -> list[str]:
        """The lines of the last load."""
        return (self.folder / "said.txt").read_text().splitlines()

    def wait_until_armed(self) -> None:
        """Returns once the load under way has written its first line into the ledger."""
        uri = self.database.cluster.uri(SUPERUSER, self.database.settings.database)
        with psycopg.connect(uri, autocommit=True) as connection:
            query = "SELECT 1 FROM ops.run WHERE status = 'running' AND started > %s"
            begun = connection.execute("SELECT clock_timestamp()").fetchone()
            until = time.monotonic() + 10
            while time.monotonic() < until and not connection.execute(query, begun).fetchone():
                time.sleep(0.001)


def second_delivery(first: Path, path: Path, spoilt: set[int]) -> Path:
    """The file a year later: some rows are gone, some have changed."""
    meta, table = pyogrio.read_arrow(first)
    line = np.arange(1, table.num_rows + 1)
    kept = (line % 41 != 0) | np.isin(line, list(spoilt))
    place = table.schema.get_field_index("PLAK_SABTI")
    plates = table.column(place)
    changed = pa.array((line % 10 == 3) & ~np.isin(line, list(spoilt)))
    new = pc.if_else(changed, pc.binary_join_element_wise(plates, "الف", " "), plates)
    table = table.set_column(place, "PLAK_SABTI", new).filter(pa.array(kept))
    pyogrio.write_arrow(
        table, path, layer="amlak", driver="GPKG", geometry_name=meta["geometry_name"] or "geom",
        geometry_type="Unknown", crs="EPSG:32639",
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A cluster of its own, since it is crashed."""
    folder = tmp_path_factory.mktemp("kills")
    options = ["--parcels", str(PARCELS), "--dirt", "0.02", "--no-imagery"]
    assert CliRunner().invoke(cli, ["sample", str(folder / "city"), *options]).exit_code == 0
    first = folder / "city" / "amlak.gpkg"
    truth = (folder / "city" / "truth.csv").read_text(encoding="utf-8").splitlines()
    spoilt = {int(row.split(",")[2]) for row in truth if row.startswith("amlak.gpkg,")}
    second = second_delivery(first, folder / "amlak_2.gpkg", spoilt)
    try:
        with testing.running_cluster(folder / "home") as cluster:
            settings = testing.template(cluster, "qom")
            made = Bed(Database(settings), (first, second), folder)
            _calibrate(made)
            yield made
    except MakanError as error:
        if os.environ.get("REQUIRE_DB"):
            raise
        pytest.skip(f"no PostgreSQL with PostGIS here: {error}")


def _calibrate(bed: Bed) -> None:
    """What each file leads to, and how long a load takes when it is left alone."""
    bed.indexes = str(bed.ask(INDEXES)[0])
    for path in (bed.files[0], bed.files[1], bed.files[0]):
        begun = time.monotonic()
        process = bed.start(path)
        bed.wait_until_armed()
        bed.armed_after = time.monotonic() - begun
        process.join(60)
        bed.seconds = time.monotonic() - begun
        assert process.exitcode == 1, bed.said()
        found = str(bed.ask(CONTENT)[0])
        assert bed.wanted.setdefault(path, found) == found
    assert len(set(bed.wanted.values())) == 2


def disturbed(bed: Bed, path: Path, moment: float, *, armed: bool, crash: bool) -> int | None:
    """A load that is killed, or whose database is, after ``moment`` of its length."""
    process = bed.start(path)
    if armed:
        bed.wait_until_armed()
        time.sleep(moment * (bed.seconds - bed.armed_after))
    else:
        time.sleep(moment * bed.seconds)
    if crash:
        cluster = bed.database.cluster
        assert cluster._pg_ctl("stop", "-m", "immediate", "-w", "-s").returncode == 0
        process.join(60)
        _restart(cluster)
    else:
        process.kill()
        process.join(60)
    return process.exitcode


def _restart(cluster: Cluster) -> None:
    cluster.start()


@pytest.mark.slow
@pytest.mark.parametrize(("crash", "count"), [(False, KILLS), (True, CRASHES)])
def test_a_whole_version_stands_whenever_the_load_dies(
    bed: Bed, crash: bool, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(SEED + crash)
    seen: Counter[str] = Counter()
    begun = time.monotonic()
    current = bed.files[0]
    for turn in range(count):
        if turn % 4 == 3:
            bed.empty()
        target = bed.files[1] if current == bed.files[0] else bed.files[0]
        before = bed.ask(WHOLE)
        code = disturbed(bed, target, rng.uniform(), armed=turn % 2 == 0, crash=crash)
        after = bed.ask(WHOLE)
        whole_new = bed.ask(CONTENT)[0] == bed.wanted[target]
        assert after == before or whole_new, f"turn {turn}: neither the old nor the new version"
        _as_told(bed, code, crash=crash)
        seen["new" if whole_new else "old"] += 1
        seen["while under way" if code not in (0, 1) else "after its end"] += 1
        seen["in the database phase"] += bed.ask(LEFT)[1] != 0 or code == 6
        # The same command again finishes the work, and nothing is left of what had died.
        assert bed.finish(target) == (0 if whole_new else 1), bed.said()
        assert bed.ask(CONTENT)[0] == bed.wanted[target]
        assert bed.ask(LEFT) == (0, 0)
        assert bed.ask(OPEN) == (0,)
        assert bed.ask(INDEXES)[0] == bed.indexes
        current = target
    with capsys.disabled():
        what = "crashes of the database" if crash else "kills of the loader"
        told = ", ".join(f"{number} {name}" for name, number in sorted(seen.items()))
        sys.stdout.write(f"\n{count} {what}: {told}; {time.monotonic() - begun:.0f} s\n")
    assert seen["while under way"] >= count // 2


#: What is told of a database that is gone, or that goes just then.
GONE = (
    "makan: the database does not answer. Run `makan db start`.",
    "makan: the database starts or stops at the moment. Ask again.",
)


def _as_told(bed: Bed, code: int | None, *, crash: bool) -> None:
    """A killed load says nothing; one whose database went away says so in one line."""
    if not crash:
        assert code in (-9, 0, 1), bed.said()
    elif code not in (0, 1):
        assert code == 6, bed.said()
        (line,) = bed.said()
        assert line in GONE


def test_many_files_end_in_one_line_when_the_database_is_gone(bed: Bed) -> None:
    """None of the files that are left is tried; what was loaded before stands."""
    process = bed.start(bed.files[0].parent, folder=True)
    bed.wait_until_armed()
    time.sleep(0.5)
    assert bed.database.cluster._pg_ctl("stop", "-m", "immediate", "-w", "-s").returncode == 0
    begun = time.monotonic()
    process.join(60)
    _restart(bed.database.cluster)
    assert process.exitcode == 6, bed.said()
    assert time.monotonic() - begun < 30
    assert len([line for line in bed.said() if line in GONE]) == 1, bed.said()
    assert bed.ask(OPEN) == (0,)


def test_both_files_belong_to_the_feed(bed: Bed) -> None:
    match = registry.load("qom").feed(FEED).source.match
    assert all(path.match(match[0]) for path in bed.files)
