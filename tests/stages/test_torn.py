"""Files that are not of one piece: torn, open elsewhere, badly named, or no files at all."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline.db import arrival
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError

PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
CODES = pa.array(["1", "2", "3"])


def shapefile(path: Path, count: int = 3) -> Path:
    """A Shapefile of points."""
    wkb = [shapely.to_wkb(shapely.Point(488600 + n, 3833100)) for n in range(count)]
    columns = {"id": CODES.slice(0, count), "geometry": pa.array(wkb, pa.binary())}
    pyogrio.write_arrow(
        pa.table(columns), path, driver="ESRI Shapefile", geometry_name="geometry",
        geometry_type="Point", crs="EPSG:32639", encoding="UTF-8",
    )  # fmt: skip
    return path


def other_rows(path: Path) -> None:
    head = bytearray(path.with_suffix(".dbf").read_bytes())
    head[4:8] = struct.pack("<I", 5)
    path.with_suffix(".dbf").write_bytes(head)


def other_index(path: Path) -> None:
    other = shapefile(path.with_name("other.shp"), 2)
    path.with_suffix(".shx").write_bytes(other.with_suffix(".shx").read_bytes())


def fewer_rows_and_index(path: Path) -> None:
    other = shapefile(path.with_name("other.shp"), 2)
    for part in (".shx", ".dbf"):
        path.with_suffix(part).write_bytes(other.with_suffix(part).read_bytes())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (other_rows, "has 3 shapes and 5 rows"),
        (other_index, "has 2 shapes and 3 rows"),
        (fewer_rows_and_index, "28 bytes of shapes more than its .shx names"),
        (cut, "is cut: 1 of 3 shapes"),
    ],
)
def test_a_shapefile_that_is_torn_is_refused(
    tmp_path: Path, reading: Any, harm: Any, said: str
) -> None:
    path = shapefile(tmp_path / "a.shp")
    harm(path)
    with pytest.raises(ArrivalError, match=said):
        reading.rows(path)


def test_shapes_beside_the_rows_of_others_are_told(tmp_path: Path, reading: Any) -> None:
    path = shapefile(tmp_path / "a.shp")
    index = path.with_suffix(".shx")
    with reading.opened(path) as layer:
        assert not layer.heard
    data = index.read_bytes()
    index.write_bytes(data[:100] + data[108:116] + data[100:108] + data[116:])
    with reading.opened(path) as layer:
        assert layer.heard == {"its shapes bear other numbers than their rows; are they theirs?"}


def test_a_part_that_changes_counts_whatever_the_file_is_called(tmp_path: Path) -> None:
    path = shapefile(tmp_path / "map [1].shp")
    before = arrival.fingerprint(path)
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes()[:-2] + b"9\x1a")
    assert arrival.fingerprint(path).sha256 != before.sha256


class _Named(zipfile.ZipInfo):
    """A member whose name does not say how it is encoded, as Windows writes it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own
        return self.filename.encode("cp437"), self.flag_bits


def test_persian_names_in_an_archive_of_windows_are_read(tmp_path: Path, reading: Any) -> None:
    made, path = shapefile(tmp_path / "a.shp"), tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("قطعات", "معابر"):
            for part in PARTS:
                stored = f"{name}{part}".encode("cp1256").decode("cp437")
                archive.writestr(_Named(stored), made.with_suffix(part).read_bytes())
    with pytest.raises(ArrivalError, match=r"several layers: قطعات.shp, معابر.shp"):
        reading.rows(path)
    assert len(reading.rows(path, member="قطعات.shp")) == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("delivery", b"PK\x03\x04" + b"\0" * 40, "is a workbook or a zip archive by what it holds"),
        ("a.csv", b"PK\x03\x04" + b"\0" * 40, "is a workbook or a zip archive by what it holds"),
        ("a.zip", b"PK\x03\x04" + b"\0" * 40, "is a damaged archive"),
        ("a.zip", b"nothing", "is no zip file"),
        ("a.geojson", '{"type": "FeatureCollection"}'.encode("utf-16"), "is written as UTF-16"),
        (
            "a.csv",
            "id,name\n1,کوچه\n2,".encode() + "کوچه\n".encode("cp1256"),
            "line 3 is not UTF-8",
        ),
    ],
)
def test_what_a_file_is_instead_is_said(
    tmp_path: Path, reading: Any, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ArrivalError, match=said):
        reading.rows(path, **({"encoding": "UTF-8"} if b"," in content else {}))


