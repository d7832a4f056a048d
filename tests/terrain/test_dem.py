"""`makan dem`: files in, a validated, served model out; and what is derived from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import Resampling, reproject
from rio_cogeo.cogeo import cog_validate

from benchmarks.imagery.grounds import EAST, NO_LINES, NORTH, hills, plane, surveyed
from pipeline.cli.dem import build_model
from pipeline.cli.main import cli
from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, MakanError, SettingsError
from pipeline.fabric import between
from pipeline.findings import Catalog
from pipeline.terrain import checks, products, read
from pipeline.terrain.read import Files
from pipeline.terrain.survey import Survey


def _run(*words: str | Path, city: str = "qom", **environment: str) -> Result:
    env = {"MAKAN_CITY": city, **environment}
    return CliRunner(env=env).invoke(cli, [str(word) for word in words])


def _told(result: Result) -> Any:
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def _contours(path: Path, survey: Survey, column: str | None = "ELEV") -> Path:
    """Contours as a GeoPackage: heights in ``column``, or in the coordinates if that is None."""
    lines = survey.contours
    if column is None:
        lines = shapely.force_3d(lines, survey.levels)
    wkb = np.asarray(shapely.to_wkb(lines), dtype=object)
    kind = "LineString" if column else "LineString Z"
    data = [survey.levels] if column else [np.arange(len(lines))]
    name = [column or "sheet"]
    pyogrio.raw.write(path, wkb, data, name, geometry_type=kind, crs="EPSG:32639", driver="GPKG")
    return path


def _spots(path: Path, survey: Survey) -> Path:
    rows = [f"{n},{x:.3f},{y:.3f},{z:.3f}" for n, (x, y, z) in enumerate(survey.spots)]
    path.write_text("id,x,y,z\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def hilly(tmp_path: Path) -> tuple[Path, Path]:
    survey = surveyed(hills, 1000.0, 2.0, 200)
    return _contours(tmp_path / "contours.gpkg", survey), _spots(tmp_path / "spots.csv", survey)


def test_files_become_a_cog_that_is_validated_with_spots_kept_back(
    tmp_path: Path, hilly: tuple[Path, Path]
) -> None:
    out = tmp_path / "dem.tif"
    words = ("--contours", hilly[0], "--spots", hilly[1], "--cell", "2", "--crs", "EPSG:32639")
    told = _told(_run("dem", "build", *words, "--out", out, "--json"))
    assert told["contour_interval_m"] == 2.0
    assert told["hold_out"]["spots"] == 40
    assert told["hold_out"]["enough"] is True
    assert told["hold_out"]["rmse_m"] < 0.15
    assert told["heights_above"].startswith("IRHS1998")
    assert told["findings"] == []
    valid, errors, _ = cog_validate(str(out), strict=True)
    assert valid, errors
    with rasterio.open(out) as model:
        assert model.tags()["VERTICAL_DATUM"].startswith("IRHS1998")
        assert model.nodata == -9999.0
        assert model.crs.to_epsg() == 32639
        points = EAST + np.array([150.0, 500, 900]), NORTH + np.array([200.0, 600, 850])
        heights = [value[0] for value in model.sample(zip(*points, strict=True))]
    assert heights == pytest.approx(hills(*points), abs=0.25)


def test_the_planted_plane_is_loaded_and_served(database: Database, tmp_path: Path) -> None:
    survey = surveyed(plane, 600.0, 0.5, 60)
    contours = _contours(tmp_path / "monhani.gpkg", survey, column=None)
    spots = _spots(tmp_path / "spots.csv", survey)
    settings = database.settings
    words = ("--contours", contours, "--spots", spots, "--cell", "1", "--crs", "EPSG:32639")
    result = CliRunner().invoke(
        build_model, [str(word) for word in (*words, "--json")], obj=settings
    )
    told = _told(result)
    with rasterio.open(settings.home / told["where"]) as model:
        value = next(iter(model.sample([(EAST + 50, NORTH + 300)])))[0]
    assert value == pytest.approx(900.50, abs=0.02)
    with database.connect("loader") as connection:
        rows = connection.execute(
            "SELECT sheet, status FROM ops.raster r JOIN ops.run u ON u.id = r.run_id"
        )
        assert rows.fetchall() == [("monhani", "done")]


def test_the_real_relief_comes_back_within_a_fifth_of_its_interval(
    tmp_path: Path, real_data: Path
) -> None:
    ngi = real_data / "aerial_ngi"
    topo, out = ngi / "derived_topo", tmp_path / "ngi.tif"
    lo25 = (ngi / "ngi_xyz_opk.prj").read_text(encoding="utf-8")
    words = ("--contours", topo / "contours_50m.shp.zip", "--spots", topo / "spot_heights.csv")
    more = ("--cell", "24", "--crs", lo25, "--out", out, "--json")
    told = _told(_run("dem", "build", *words, *more, city="westcape"))
    assert told["contours"] == 147
    assert told["contour_interval_m"] == 50.0
    assert told["hold_out"]["spots"] == 80
    assert told["hold_out"]["rmse_m"] < 10.0
    assert told["flat_share"] < 0.001
    with rasterio.open(out) as made, rasterio.open(ngi / "dem.tif") as source:
        truth = np.full(made.shape, np.nan, np.float32)
        reproject(
            source.read(1),
            truth,
            src_transform=source.transform,
            src_crs=lo25,
            dst_transform=made.transform,
            dst_crs=made.crs,
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )
        known = (made.read_masks(1) > 0) & np.isfinite(truth)
        missed = (made.read(1) - truth)[known]
    assert len(missed) > 160_000
    assert float(np.sqrt((missed**2).mean())) < 10.0
    assert abs(float(missed.mean())) < 1.0


def test_spots_in_the_wrong_crs_are_refused_with_the_way_out(
    tmp_path: Path, real_data: Path
) -> None:
    spots = real_data / "aerial_ngi" / "derived_topo" / "spot_heights.csv"
    words = ("--spots", spots, "--cell", "24", "--crs", "EPSG:32734", "--out", tmp_path / "x.tif")
    result = _run("dem", "build", *words, city="westcape")
    assert isinstance(result.exception, ArrivalError)
    assert "no row of it lies in the city" in str(result.exception)
    result = _run("dem", "build", *words[:4], "--out", tmp_path / "x.tif", city="westcape")
    assert "names no CRS" in str(result.exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,x,y\n1,488600,3833000\n", "has no height"),
        ("id,p,q,z\n1,488600,3833000,900\n", "has no geometry"),
    ],
)
def test_a_table_that_cannot_be_taken_says_why(
    tmp_path: Path, qom: City, text: str, said: str
) -> None:
    path = tmp_path / "spots.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArrivalError, match=said):
        read.read(Files("dem", spots=path, crs=qom.crs), qom)


def test_persian_digits_and_impossible_heights(tmp_path: Path, qom: City, catalog: Catalog) -> None:
    path = tmp_path / "noghat.csv"
    rows = ["488600,3833000,۹۲۰٫۵", "488700,3833000,0", "488800,3833000,", "1,2,930"]
    path.write_text("E,N,H\n" + "\n".join(rows) + "\n", encoding="utf-8")
    survey, findings = read.read(Files("dem", spots=path, crs=qom.crs), qom)
    assert survey.spots.tolist() == [[488600.0, 3833000.0, 920.5]]
    told = sorted(str(finding.detail) for finding in findings)
    assert told == [
        "height not between 850 and 1400 m",
        "outside the city's extent",
        "without a height",
    ]
    assert all(catalog.severity(finding.code) == "warning" for finding in findings)


def test_faults_of_contours_are_found() -> None:
    lines = [
        shapely.LineString([(0, 0), (0, 1000)]),
        shapely.LineString([(200, 0), (200, 1000)]),
        shapely.LineString([(100, 500), (300, 500)]),  # crosses the one at 200, ends loose
        shapely.LineString([(600, 0), (600, 1000)]),
        shapely.LineString([(1000, 0), (1000, 1000)]),
    ]
    levels = np.array([900.0, 902.0, 904.0, 903.7, 906.0])
    survey = Survey(np.array(lines, dtype=object), levels, NO_LINES, np.empty((0, 3)))
    found = {finding.code: finding for finding in checks.check(survey, "dem", 1.0)}
    assert set(found) == {"terrain.crossing", "terrain.odd_level", "terrain.loose_end"}
    assert found["terrain.crossing"].value == "902 and 904"
    assert found["terrain.odd_level"].value == "903.7"
    assert found["terrain.loose_end"].value == "2"


def _cone(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A hill of 950 m that falls by a metre in ten."""
    return np.asarray(950.0 - np.hypot(x, y) / 10.0)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.5, 1.0, 2.0, 5.0]),
    st.lists(st.integers(0, 39), max_size=6, unique=True),
)
def test_a_spot_lies_between_the_contours_that_it_sees(
    seed: int, interval: float, wrong: list[int]
) -> None:
    """T21: on a cone, also at its top and where a contour is broken off; off by 1.3 intervals."""
    levels = np.arange(910.0, 950.0, interval)
    turn = np.linspace(0.0, 2 * np.pi, 240)
    ring = np.column_stack([np.cos(turn), np.sin(turn)])
    contours = [shapely.LineString(ring * (950.0 - level) * 10.0) for level in levels]
    contours[2] = shapely.LineString(contours[2].coords[:-20])
    rng = np.random.default_rng(seed)
    far, around = rng.uniform(0, 395, 40), rng.uniform(0, 2 * np.pi, 40)
    places = np.column_stack([far * np.cos(around), far * np.sin(around)])
    places[0] = 0.0
    heights = _cone(*places.T)
    # Through the gap of the third contour the next one is seen, and on top only one: there more
    # is believed.
    free = (np.abs(heights - levels[2]) < 2.1 * interval) | (heights > levels[-1])
    heights[wrong] += 1.3 * interval * np.where(np.arange(len(wrong)) % 2, 1.0, -1.0)
    found = between.ranges(places, heights, np.array(contours, dtype=object), levels)
    bad = set(np.flatnonzero(found.broken(heights)).tolist())
    assert bad <= set(wrong)
    assert {at for at in wrong if not free[at]} <= bad


