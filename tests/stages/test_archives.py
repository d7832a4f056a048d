"""Archives: one layer comes out, nothing else happens, whatever is in them."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ArrivalError
from pipeline.stages import archive as archives

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


def test_a_full_disk_is_told(work: Path, reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(
        Exception, match=r"cannot be unpacked \(No space left on device\)"
    ) as caught:
        reading.rows(zipped(work / "a.zip", {"t.csv": CSV}))
    assert type(caught.value).__name__ == "ResourceError"


def test_real_archives_leave_nothing_behind(real_data: Path, work: Path, reading: Any) -> None:
    path = work / "top.zip"
    shutil.copy(real_data / "dutch" / "TOP10NL_1_2_sample.zip", path)
    assert len(reading.rows(path, "Gebouw")) == 3
    assert list(work.iterdir()) == [path]
    assert list((work.parent / "temporary").iterdir()) == []
