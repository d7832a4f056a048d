"""The command line: from an unknown file to a report, exit codes as documented, one-line errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline import paths
from pipeline.cli.main import main
from pipeline.db.engine import Database
from pipeline.errors import ResourceError
from pipeline.stages import load as loading

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def makan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Runs ``makan`` in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the notes of faults go
    root = tmp_path / "schemas"
    shutil.copytree(paths.schemas(), root)
    monkeypatch.setattr(paths, "schemas", lambda: root)

    def run(*words: object, **environment: object) -> tuple[int, str, str]:
        with monkeypatch.context() as patched:
            for name in [name for name in os.environ if name.startswith("MAKAN_")]:
                patched.delenv(name)
            patched.setenv("MAKAN_HOME", str(tmp_path / "home"))
            for name, value in environment.items():
                patched.setenv(f"MAKAN_{name.upper()}", str(value))
            patched.setattr(sys, "argv", ["makan", *map(str, words)])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def parcels(folder: Path, count: int = 6, *, bad: int = 0, name: str = "plots.gpkg") -> Path:
    """A GeoPackage of parcels in Qom, of which ``bad`` have no good code."""
    codes = [f"1-1-1-{n}" if n >= bad else "none" for n in range(count)]
    shapes = [shapely.box(488000 + 30 * n, 3833000, 488020 + 30 * n, 3833020) for n in range(count)]
    table = pa.table({"nosazi": codes, "[odd]": codes, "geometry": shapely.to_wkb(shapes)})
    path = folder / name
    path.unlink(missing_ok=True)
    pyogrio.write_arrow(
        table, path, driver="GPKG", geometry_name="geometry", geometry_type="Polygon",
        crs="EPSG:32639",
    )  # fmt: skip
    return path


def one_line(said: str) -> str:
    """What stands on standard error, which must be one line without a trace."""
    said = said.removeprefix("\n")  # click ends the line that shows ^C
    assert said.count("\n") == 1, said
    assert "Traceback" not in said
    return said.removeprefix("makan: ").rstrip("\n")


@pytest.fixture
def home(database: Database) -> dict[str, str]:
    """The settings of this test's database."""
    return {"home": str(database.settings.home), "database": database.settings.database}


TREES = """
id = "street_tree"
title = { en = "Street trees", fa = "درختان معابر" }
description = { en = "Trees along streets.", fa = "درختان کنار معابر." }
theme = "services"
steward = { en = "Parks", fa = "سازمان پارک‌ها" }
key = ["tree_no"]
geometry = { type = "Point" }
publish = { collection = "street-trees", label = "tree_no" }
style = { classes = [{ fill = "#1b5e20" }] }

[[fields]]
name = "tree_no"
type = "text"
max_length = 20
required = true
privacy = "P0"
title = { en = "Number", fa = "شماره" }

[[fields]]
name = "girth_m"
type = "number"
unit = "m"
privacy = "P0"
title = { en = "Girth", fa = "محیط تنه" }
"""


def test_a_new_layer_is_its_contract_and_a_feed(
    makan: Run, home: dict[str, str], database: Database, tmp_path: Path
) -> None:
    """Its table, checks, view, merge and columns follow; no code and no SQL is written by hand."""
    (paths.schemas() / "layers" / "street_tree.toml").write_text(TREES, encoding="utf-8")
    code, out, said = makan("schema", "migration", "trees", "street_tree")
    assert (code, said, len(out.splitlines())) == (0, "", 2)
    code, _, said = makan("schema", "migration", "again", "street_tree")
    assert (code, "has its table" in one_line(said)) == (3, True)
    assert makan("schema", "migration", "No", "street_tree")[0] == 2
    file = tmp_path / "trees.csv"
    file.write_text("شماره,محیط تنه,X,Y\nT-1,1.2,488600,3833095\nT-2,0.8,488620,3833096\n")
    code, toml, _ = makan("feed", "draft", file, "--layer", "street_tree", "--write")
    assert (code, 'to = "girth_m"' in toml) == (0, True)
    assert makan("db", "migrate", **home)[0] == 0
    code, _, said = makan("load", "trees", file, **home)
    assert (code, "2 inserted" in said) == (0, True), said
    with database.connect("owner") as connection:
        (row,) = connection.execute("SELECT sum(girth_m) FROM api.street_tree").fetchall()
    assert row == (2.0,)