def test_a_spot_that_is_wrong_by_more_than_the_interval_is_told(
    tmp_path: Path, hilly: tuple[Path, Path]
) -> None:
    lines = hilly[1].read_text(encoding="utf-8").splitlines()
    for number in range(1, len(lines), 5):
        head, _, z = lines[number].rpartition(",")
        lines[number] = f"{head},{float(z) + 10:.2f}"
    hilly[1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ("--contours", hilly[0], "--spots", hilly[1], "--cell", "4", "--crs", "EPSG:32639")
    told = _told(_run("dem", "build", *words, "--out", tmp_path / "x.tif", "--json"))
    codes = {finding["code"] for finding in told["findings"]}
    assert {"terrain.spot_disagrees", "terrain.spot_between"} <= codes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The plane z = 900 + 0.2 dx - 0.1 dy, cells of 2 m, a hole in the middle."""
    east, north = np.meshgrid(np.arange(120) * 2.0, np.arange(100) * -2.0)
    z = (900 + 0.2 * east - 0.1 * north).astype(np.float32)
    z[40:50, 60:70] = -9999
    path = tmp_path / "model.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 100, "width": 120, "dtype": "float32"}
    place = {"crs": "EPSG:32639", "transform": rasterio.Affine(2, 0, EAST, 0, -2, NORTH)}
    with rasterio.open(path, "w", nodata=-9999, **profile, **place) as written:
        written.write(z, 1)
    return path


def test_slope_and_hillshade_of_a_plane(model: Path, tmp_path: Path) -> None:
    assert _run("dem", "derive", "slope", model, "--out", tmp_path / "slope.tif").exit_code == 0
    with rasterio.open(tmp_path / "slope.tif") as made:
        slope = made.read(1, masked=True)
    assert slope.mask.sum() == 100
    assert slope[0, 0] == pytest.approx(np.degrees(np.arctan(np.hypot(0.2, 0.1))), abs=1e-3)
    assert float(slope[10:30].min()) == pytest.approx(float(slope[10:30].max()), abs=5e-3)
    products.derive(model, tmp_path / "shade.tif", "hillshade")
    with rasterio.open(tmp_path / "shade.tif") as made:
        shade = made.read(1)
    # The cosine between the plane's normal and the direction of the sun.
    normal, sun = np.array([-0.2, 0.1, 1.0]), np.array([-0.5, 0.5, np.sqrt(0.5)])
    light = normal @ sun / np.linalg.norm(normal)
    assert shade[20, 20] == pytest.approx(1 + 254 * light, abs=1)
    assert shade[45, 65] == 0
    words = ("derive", "hillshade", model, "--exaggerate", "3", "--out", tmp_path / "steep.tif")
    assert _run("dem", *words).exit_code == 0
    normal = np.array([-0.6, 0.3, 1.0])
    with rasterio.open(tmp_path / "steep.tif") as made:
        light = normal @ sun / np.linalg.norm(normal)
        assert made.read(1)[20, 20] == pytest.approx(1 + 254 * light, abs=1)
    wrong = _run("dem", "derive", "slope", *words[2:-1], tmp_path / "no.tif")
    assert isinstance(wrong.exception, SettingsError)


def test_heights_as_colours_decode_to_a_decimetre(model: Path, tmp_path: Path) -> None:
    products.derive(model, tmp_path / "rgb.tif", "terrain-rgb")
    with rasterio.open(tmp_path / "rgb.tif") as made, rasterio.open(model) as source:
        red, green, blue, opacity = made.read().astype(np.float64)
        z = source.read(1, masked=True)
    decoded = -10_000 + 0.1 * (65536 * red + 256 * green + blue)
    assert (opacity == 0).sum() == 100
    assert float(np.abs(decoded - z).max()) <= 0.051


def test_contours_lie_at_their_height_and_are_whole(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_SIDE", 32)
    out = tmp_path / "contours.gpkg"
    assert _run("dem", "derive", "contours", model, "--interval", "5", "--out", out).exit_code == 0
    meta, _, wkb, (levels,) = pyogrio.raw.read(out)
    lines = shapely.from_wkb(wkb)
    assert "39N" in meta["crs"] or "32639" in meta["crs"]
    assert set(levels % 5) == {0.0}
    for line, level in zip(lines, levels, strict=True):
        x, y = shapely.get_coordinates(line).T
        z = 900 + 0.2 * (x - EAST - 1) - 0.1 * (y - NORTH + 1)
        assert np.abs(z - level).max() < 0.02
    away = [level for level in levels if level < 910]
    assert len(away) == len(set(away))  # one line each, though drawn in many tiles


def test_the_contract_of_heights_is_the_one_that_is_filled(terrain: RasterContract) -> None:
    assert terrain.encoding.compress in ("DEFLATE", "LERC")
    assert terrain.nodata is not None


def test_missing_options_say_what_to_give(tmp_path: Path, model: Path) -> None:
    for words in (
        ("build", "--cell", "1", "--out", tmp_path / "x.tif"),
        ("derive", "contours", model, "--out", tmp_path / "x.gpkg"),
    ):
        assert isinstance(_run("dem", *words).exception, MakanError)
