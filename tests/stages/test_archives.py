"""Archives: one layer comes out, nothing else happens, whatever is in them."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ArrivalError, ResourceError

CSV = b"no,x,y\n1,488000,3833000\n"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the archives, and a guard over everything that is written elsewhere."""
    place = tmp_path / "work"
    place.mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return place


def zipped(path: Path, members: dict[str, bytes], **how: Any) -> Path:
    """A zip file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    """A tar file, packed as its name says; ``link`` is a symbolic link to outside."""
    mode = {".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(info)
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz", "A.ZIP"])
def test_every_kind_of_archive_gives_its_layer(work: Path, reading: Any, name: str) -> None:
    make = zipped if name.lower().endswith("zip") else tarred
    path = make(work / name, {"a folder/table.csv": CSV, "read me.txt": b"", "a folder/": b""})
    assert reading.rows(path) == [{"no": "1", "x": "488000", "y": "3833000"}]
    assert list(work.iterdir()) == [path]
    assert list((work.parent / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["../out.csv", "/tmp/out.csv", "a/../../out.csv", "..\\out.csv", "C:\\out.csv", "c:out.csv"],
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_no_path_leads_out(work: Path, reading: Any, name: str, make: Callable[..., Path]) -> None:
    path = make(work / ("a.zip" if make is zipped else "a.tar"), {name: CSV, "t.csv": CSV})
    with pytest.raises(ArrivalError, match=r"a\.(zip|tar): holds a path that leads out of it"):
        reading.rows(path)
    assert not list(work.parent.rglob("out.csv"))


def test_links_are_refused(work: Path, reading: Any) -> None:
    path = tarred(work / "a.tar", {"t.csv": CSV}, link="etc")
    with pytest.raises(ArrivalError, match=r"holds a link or device \(etc\)"):
        reading.rows(path)
    path = work / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("t.csv", CSV)
        info = zipfile.ZipInfo("etc")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc")
    with pytest.raises(ArrivalError, match=r"holds a link \(etc\)"):
        reading.rows(path)


def test_bombs_are_refused_before_they_go_off(work: Path, reading: Any) -> None:
    zeros = b"0" * (80 * 2**20)
    begun = time.monotonic()
    for path in (
        zipped(work / "a.zip", {"t.csv": zeros}),
        tarred(work / "a.tgz", {"t.csv": zeros}),
    ):
        assert path.stat().st_size < 2**20
        with pytest.raises(ArrivalError, match="unpacks to more than 300 times its size"):
            reading.rows(path)
    assert time.monotonic() - begun < 30
    assert list((work.parent / "temporary").iterdir()) == []


def test_a_file_larger_than_it_says_stops(work: Path, reading: Any) -> None:
    path = zipped(work / "a.zip", {"t.csv": CSV * 1000})
    data = path.read_bytes()
    size = len(CSV * 1000).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(ArrivalError, match=r"a\.zip: is "):
        reading.rows(path)


def test_passwords_and_archives_in_archives_are_refused(work: Path, reading: Any) -> None:
    path = zipped(work / "a.zip", {"t.csv": CSV})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ArrivalError, match="is encrypted"):
        reading.rows(path)
    inner = zipped(work / "inner.zip", {"t.csv": CSV}).read_bytes()
    path = zipped(work / "b.zip", {"t.csv": CSV, "sub/inner.zip": inner})
    with pytest.raises(ArrivalError, match=r"b\.zip: holds an archive itself: sub/inner\.zip"):
        reading.rows(path)
    assert len(reading.rows(path, member="t.csv")) == 1


def test_very_many_files_are_refused_quickly(work: Path, reading: Any) -> None:
    path = work / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(30_000):
            archive.writestr(f"{number}.csv", b"")
    begun = time.monotonic()
    with pytest.raises(ArrivalError, match="holds more than 10000 files"):
        reading.rows(path)
    assert time.monotonic() - begun < 5


def test_the_member_is_chosen_by_the_feed(work: Path, reading: Any, bench: Any) -> None:
    path = zipped(
        work / "a.zip", {"x/one.csv": CSV, "y/one.csv": CSV * 2, "two.csv": b"a\n1\n", "b.shp": b""}
    )
    with pytest.raises(ArrivalError) as caught:
        reading.rows(path)
    assert str(caught.value) == (
        "a.zip: holds several layers: two.csv, x/one.csv, y/one.csv. "
        'Name one as member = "…" in the feed\'s [source].'
    )
    assert reading.rows(path, member="TWO*") == [{"a": "1"}]
    assert len(reading.rows(path, member="y/*.csv")) == 3
    with pytest.raises(ArrivalError, match=r"a\.zip: holds no layer three"):
        reading.rows(path, member="three")
    with pytest.raises(ArrivalError, match=r"holds several layers: x/one\.csv, y/one\.csv"):
        reading.rows(path, member="one.csv")
    plain = work / "t.csv"
    plain.write_bytes(CSV)
    with pytest.raises(ArrivalError, match=r"t\.csv: is no archive, but the feed names a member"):
        reading.rows(plain, member="one.csv")


def test_a_shapefile_in_a_sub_folder_brings_its_sidecars(
    real_data: Path, work: Path, reading: Any
) -> None:
    folder = real_data / "plu_fr" / "30014_PLU_20171013"
    path = work / "plu.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(folder.rglob("*")):
            if one.is_file() and one.suffix.lower() not in (".xml",):
                archive.write(one, str(one.relative_to(folder.parent)))
    found = reading.rows(path, member="*ZONE_URBA*.shp")
    assert len(found) == 90
    assert any("é" in str(value) for row in found for value in row.values())


@pytest.mark.parametrize("cut", [30, 300, -30])
def test_damaged_archives_are_one_line(real_data: Path, work: Path, reading: Any, cut: int) -> None:
    for source in ("dutch/TOP10NL_1_2_sample.zip", "edigeo_cornillon/edigeo-130290000A01.tar.bz2"):
        data = (real_data / source).read_bytes()
        path = work / Path(source).name
        path.write_bytes(data[:cut])
        with pytest.raises(ArrivalError, match=r"(is no zip file|is no archive|is a damaged)"):
            reading.rows(path)


@pytest.fixture
def tiny(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tenth of a megabyte to work in."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = work.parent / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def _large(name: str) -> bytes:
    """A file of some hundred kilobytes, of which a copy is made on the way."""
    rows = range(4000)
    if name.endswith(".topojson"):
        parts = [{"type": None, "properties": {"id": f"{n:040d}"}} for n in rows]
        layer = {"type": "GeometryCollection", "geometries": parts}
        return json.dumps({"type": "Topology", "arcs": [], "objects": {"a": layer}}).encode()
    if name.endswith(".gml"):
        point = '<gml:Point srsName="EPSG:32639"><gml:pos>1 2</gml:pos></gml:Point>'
        kinds = "".join(
            f"<gml:featureMember><o:F{n}><o:g>{point}</o:g><o:{'w' * 40}{n}>x</o:{'w' * 40}{n}>"
            f"</o:F{n}></gml:featureMember>"
            for n in rows[:600]
        )
        head = '<o:FeatureCollection xmlns:o="http://o" xmlns:gml="http://www.opengis.net/gml">'
        return f"{head}{kinds}</o:FeatureCollection>".encode()
    head = "sep=,\nid,name\n" if name == "hint.csv" else "id,name\n"
    return (head + "".join(f"{n},{'شهر' * 10}\n" for n in rows)).encode(
        "cp1256" if name == "cp1256.csv" else "utf-8"
    )


@pytest.mark.parametrize("name", ["a.zip", "hint.csv", "cp1256.csv", "a.topojson", "a.gml"])
def test_a_full_disk_is_told(work: Path, tiny: Path, reading: Any, name: str) -> None:
    path = work / name
    if name == "a.zip":
        zipped(path, {"t.csv": _large("t.csv")})
    else:
        path.write_bytes(_large(name))
    encoding = "CP1256" if name == "cp1256.csv" else None
    with pytest.raises(ResourceError, match=r"there is no room .* Free disk space"):
        reading.rows(path, encoding=encoding)
    assert list(tiny.iterdir()) == []


def test_real_archives_leave_nothing_behind(real_data: Path, work: Path, reading: Any) -> None:
    path = work / "top.zip"
    shutil.copy(real_data / "dutch" / "TOP10NL_1_2_sample.zip", path)
    assert len(reading.rows(path, "Gebouw")) == 3
    assert list(work.iterdir()) == [path]
    assert list((work.parent / "temporary").iterdir()) == []
