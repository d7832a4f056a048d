"""A home whose disk is full: answers go on, what needs room is refused in one line and leaves no
half file behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipeline.cli.main import main
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.settings import Settings
from tests.serving import Application


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, city: Database) -> Iterator[Path]:
    """A home of 8 MB, beside the database."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path_factory.mktemp("small")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    (folder / "db").symlink_to(city.settings.home / "db")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def asked(
    home: Path, city: Database, settings: Settings, schemas: Schemas
) -> Iterator[tuple[TestClient, Settings]]:
    """A client of the city, published when there still was room."""
    small = replace(settings, home=home)
    application = Application(small, schemas, Database(small))
    with TestClient(application, base_url="http://makan.test") as running:
        with (home / "filling").open("wb", buffering=0) as full:
            try:
                while full.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        yield running, small


@pytest.mark.parametrize("form", ["fgb", "parquet", "gml"])
def test_a_file_that_has_no_room(asked: tuple[TestClient, Settings], form: str) -> None:
    client, small = asked
    answer = client.get(f"/collections/parcels/items?f={form}")
    assert answer.status_code == 503
    assert "no room" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert {found.name for found in (small.home / "cache").iterdir()} <= {"pages"}


def test_what_needs_no_room_is_answered(asked: tuple[TestClient, Settings]) -> None:
    client, _ = asked
    tiles = "/collections/parcels/tiles/WebMercatorQuad"
    level = client.get(f"{tiles}?f=json").json()["tileMatrixSetLimits"][-1]
    place = f"{level['tileMatrix']}/{level['minTileRow']}/{level['minTileCol']}"
    for address in (
        "/?f=html", "/collections/parcels/items?f=html", "/collections/parcels/items/1",
        f"{tiles}/{place}", "/health/ready", "/collections/parcels/map?width=64",
    ):  # fmt: skip
        assert client.get(address).status_code == 200, address


@pytest.mark.parametrize("words", ["tiles export parcels", "extract parcels 1-12-45-7-0-0-0"])
def test_a_command_that_has_no_room(
    asked: tuple[TestClient, Settings],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, small = asked
    monkeypatch.setenv("MAKAN_HOME", str(small.home))
    monkeypatch.setenv("MAKAN_DATABASE", small.database)
    monkeypatch.setattr(sys, "argv", ["makan", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert (ended.value.code, "the disk is full" in said) == (7, True), said
    assert not list((small.home / "published").rglob("*.part*"))
