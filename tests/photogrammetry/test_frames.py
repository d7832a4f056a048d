"""`makan frames`: a flight checked, published, made an orthophoto that is served."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from click.testing import CliRunner, Result
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import Resampling, reproject
from rio_cogeo.cogeo import cog_validate

from benchmarks.imagery import flight
from benchmarks.imagery.flight import Shot
from pipeline.cli import frames
from pipeline.cli.main import cli
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, GuardError
from pipeline.photogrammetry import ortho, produce
from pipeline.spread.executor import Local
from tests.photogrammetry.conftest import Ngi


def _run(*words: str | Path, city: str = "qom") -> Result:
    env = {"MAKAN_CITY": city, "MAKAN_HOME": str(Path("/nonexistent-home"))}
    return CliRunner(env=env).invoke(cli, [str(word) for word in words])


def _told(result: Result) -> Any:
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Flight:
    """Files of a synthetic block."""

    folder: Path
    shots: list[Shot]

    @property
    def words(self) -> list[str]:
        names = ("frames", "--eo", "eo.txt", "--camera", "camera.yaml", "--dem", "ground.tif")
        files = [n if n.startswith("-") else str(self.folder / n) for n in names]
        return [*files, "--angles", "deg", "--crs", "EPSG:32639"]

    def write_eo(self, shots: list[Shot]) -> None:
        rows = [" ".join(map(str, (s.name, *s.centre, *s.angles))) for s in shots]
        (self.folder / "eo.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """Two strips of two frames of 600 x 500 pixels: 60 % forward, 40 % side overlap at 0.1 m."""
    folder, size, height = tmp_path_factory.mktemp("flight"), (600, 500), 1930.0
    places = [(0, 0, 1.0), (24, 0, -0.6), (24, 30, 179.0), (0, 30, -179.5)]
    tilts = [(0.04, -0.03), (-0.05, 0.02), (0.03, 0.06), (-0.02, -0.04)]
    shots = [
        Shot(f"f{n}", (flight.EAST + x, flight.NORTH + y, height), (*tilt, kappa), size)
        for n, ((x, y, kappa), tilt) in enumerate(zip(places, tilts, strict=True))
    ]
    (folder / "frames").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for shot in shots:
            flight.render(shot, folder / "frames" / f"{shot.name}.tif")
    flight.write_model(folder / "ground.tif", 1.0, 200.0)
    flight.write_camera(folder / "camera.yaml", shots[0])
    made = Flight(folder, shots)
    made.write_eo(shots)
    return made


@pytest.fixture
def block(flown: Flight, tmp_path: Path) -> Flight:
    """The flight's files, to be spoiled."""
    shutil.copytree(flown.folder, tmp_path / "flight")
    return Flight(tmp_path / "flight", flown.shots)


def test_scale_strips_and_overlaps(block: Flight) -> None:
    told = _told(_run("frames", "check", *block.words, "--json"))
    assert (told["frames"], told["images"], told["strips"]) == (4, 4, 2)
    # 1000 m above a ground of 930 m, f = 120 mm.
    assert told["scale"][0] == pytest.approx(8333, rel=0.02)
    assert told["gsd"][0] == pytest.approx(0.1, rel=0.02)
    assert told["forward_overlap"] == pytest.approx(60, abs=3)
    assert told["side_overlap"] == pytest.approx(40, abs=6)
    assert told["findings"] == []


