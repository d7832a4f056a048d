"""An elevation model and what follows from it: by one process, by two, by a cluster that loses a
worker, and again from what is there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from click.testing import CliRunner

from benchmarks.imagery.grounds import hills, surveyed
from pipeline.cli.main import cli
from pipeline.spread import store
from pipeline.terrain import levels, products
from tests.spread.conftest import Dask

PRODUCTS = ("hillshade", "slope", "terrain-rgb", "contours")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine tiles of a small area; which there are is settled where the command runs."""
    monkeypatch.setattr(levels, "TILE", 200)
    monkeypatch.setattr(products, "_SIDE", 200)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square kilometre of hills: contours every 2 m, 120 spots, a breakline."""
    folder = tmp_path_factory.mktemp("survey")
    found = surveyed(hills, 1000.0, 2.0, 120)
    wkb = np.asarray(shapely.to_wkb(found.contours), dtype=object)
    how = {"crs": "EPSG:32639", "driver": "GPKG"}
    pyogrio.raw.write(
        folder / "contours.gpkg", wkb, [found.levels], ["ELEV"], geometry_type="LineString", **how
    )
    rows = [f"{x:.3f},{y:.3f},{z:.3f}" for x, y, z in found.spots]
    (folder / "spots.csv").write_text("x,y,z\n" + "\n".join(rows) + "\n", encoding="utf-8")
    points = shapely.get_coordinates(found.contours[0])[:2] + 40
    edge = shapely.LineString([(x, y, float(hills(x, y))) for x, y in points])
    pyogrio.raw.write(
        folder / "breaks.gpkg", np.array([shapely.to_wkb(edge)], dtype=object), [np.array([1])],
        ["id"], geometry_type="LineString Z", **how,
    )  # fmt: skip
    return folder


def _run(*words: str | Path) -> Any:
    env = {"MAKAN_CITY": "qom", "MAKAN_HOME": "/nonexistent-home"}
    result = CliRunner(env=env).invoke(cli, ["dem", *map(str, words)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def _model(survey: Path, out: Path, *more: str | Path) -> dict[str, Any]:
    files = ("--contours", survey / "contours.gpkg", "--spots", survey / "spots.csv",
             "--breaklines", survey / "breaks.gpkg")  # fmt: skip
    told = _run(
        "build", *files, "--crs", "EPSG:32639", "--cell", "2", "--json", "--out", out, *more
    )
    found: dict[str, Any] = json.loads(told)
    return found


def _made(survey: Path, folder: Path, *more: str | Path) -> dict[str, str]:
    """A digest of the model and of each product; of contours of what they are, since a GeoPackage
    holds the time it was written at."""
    out = folder / "dem.tif"
    told = _model(survey, out, *more)
    assert told["tile_seams_max_m"] > 0  # there were several tiles
    digests = {"dem": _sha(out), "report": str({k: told[k] for k in ("hold_out", "flat_share")})}
    for name in PRODUCTS:
        interval = ("--interval", "5") if name == "contours" else ()
        path = folder / (f"{name}.gpkg" if interval else f"{name}.tif")
        _run("derive", name, out, "--out", path, *interval, *more)
        digests[name] = _sha(path)
        if interval:
            _, _, wkb, (z,) = pyogrio.raw.read(path)
            digests[name] = hashlib.sha256(b"".join(wkb) + z.tobytes()).hexdigest()
    return digests


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def alone(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What this process makes by itself."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "TILE", 200)
        patch.setattr(products, "_SIDE", 200)
        made = _made(survey, folder)
    left = {path.name for path in folder.iterdir()}
    assert left == {"dem.tif", *(f"{n}.tif" for n in PRODUCTS[:3]), "contours.gpkg"}
    return made


def test_two_processes_make_the_same_bytes(
    survey: Path, alone: dict[str, str], tmp_path: Path
) -> None:
    assert _made(survey, tmp_path, "--executor", "local:2") == alone


def test_a_cluster_that_loses_a_worker_makes_the_same_bytes(
    survey: Path, alone: dict[str, str], tmp_path: Path, dask: Dask
) -> None:
    work = tmp_path / "work"
    more = ("--executor", dask.address, "--work", work)
    first = _model(survey, tmp_path / "first.tif", *more)
    dask.workers[0].kill()
    assert _made(survey, tmp_path, *more) == alone
    assert first["hold_out"]["spots"] == 24


def test_what_is_made_is_not_made_again(
    survey: Path, alone: dict[str, str], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    one = _model(survey, tmp_path / "one.tif", "--work", work)
    tiles = {path: path.stat().st_mtime_ns for path in work.glob("tile-*.npz")}
    assert len(tiles) > 18
    gone = sorted(tiles)[0]
    gone.unlink()  # as if the command had been stopped there
    two = _model(survey, tmp_path / "two.tif", "--work", work, "--executor", "local:2")
    again = {path for path, when in tiles.items() if path.stat().st_mtime_ns != when}
    assert again == {gone}
    assert _sha(tmp_path / "one.tif") == _sha(tmp_path / "two.tif") == alone["dem"]
    assert one["hold_out"] == two["hold_out"]


def test_work_at_an_address_makes_the_same_bytes(
    survey: Path, alone: dict[str, str], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    more = ("--executor", "local:2", "--work", f"file://{work}")
    _model(survey, tmp_path / "dem.tif", *more)
    _run("derive", "hillshade", tmp_path / "dem.tif", "--out", tmp_path / "h.tif", *more)
    found = {"dem": _sha(tmp_path / "dem.tif"), "hillshade": _sha(tmp_path / "h.tif")}
    assert found == {name: alone[name] for name in found}
    left = {path.name.split("-")[0] for path in work.iterdir()}
    # The model is brought there for workers that do not see its path; levels are gone.
    assert left == {"survey", "tile", "derived", "model"}
    told = _run("derive", "slope", f"file://{tmp_path / 'dem.tif'}", "--out", tmp_path / "s.tif")
    assert "pixels" in told
    assert _sha(tmp_path / "s.tif") == alone["slope"]


def test_work_in_an_object_storage_makes_the_same_bytes(
    survey: Path, alone: dict[str, str], tmp_path: Path, bucket: str
) -> None:
    more = ("--executor", "local:2", "--work", f"{bucket}/qom/dem")
    assert _made(survey, tmp_path, *more) == alone
    left = store.found(f"{bucket}/qom/dem")
    tiles = [name for name in left if "/tile-" in name]
    assert len(tiles) > 18
    store.drop(tiles[0])
    _model(survey, tmp_path / "again.tif", *more)
    assert store.found(f"{bucket}/qom/dem") == left
    assert _sha(tmp_path / "again.tif") == alone["dem"]