def test_from_an_unknown_file_to_a_report(makan: Run, home: dict[str, str], tmp_path: Path) -> None:
    path = parcels(tmp_path, bad=1)
    code, toml, said = makan("feed", "draft", path, "--layer", "parcel", "--write")
    assert (code, "written to" in said) == (0, True)
    assert 'to = "parcel_code"' in toml
    assert (paths.schemas() / "feeds" / "qom" / "plots.toml").read_text(encoding="utf-8") == toml
    code, _, said = makan("feed", "draft", path, "--layer", "parcel", "--write")
    assert (code, one_line(said.splitlines()[-1] + "\n")) == (
        2, "there is a feed plots already. Give another --id.",
    )  # fmt: skip

    code, out, said = makan("check", "plots", path, "--json")
    (outcome,) = json.loads(out)
    assert (code, said, outcome["status"]) == (1, "", "checked")
    assert outcome["counts"][0] == {"code": "column.unmapped", "field": "[odd]", "rows": 1}

    code, _, said = makan("load", "plots", path, **home)
    assert code == 1
    assert "arrived 6 = 5 inserted + 0 updated + 0 unchanged + 1 quarantined" in said
    assert "column.unmapped [odd]" in said
    code, out, said = makan("load", "plots", path, "--json", **home)
    assert (code, json.loads(out)[0]["status"]) == (0, "unchanged")

    code, out, said = makan("runs", **home)
    assert (code, said) == (0, "")
    assert re.search(r"2 +plots +unchanged +plots\.gpkg", out)
    code, out, _ = makan("runs", "--limit", 1, "--json", **home)
    assert [run["id"] for run in json.loads(out)] == [2]

    code, out, _ = makan("report", 1, **home)
    assert code == 0
    assert "arrived 6 = 5 inserted + 0 updated + 0 unchanged + 1 quarantined; 0 removed" in out
    assert "row 1: parcel_code = none does not have the form 1-12-45-7-0-0-0" in out
    assert "nosazi=none" in out
    assert "the source column [odd] is neither mapped nor ignored" in out
    code, out, _ = makan("report", 1, "--lang", "fa", "--json", **home)
    report = json.loads(out)
    assert report["closes"] is True
    assert len(report["file_sha256"]) == 64
    assert report["findings"][0]["samples"][0]["message"].endswith("به شکل 1-12-45-7-0-0-0 نیست")
    assert report["quarantine"] == [
        {"line": 1, "key": "none", "reasons": ["value.pattern"],
         "raw": {"nosazi": "none", "[odd]": "none"}}
    ]  # fmt: skip
    code, _, said = makan("report", 99, **home)
    assert (code, one_line(said)) == (2, "there is no run 99. `makan runs` lists them.")


def test_an_unfinished_draft_does_not_stop_the_other_commands(makan: Run, tmp_path: Path) -> None:
    path = parcels(tmp_path, bad=6)
    code, _, said = makan("feed", "draft", path, "--layer", "parcel", "--write")
    assert code == 0
    assert "plots.toml.draft" in said
    assert "nothing fills the required parcel_code yet" in said
    assert makan("check", "--help")[0] == 0
    code, _, said = makan("check", "plots", path)
    assert (code, one_line(said).startswith("unknown feed plots")) == (2, True)