def test_what_a_block_lacks_is_found(block: Flight) -> None:
    (block.folder / "frames" / "f1.tif").unlink()
    spare = block.folder / "frames" / "spare.tif"
    (block.folder / "frames" / "f2.tif").rename(spare)
    (block.folder / "frames" / "f3.tif").write_bytes(b"no image")
    wanted = shapely.box(flight.EAST - 5, flight.NORTH - 5, flight.EAST + 105, flight.NORTH + 5)
    wkb = np.array([shapely.to_wkb(wanted)], dtype=object)
    area = block.folder / "area.gpkg"
    names: list[str] = []
    pyogrio.raw.write(
        area, wkb, [], names, geometry_type="Polygon", crs="EPSG:32639", driver="GPKG"
    )
    told = _told(_run("frames", "check", *block.words, "--area", area, "--json"))
    codes = [(finding["code"], finding["key"]) for finding in told["findings"]]
    assert ("frame.no_image", "f1") in codes
    assert ("frame.no_image", "f2") in codes
    assert ("frame.no_orientation", "spare.tif") in codes
    assert ("frame.unreadable", "f3.tif") in codes
    # f0 shows 30 m east of its centre: about 75 m by 10 m of the wanted area are on no image.
    (gap,) = [finding for finding in told["findings"] if finding["code"] == "frame.gap"]
    assert float(gap["message"].split()[0]) == pytest.approx(0.075, abs=0.01)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"centre": (flight.EAST, flight.NORTH, 900.0)}, "below the ground"),
        ({"centre": (flight.EAST - 300_000, flight.NORTH, 1930.0)}, "outside the city"),
        ({"name": "f0"}, "more than once"),
    ],
)
def test_a_block_that_cannot_be_right_is_refused(
    block: Flight, change: dict[str, Any], said: str
) -> None:
    last = block.shots[-1]
    values = {"name": last.name, "centre": last.centre, **change}
    wrong = Shot(values["name"], values["centre"], last.angles, last.size)
    block.write_eo([*block.shots[:-1], wrong])
    result = _run("frames", "check", *block.words)
    assert isinstance(result.exception, GuardError)
    assert said in str(result.exception)


def test_a_tilted_frame_and_one_turned_against_its_strip_are_told(block: Flight) -> None:
    one, other, *rest = block.shots
    turned = Shot(other.name, other.centre, (4.0, 0.0, 14.0), other.size)
    block.write_eo([one, turned, *rest])
    told = _told(_run("frames", "check", *block.words, "--json"))
    codes = {(finding["code"], finding["key"]) for finding in told["findings"]}
    assert ("frame.tilted", "f1") in codes
    assert any(code == "frame.drift" for code, _ in codes)


def test_a_mosaic_shows_the_targets_where_they_are(block: Flight) -> None:
    out = block.folder / "mosaic.tif"
    words = ("--gsd", "0.1", "--out", out, "--jobs", "2", "--json")
    told = _told(_run("frames", "ortho", *block.words, *words))
    valid, errors, _ = cog_validate(str(out), strict=True)
    assert valid, errors
    missed = flight.missed(out)
    assert len(missed) > 20
    # The noise of JPEG moves centroids by more than the 0.006 px of one frame.
    assert float(np.sqrt((missed**2).sum(axis=1).mean())) < 0.1
    assert np.abs(missed.mean(axis=0)).max() < 0.02
    assert told["ortho"]["frames"] == 4


@pytest.mark.parametrize("lens", [(0.0, 0.0), (-0.05, 0.02)])
def test_one_frame_is_rectified_to_a_fiftieth_of_a_pixel(
    tmp_path: Path, schemas: Schemas, lens: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ortho, "TILE", 256)  # several tiles, and seams between them
    centre = (flight.EAST + 20, flight.NORTH - 10, 1930.0)
    shot = Shot("f", centre, (0.8, -1.2, 37.0), (900, 700), lens)
    (tmp_path / "frames").mkdir()
    flight.render(shot, tmp_path / "frames" / "f.tif")
    made = Flight(tmp_path, [shot])
    made.write_eo([shot])
    flight.write_model(tmp_path / "ground.tif", 1.0, 200.0)
    flight.write_camera(tmp_path / "camera.yaml", shot)
    target = _rectified(made, schemas)
    missed = flight.missed(target)
    assert len(missed) > 30
    assert float(np.sqrt((missed**2).sum(axis=1).mean())) < 0.02
    assert np.abs(missed.mean(axis=0)).max() < 0.005


