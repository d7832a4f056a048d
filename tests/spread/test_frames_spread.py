"""An orthophoto by one process, by two, by a cluster that loses a worker, and after Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
from click.testing import CliRunner
from rasterio.errors import NotGeoreferencedWarning

from benchmarks.imagery import flight
from benchmarks.imagery.flight import Shot
from pipeline.cli.main import cli
from pipeline.photogrammetry import mosaic
from pipeline.spread import store
from tests.spread.conftest import ROOT, Dask

SIZE, HEIGHT = (480, 360), 1930.0


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strip of six frames over the synthetic ground."""
    folder = tmp_path_factory.mktemp("strip")
    (folder / "frames").mkdir()
    shots = [
        Shot(f"f{n}", (flight.EAST + 19 * n, flight.NORTH, HEIGHT), (0.04, -0.03, 8.0), SIZE)
        for n in range(6)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for shot in shots:
            flight.render(shot, folder / "frames" / f"{shot.name}.tif")
    flight.write_model(folder / "ground.tif", 1.0, 400.0)
    flight.write_camera(folder / "camera.yaml", shots[0])
    rows = [" ".join(map(str, (s.name, *s.centre, *s.angles))) for s in shots]
    (folder / "eo.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _words(folder: Path, out: Path, *more: str | Path) -> list[str]:
    files = {"--eo": "eo.txt", "--camera": "camera.yaml", "--dem": "ground.tif"}
    given = [word for name, file in files.items() for word in (name, str(folder / file))]
    fixed = ["--angles", "deg", "--crs", "EPSG:32639", "--gsd", "0.1", "--json", "--out", str(out)]
    return ["frames", "ortho", str(folder / "frames"), *given, *fixed, *map(str, more)]


def _ortho(folder: Path, out: Path, *more: str | Path) -> Any:
    env = {"MAKAN_CITY": "qom", "MAKAN_HOME": "/nonexistent-home"}
    result = CliRunner(env=env).invoke(cli, _words(folder, out, *more))
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)["ortho"]


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def alone(flown: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one process makes of it."""
    out = tmp_path_factory.mktemp("alone") / "one.tif"
    assert _ortho(flown, out, "--executor", "local:1")["rectified_now"] == 6
    assert [path.name for path in out.parent.iterdir()] == ["one.tif"]
    return _sha(out)


def test_two_processes_make_the_same_bytes(flown: Path, alone: str, tmp_path: Path) -> None:
    _ortho(flown, tmp_path / "two.tif", "--executor", "local:2")
    assert _sha(tmp_path / "two.tif") == alone


def _when(found: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    def look() -> None:
        deadline = time.monotonic() + 60
        while not found() and time.monotonic() < deadline:
            time.sleep(0.002)
        then()

    thread = threading.Thread(target=look)
    thread.start()
    return thread


def test_a_cluster_that_loses_a_worker_makes_the_same_bytes(
    flown: Path, alone: str, tmp_path: Path, dask: Dask
) -> None:
    work = tmp_path / "shared"
    begun = _when(lambda: any(work.glob("frame-*.tif")), dask.workers[0].kill)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        told = _ortho(
            flown, tmp_path / "d.tif", "--executor", dask.address, "--work", f"file://{work}"
        )
    begun.join()
    assert dask.workers[0].wait(5) == -signal.SIGKILL
    assert dask.workers[1].poll() is None
    assert _sha(tmp_path / "d.tif") == alone
    # One that was done when its worker died is asked for again, and found.
    assert told["rectified_now"] in (5, 6)
    assert len(list(work.glob("frame-*.tif"))) == 6


def test_frames_at_an_address_make_the_same_bytes(flown: Path, alone: str, tmp_path: Path) -> None:
    words = _words(flown, tmp_path / "a.tif", "--executor", "local:1")
    words[2] = f"file://{flown / 'frames'}"
    words[words.index("--dem") + 1] = f"file://{flown / 'ground.tif'}"
    result = CliRunner(env={"MAKAN_CITY": "qom"}).invoke(cli, [*words, "--block", "frames"])
    assert result.exception is None, result.exception
    assert _sha(tmp_path / "a.tif") == alone


def test_frames_and_work_in_an_object_storage(
    flown: Path, alone: str, tmp_path: Path, bucket: str
) -> None:
    system, _ = store.reached(bucket)
    system.put(f"{flown / 'frames'}/", f"{bucket}/frames/", recursive=True)
    system.put(str(flown / "ground.tif"), f"{bucket}/ground.tif")
    words = _words(flown, tmp_path / "s.tif", "--executor", "local:2", "--work", f"{bucket}/work")
    words[2] = f"{bucket}/frames"
    words[words.index("--dem") + 1] = f"{bucket}/ground.tif"
    result = CliRunner(env={"MAKAN_CITY": "qom"}).invoke(cli, [*words, "--block", "frames"])
    assert result.exception is None, result.exception
    assert _sha(tmp_path / "s.tif") == alone
    assert len([name for name in store.found(f"{bucket}/work") if "/frame-" in name]) == 6


def test_who_was_interrupted_goes_on_where_he_was(flown: Path, alone: str, tmp_path: Path) -> None:
    words = _words(flown, tmp_path / "i.tif", "--executor", "local:1")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MAKAN_CITY": "qom", "MAKAN_HOME": str(tmp_path)}
    # What runs in the background of a script ignores SIGINT, and so does what it starts.
    running = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "pipeline", *words],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def some() -> bool:
        return len(list(tmp_path.glob(".frames-*/frame-*.tif"))) >= 1

    _when(some, lambda: running.send_signal(signal.SIGINT)).join()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert not (tmp_path / "i.tif").exists()
    kept = len(list(tmp_path.glob(".frames-*/frame-*.tif")))
    assert 1 <= kept <= 6
    told = _ortho(flown, tmp_path / "i.tif", "--executor", "local:1")
    assert told["rectified_now"] == 6 - kept
    assert _sha(tmp_path / "i.tif") == alone
    assert not list(tmp_path.glob(".frames-*"))


def test_a_frame_that_changed_is_the_only_one_made_anew(
    flown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosaic, "SHEET", 256)
    shutil.copytree(flown, tmp_path / "f")
    work, out = tmp_path / "work", tmp_path / "o.tif"

    def again() -> int:
        told = _ortho(tmp_path / "f", out, "--executor", "local:1", "--work", work)
        return int(told["rectified_now"])

    assert again() == 6
    sheets = set(work.glob("sheet-*.tif"))
    assert len(sheets) > 4
    assert (
        _ortho(tmp_path / "f", out, "--executor", "local:1", "--work", work)["rectified_now"] == 0
    )
    assert set(work.glob("sheet-*.tif")) == sheets
    with rasterio.open(tmp_path / "f" / "frames" / "f3.tif", "r+") as image:
        values = image.read()
        image.write(255 - values)
    assert (
        _ortho(tmp_path / "f", out, "--executor", "local:1", "--work", work)["rectified_now"] == 1
    )
    assert len(list(work.glob("frame-*.tif"))) == 6
    assert not list(work.glob(".*"))