def test_every_kind_of_error_has_its_exit_code_and_one_line(
    makan: Run, home: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parcels(tmp_path)
    makan("feed", "draft", path, "--layer", "parcel", "--write")

    def ends(code: int, line: str, *words: object, **environment: object) -> None:
        found, out, said = makan(*words, **environment)
        assert (found, out) == (code, "")
        assert re.search(line, one_line(said)), said

    ends(2, "nothing to load", "load")
    ends(2, "unknown feed x for the city qom", "load", "x", path)
    ends(2, "unknown layer x", "feed", "draft", path, "--layer", "x")
    ends(2, "No such option '--x'", "load", "--x")
    ends(2, "unknown setting MAKAN_CITTY", "runs", citty="qom")
    ends(2, "unknown city x", "check", "plots", path, city="x")
    ends(4, "no such file. Check the path", "check", "plots", tmp_path / "none.gpkg")
    ends(4, "is a file of GPKG, the feed pois takes CSV", "check", "pois", path)
    ends(
        4, r"dwg files are not taken\. Save it as DXF", "check", "plots", _named(tmp_path, "a.dwg")
    )
    ends(4, "is empty", "check", "plots", _named(tmp_path, "a.gpkg", b""))
    ends(4, "no file is meant by a feed of qom", "load", "--all", _empty(tmp_path))
    ends(6, "there is no private database yet. Run `makan db start`", "load", "plots", path)
    ends(6, "the database belongs to the city qom, not to cambridge", "load", "parcels",
         path, city="cambridge", **home)  # fmt: skip
    feed = paths.schemas() / "feeds" / "qom" / "plots.toml"
    finished = feed.read_text(encoding="utf-8")
    feed.write_text(f"{finished}wrong = 1\n", encoding="utf-8")
    ends(3, r"plots\.toml:\d+: ", "check", "plots", path)
    feed.unlink()
    ends(2, "unknown feed plots", "check", "plots", path)

    def raising(error: BaseException) -> Callable[..., Any]:
        def fail(*_: Any, **__: Any) -> Any:
            raise error

        return fail

    for error, code, line in [
        (ResourceError("the disk is full", todo="Free some."), 7, "the disk is full. Free some."),
        (KeyboardInterrupt(), 130, "interrupted; nothing is half-done"),
        (ZeroDivisionError("secret"), 8, r"unforeseen ZeroDivisionError; this is a fault of Makan"),
    ]:
        monkeypatch.setattr(loading, "load", raising(error))
        ends(code, line, "load", "parcels", path, **home)


def _named(folder: Path, name: str, content: bytes = b"AC1018 and so on") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_a_guard_refuses_with_code_5(makan: Run, home: dict[str, str], tmp_path: Path) -> None:
    makan("feed", "draft", parcels(tmp_path), "--layer", "parcel", "--write")
    assert makan("load", "plots", parcels(tmp_path), **home)[0] == 0
    code, out, said = makan("load", "plots", parcels(tmp_path, 2), **home)
    assert (code, out) == (5, "")
    assert one_line(said).startswith("plots.gpkg: 2 rows arrived, 6 came last time: a drop of more")


def test_all_files_of_a_folder_go_on_when_one_is_refused(
    makan: Run, home: dict[str, str], tmp_path: Path
) -> None:
    makan("feed", "draft", parcels(tmp_path), "--layer", "parcel", "--write")
    (tmp_path / "in").mkdir()
    parcels(tmp_path / "in")
    _named(tmp_path / "in", "amaken.csv", b"no,such,columns\n1,2,3\n")
    code, _, said = makan("load", "--all", tmp_path / "in", **home)
    assert code == 4
    assert "run 1: plots done" in said or "run 2: plots done" in said
    assert "amaken.csv: has no column" in said


def test_no_secret_is_told(makan: Run, tmp_path: Path) -> None:
    path = parcels(tmp_path)
    makan("feed", "draft", path, "--layer", "parcel", "--write")
    for url in ("postgresql://someone:hush@127.0.0.1:1/x", "postgresql://someone:hush@[", "hush"):
        code, _, said = makan("load", "plots", path, database_url=url)
        assert code == 6
        assert "hush" not in one_line(said)


def test_help_needs_none_of_the_libraries() -> None:
    """Seconds of import would pass before a person sees a word."""
    words = "import sys; from pipeline.cli.main import main; sys.argv = ['makan', '--help']\n"
    words += "try: main()\nexcept SystemExit: print(*sorted(sys.modules))"
    before = time.process_time()
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert time.process_time() - before < 5
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {
        "numpy",
        "pandas",
        "pyarrow",
        "pyogrio",
        "shapely",
        "sqlalchemy",
        "rasterio",
        "pydantic",
    }
    assert not loaded & heavy
    assert "load" in done.stdout


def test_a_process_ends_with_all_said_and_every_exit_function_called(tmp_path: Path) -> None:
    """It ends at once, but not before its turn: what is printed last arrives, and its code."""
    left = tmp_path / "left"
    words = f"""
import atexit, pathlib, sys
import pipeline.cli.main as command
def cli(standalone_mode):
    atexit.register(lambda: pathlib.Path({str(left)!r}).write_text("left"))
    print("x" * 100_000, end="")
    return 3
command.cli = cli
command.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stdout), done.stderr) == (3, 100_000, "")
    assert left.read_text() == "left"


@pytest.mark.parametrize("room", [True, False])
def test_an_error_nobody_foresaw_is_one_line(
    room: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The trace goes to a file; where there is no room for one, the line tells where it was."""

    def broken(**_: object) -> int:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("pipeline.cli.main.cli", broken)
    place = str(tmp_path if room else tmp_path / "nowhere")
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", place)
        with pytest.raises(SystemExit) as ended:
            main()
    said = capfd.readouterr().err
    assert ended.value.code == 8
    assert said.count("\n") == 1
    assert "unforeseen ZeroDivisionError" in said
    assert "secret" not in said
    kept = list(tmp_path.glob("makan-fault-*.txt"))
    if room:
        assert str(kept[0]) in said
        assert "ZeroDivisionError: secret" in kept[0].read_text()
    else:
        assert not kept
        assert "test_commands.py, line" in said