@pytest.mark.parametrize("name", ["نقشه\nقم.shp", "x.zip/a!b.shp", "--help.shp", "a #1?%20.shp"])
def test_files_are_found_whatever_they_are_called(tmp_path: Path, reading: Any, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for part in PARTS:
        made = shapefile(tmp_path / "plain.shp").with_suffix(part)
        made.rename(path.with_suffix(part))
    assert [row["id"] for row in reading.rows(path)] == ["1", "2", "3"]


def test_pipes_and_names_that_are_no_text_are_refused(bench: Any, database: Database) -> None:
    pipe = bench.folder / "a.geojson"
    os.mkfifo(pipe)
    odd = Path(os.fsdecode(os.fsencode(bench.folder) + b"/\xde\xe3.gpkg"))
    odd.write_bytes(b"SQLite format 3\0")
    for path, said in ((pipe, "is a pipe or a device"), (odd, "has a name that is not UTF-8")):
        for tried in (bench.check, lambda path: bench.load(database, path)):
            with pytest.raises(ArrivalError, match=said):
                tried(path)


def test_signs_that_nobody_sees_are_shown_in_the_names_of_columns(bench: Any) -> None:
    path = bench.text("a.csv", "\ufeff\ufeffcode,use,plate,deed,changed,WKT\n")
    feed = bench.feed(source={"driver": "CSV", "crs": "EPSG:32639"})
    with pytest.raises(ArrivalError, match=r'it has "\\ufeffcode", use'):
        bench.check(path, feed)


def test_metres_that_are_said_to_be_degrees_are_told_as_they_came(
    bench: Any, database: Database, query: Any
) -> None:
    path = bench.geopackage([bench.parcel(1)], crs="EPSG:4326")
    assert bench.load(database, path).account.quarantined == 1
    told = query(database, "SELECT detail FROM ops.finding WHERE code = 'geometry.outside'")
    assert told == [("x 488040 to 488060, y 3833000 to 3833020",)]


def test_what_is_no_wkt_is_not_said_to_be_missing(bench: Any) -> None:
    row, shape = '1-1-1-{}-0-0-0,residential,1/2,400,1396/08/27,"{}"\n', bench.square(1).wkt
    rows = (row.format(1, shape), row.format(2, shape[3:]), row.format(3, ""))
    path = bench.text("a.csv", f"code,use,plate,deed,changed,WKT\n{''.join(rows)}")
    outcome = bench.check(path, bench.feed(source={"driver": "CSV", "crs": "EPSG:32639"}))
    told = {code for code, _ in outcome.counts}
    assert {"geometry.unreadable", "geometry.missing"} <= told
    assert not told & {"column.unmapped", "geometry.heights"}
    assert (outcome.account.inserted, outcome.account.quarantined) == (1, 2)


WRITER = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    store.execute(statement)
print("ready", flush=True)
sys.stdin.read()
"""
ONE_MORE = (
    "INSERT INTO planted (geom, code, use, plate, deed, changed) "
    "SELECT geom, '1-1-1-99-0-0-0', use, plate, deed, changed FROM planted WHERE fid = 1"
)


@pytest.fixture
def opened_elsewhere(bench: Any) -> Any:
    """A GeoPackage of 40 parcels, and a program that has it open and has done some statements."""
    started: list[subprocess.Popen[str]] = []

    def begin(*statements: str) -> tuple[Path, subprocess.Popen[str]]:
        path = bench.geopackage([bench.parcel(n) for n in range(1, 41)])
        with sqlite3.connect(path) as made:
            found = made.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (trigger,) in found.fetchall():
                made.execute(f'DROP TRIGGER "{trigger}"')
        made.close()
        words = [sys.executable, "-c", WRITER, str(path), *statements]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(words, **pipes))
        assert started[-1].stdout
        assert started[-1].stdout.readline() == "ready\n"
        return path, started[-1]

    yield begin
    for one in started:
        one.kill()
        one.communicate()


def looks(folder: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mtime_ns for one in folder.iterdir() if one.is_file()}


@pytest.mark.parametrize("killed", [False, True])
def test_a_database_that_is_open_elsewhere_is_read_as_it_was_saved(
    bench: Any, opened_elsewhere: Any, killed: bool
) -> None:
    wal, writing = "PRAGMA journal_mode = wal", "UPDATE planted SET use = hex(randomblob(5000))"
    for statements, rows in (
        ((wal, "BEGIN", ONE_MORE, "COMMIT"), 41),
        (("PRAGMA cache_size = 5", "BEGIN", writing), 40),
    ):
        path, program = opened_elsewhere(*statements)
        main = arrival.Arrival(path, "", 0, arrival.looks(path))
        if killed:
            program.kill()
            program.wait()
        before = looks(bench.folder)
        outcome = bench.check(path)
        assert (outcome.account.arrived, outcome.account.quarantined) == (rows, 0)
        assert ("file.warning", None) in outcome.counts
        assert looks(bench.folder) == before
        main.refuse_changed()
        for part in arrival.unsettled(path):
            assert arrival.fingerprint(path).size > path.stat().st_size
            part.unlink()


def test_a_database_that_is_locked_is_refused(bench: Any, opened_elsewhere: Any) -> None:
    path, _ = opened_elsewhere("BEGIN EXCLUSIVE")
    with pytest.raises(ArrivalError, match="is being written to by another program"):
        bench.check(path)


def test_a_file_that_changes_while_it_is_read_publishes_nothing(
    bench: Any, database: Database, query: Any
) -> None:
    path = bench.geopackage([bench.parcel(n) for n in range(1, 20)])
    once = threading.Event()

    def touched(*_: int) -> None:
        if not once.is_set():
            once.set()
            os.utime(path)

    with pytest.raises(ArrivalError, match="changed while it was read"):
        bench.load(database, path, progress=touched)
    assert query(database, "SELECT count(*) FROM data.parcel") == [(0,)]
    assert query(database, "SELECT status FROM ops.run") == [("failed",)]
    assert bench.load(database, path).account.inserted == 19
