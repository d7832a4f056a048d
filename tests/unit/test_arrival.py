"""A file's hash is begun before anybody asks for it, and is that of the file that is asked for."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from pipeline.db import arrival
from pipeline.errors import ArrivalError


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_was_begun_is_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a.gpkg", tmp_path / "b.gpkg"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    hashed: list[Path] = []
    hashing = arrival._hashed
    monkeypatch.setattr(arrival, "_hashed", lambda p: hashed.append(p) or hashing(p))
    arrival.begin(["parcels", "--json", str(first), str(second)])
    assert [arrival.fingerprint(one).sha256 for one in (first, second)] == [
        _sha(b"one"), _sha(b"two"),
    ]  # fmt: skip
    # The first is asked for once only; nothing is kept of it.
    assert hashed == [first, second]
    assert arrival.fingerprint(first).size == 3
    assert hashed == [first, second, first]


def test_a_file_that_has_changed_meanwhile_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"before")
    arrival.begin([str(path)])
    time.sleep(0.02)
    path.write_bytes(b"after.")
    os.utime(path, ns=(time.time_ns(), time.time_ns()))
    assert arrival.fingerprint(path).sha256 == _sha(b"after.")


def test_a_file_that_is_gone_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"before")
    arrival.begin([str(path)])
    path.unlink()
    with pytest.raises(ArrivalError, match="no such file"):
        arrival.fingerprint(path)


def test_all_parts_of_a_shapefile_count(tmp_path: Path) -> None:
    shape, table = tmp_path / "a.shp", tmp_path / "a.dbf"
    shape.write_bytes(b"one")
    table.write_bytes(b"two")
    arrival.begin([str(shape)])
    before = arrival.fingerprint(shape)
    assert (before.size, before.sha256) == (6, _sha(b"onetwo"))
    table.write_bytes(b"new")
    arrival.begin([str(shape)])
    assert arrival.fingerprint(shape).sha256 == _sha(b"onenew")