def _rectified(made: Flight, schemas: Schemas, **more: Any) -> Path:
    """The orthophoto of the only frame, before it is compressed."""
    from pyproj import CRS

    from pipeline.photogrammetry import camera, ground, orientation
    from pipeline.photogrammetry.block import Sources, study

    folder = made.folder
    eo = orientation.read(folder / "eo.txt", "deg", CRS.from_epsg(32639))
    cameras = camera.read(folder / "camera.yaml")
    sources = Sources("b", eo, cameras, str(folder / "frames"), schemas.city, CRS.from_epsg(32639))
    with ground.opened(folder / "ground.tif") as below:
        block = study(sources, below)
    contract = next(c for c in schemas.rasters.values() if len(c.bands) == 3)
    work = folder / f"work-{more.get('jobs', 1)}"
    shutil.rmtree(work, ignore_errors=True)
    plan = produce.Wanted(
        folder, str(work), contract, schemas.city, str(folder / "ground.tif"), 0.1, {},
        Local(more.get("jobs", 1)),
    )  # fmt: skip
    return Path(produce.produce(block, plan).pieces[0].place)


def test_a_frame_too_large_for_memory_gives_the_same_bytes(
    block: Flight, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _rectified(block, schemas).read_bytes()
    monkeypatch.setattr(ortho, "_IN_MEMORY", 1000)
    assert _rectified(block, schemas).read_bytes() == whole
    assert not list(block.folder.glob("**/*.frame"))


def test_two_processes_give_the_same_bytes_as_one(block: Flight, schemas: Schemas) -> None:
    one = _rectified(block, schemas).read_bytes()
    assert _rectified(block, schemas, jobs=2).read_bytes() == one


def test_an_image_of_another_camera_is_not_rectified(block: Flight) -> None:
    other = Shot("f0", block.shots[0].centre, block.shots[0].angles, (500, 600))
    flight.render(other, block.folder / "frames" / "f0.tif")
    told = _told(_run("frames", "check", *block.words, "--json"))
    assert "frame.size" in {finding["code"] for finding in told["findings"]}
    result = _run("frames", "ortho", *block.words, "--out", block.folder / "x.tif", "--jobs", "1")
    assert isinstance(result.exception, ArrivalError)
    assert "500 x 600" in str(result.exception)


def test_frames_and_ortho_are_published(
    block: Flight, database: Database, schemas: Schemas, tmp_path: Path
) -> None:
    settings = database.settings
    for command, more in ((frames.load, ()), (frames.load, ()), (frames.ortho, ("--gsd", "0.1"))):
        words = [*block.words, "--block", "b1", "--date", "2024-05-31", "--json", *more]
        if command is frames.ortho:
            words += ["--jobs", "1"]
        result = CliRunner().invoke(command, words, obj=settings)
        told = _told(result)
    with database.connect("loader") as connection:
        found = connection.execute(
            "SELECT frame_name, strip_no, frame_no, gsd_m::float8, flown_on::text, "
            "ST_Area(geom)::float8 FROM derived.aerial_frame ORDER BY frame_name"
        ).fetchall()
        assert [row[:3] for row in found] == [
            ("f0", 1, 1),
            ("f1", 1, 2),
            ("f2", 2, 1),
            ("f3", 2, 2),
        ]
        assert all(row[4] == "2024-05-31" for row in found)
        assert all(row[5] == pytest.approx(60 * 50, rel=0.06) for row in found)
        counted = connection.execute(
            "SELECT (SELECT count(*) FROM derived.flight_strip), strip_count, frame_count, gap_ha "
            "FROM derived.flight_block"
        ).fetchall()
        assert counted == [(2, 2, 4, 0.0)]
        seams = connection.execute(
            "SELECT count(*), sum(ST_Area(geom))::float8 FROM derived.ortho_seam"
        ).fetchone()
        shown = connection.execute(
            "SELECT ST_Area(geom)::float8 FROM derived.flight_block"
        ).fetchone()
        assert seams is not None
        assert shown is not None
        assert seams[0] == 4
        assert seams[1] == pytest.approx(shown[0], rel=0.02)
        runs = connection.execute(
            "SELECT inserted, updated, removed FROM ops.run "
            "WHERE layer = 'aerial_frame' ORDER BY id"
        ).fetchall()
        assert runs == [(4, 0, 0), (0, 4, 0)]
    with rasterio.open(settings.home / told["where"]) as dataset:
        assert dataset.tags()["ACQUIRED"] == "2024-05-31"
        assert dataset.profile["compress"] == "jpeg"


def _grey(path: Path, like: Any) -> tuple[Any, Any]:
    """Grey values and validity of ``path`` in the cells of the open dataset ``like``."""
    with rasterio.open(path) as source:
        values = np.zeros((3, like.height, like.width), np.float32)
        known = np.zeros((like.height, like.width), np.float32)
        how = {
            "src_transform": source.transform,
            "src_crs": source.crs,
            "dst_transform": like.transform,
            "dst_crs": like.crs,
        }
        reproject(source.read().astype(np.float32), values, resampling=Resampling.cubic, **how)
        mask = (source.read_masks(1) > 0).astype(np.float32)
        reproject(mask, known, resampling=Resampling.bilinear, **how)
    return values.mean(axis=0), known > 0.999


def test_the_real_frames_fit_each_other_and_the_reference(ngi: Ngi, tmp_path: Path) -> None:
    out = tmp_path / "ngi.tif"
    more = ("--gsd", "5", "--out", out, "--jobs", "1", "--json")
    told = _told(_run("frames", "ortho", *ngi.words, *more, city="westcape"))
    (pair,) = told["ortho"]["agreement"]
    assert pair["chips"] >= 40
    assert pair["rmse_px"] <= 0.6
    assert (
        told["ortho"]["colour_difference_after"] < 2.0 < told["ortho"]["colour_difference_before"]
    )
    window = cv2.createHanningWindow((64, 64), cv2.CV_32F)
    with rasterio.open(out) as made:
        grey, valid = made.read().astype(np.float32).mean(axis=0), made.read_masks(1) > 0
        shifts = []
        for reference in sorted((ngi.folder / "reference_ortho").glob("*.tif")):
            other, known = _grey(reference, made)
            both = valid & known
            for row in range(0, made.height - 64, 64):
                for column in range(0, made.width - 64, 64):
                    here = np.s_[row : row + 64, column : column + 64]
                    if both[here].all():
                        one, two = (
                            np.ascontiguousarray(grey[here]),
                            np.ascontiguousarray(other[here]),
                        )
                        shifts.append(cv2.phaseCorrelate(one, two, window)[0])
    length = np.hypot(*np.array(shifts).T)
    assert len(length) > 250
    assert float(np.median(length)) < 0.5
    assert float(np.sqrt((length**2).mean())) < 1.0


def test_frames_that_pretend_to_be_orthos_are_recognised(ngi: Ngi) -> None:
    told = _told(_run("frames", "check", *ngi.words, "--json", city="westcape"))
    pretend = [finding for finding in told["findings"] if finding["code"] == "frame.pretends"]
    assert len(pretend) == 2
    missing = {f["key"] for f in told["findings"] if f["code"] == "frame.no_image"}
    assert missing == {"3324c_2015_1004_06_0251_RGB", "3324c_2015_1004_06_0253_RGB"}
    images = sorted(ngi.frames.glob("*.tif"))
    orthos = sorted((ngi.folder / "reference_ortho").glob("*.tif"))
    result = _run(
        "raster", "check", "--as", "orthophoto", "--json", *images, *orthos, city="westcape"
    )
    for file in _told(result):
        like = "raster.looks_like_frame" in {finding["code"] for finding in file["findings"]}
        assert like == file["file"].endswith("_RGB.tif")
