"""Tiles in both grids, heights as colours, and an orthophoto as it was."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from pygeoapi.plugin import load_plugin
from pygeoapi.provider.base import ProviderItemNotFoundError
from pyproj import Transformer
from rasterio.io import MemoryFile

from pipeline.answers import heights
from pipeline.answers.refusals import NothingFoundError
from pipeline.contracts.process import Heights
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive import grids, raster_collections
from pipeline.derive.grids import Tile
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Job
from pipeline.rasters.shelf import Shelf
from pipeline.serve.errors import Problem
from tests.raster.conftest import EAST, NORTH, Imagery, Make

UTM = "UTM39WGS84Quad"
BOTH = pytest.mark.parametrize("grid", [grids.WEB, UTM])


def _at(schemas: Schemas, grid: str, east: float, north: float, zoom: int) -> tuple[Tile, Any]:
    """The tile that shows a place, and row and column of its pixel there."""
    found = grids.of(schemas.city)[grid]
    move = Transformer.from_crs(schemas.city.srid, found.srid, always_xy=True)
    x, y = move.transform(east, north)
    size = found.size(zoom)
    column, row = (x - found.origin[0]) / size, (found.origin[1] - y) / size
    pixel = int((row % 1) * 256), int((column % 1) * 256)
    return Tile(zoom, int(row), int(column)), pixel


def _pixels(content: bytes) -> Any:
    """Rows, columns, bands of an image file."""
    with MemoryFile(content) as memory, memory.open() as dataset:
        return np.moveaxis(dataset.read(), 0, -1).astype(int)


def _tile(imagery: Imagery, layer: str, grid: str, tile: Tile, **query: Any) -> Any:
    return imagery.get(f"/collections/{layer}/tiles/{grid}/{tile}", **query)


@BOTH
def test_tiles_of_both_grids_show_the_same_place(
    imagery: Imagery, schemas: Schemas, colors: Any, grid: str
) -> None:
    place, pixel = _at(schemas, grid, EAST + 80.5, NORTH - 120.5, 17)
    found = _tile(imagery, "orthophoto", grid, place, f="png")
    assert found.status_code == 200
    shown = _pixels(found.content)[pixel]
    assert shown[3] == 255
    assert np.abs(shown[:3] - colors[:, 120, 80]).max() < 12
    assert _tile(imagery, "orthophoto", grid, Tile(17, 1, 1)).status_code == 204


@BOTH
def test_heights_come_back_from_their_colours(
    imagery: Imagery, schemas: Schemas, grid: str
) -> None:
    east, north = EAST + 400, NORTH - 300
    place, pixel = _at(schemas, grid, east, north, 15)
    asked = {
        "coords": f"POINT({east} {north})",
        "crs": "http://www.opengis.net/def/crs/EPSG/0/32639",
    }
    told = imagery.get("/collections/dem/position", f="json", **asked).json()
    (height,) = told["ranges"]["height"]["values"]
    red, green, blue, opaque = _pixels(_tile(imagery, "dem", grid, place, f="terrain-rgb").content)[
        pixel
    ]
    assert opaque == 255
    # A pixel of the tile is about 4 m, the steepest ground falls by 7 m on 5 cells.
    assert -10_000 + 0.1 * (65_536 * red + 256 * green + blue) == pytest.approx(height, abs=3)
    red, green, blue, _ = _pixels(_tile(imagery, "dem", grid, place, f="terrarium").content)[pixel]
    assert 256 * red + green + blue / 256 - 32_768 == pytest.approx(height, abs=3)
    shade = _pixels(_tile(imagery, "dem", grid, place, f="png").content)
    assert shade[..., :3].std() > 5


def test_the_sets_of_tiles_are_described(imagery: Imagery) -> None:
    listed = imagery.get("/collections/orthophoto/tiles?f=json").json()["tilesets"]
    assert listed[0]["tileMatrixSetURI"].endswith(f"/{grids.WEB}")
    assert listed[1]["crs"].endswith("/32639")
    about = imagery.get(f"/collections/orthophoto/tiles/{UTM}?f=tilejson").json()
    assert (about["crs"], about["tileMatrixSet"]) == ("EPSG:32639", UTM)
    page = imagery.get(f"/collections/orthophoto/tiles/{UTM}?f=html")
    assert page.status_code == 200
    assert imagery.get(f"/tileMatrixSets/{UTM}?f=json").json()["id"] == UTM


def test_an_orthophoto_is_shown_as_it_was(imagery: Imagery, schemas: Schemas, colors: Any) -> None:
    # Both sheets show this place: the one of 2024 has more red and less blue.
    place, pixel = _at(schemas, grids.WEB, EAST + 240.5, NORTH - 100.5, 17)
    old, new = colors[:, 100, 240].astype(int), colors[:, 100, 80] + np.array([60, 0, -40])

    def shown(**query: str) -> Any:
        return _pixels(_tile(imagery, "orthophoto", grids.WEB, place, f="png", **query).content)[
            pixel
        ][:3]

    assert np.abs(shown() - new).max() < 12
    for when in ("2019-05-01", "../2020-01-01", "2019-01-01/2019-12-31"):
        assert np.abs(shown(datetime=when) - old).max() < 12
    for when in ("2024-06-02", "2020-01-01/..", "2000-01-01/2030-01-01"):
        assert np.abs(shown(datetime=when) - new).max() < 12
    # An instant: what was known by then.
    assert np.abs(shown(datetime="2022-03-04T12:00:00Z") - old).max() < 12
    for path in (f"tiles/{grids.WEB}/{place}", "map"):
        for unknown in ("2021-01-01/2022-01-01", "2018-12-31"):
            nothing = imagery.get(f"/collections/orthophoto/{path}", datetime=unknown)
            assert nothing.status_code == 404
            assert "there are 2019-05-01, 2024-06-02" in nothing.json()["description"]
    wrong = _tile(imagery, "orthophoto", grids.WEB, place, datetime="yesterday")
    assert wrong.status_code == 400
    box = {"bbox": "50.876,34.637,50.880,34.638", "width": "200", "height": "100"}
    now, then = (
        imagery.get("/collections/orthophoto/map", **box, **more)
        for more in ({}, {"datetime": "../2020-01-01"})
    )
    assert (now.status_code, then.status_code) == (200, 200)
    assert now.content != then.content


def test_an_earlier_state_of_a_sheet_stays(
    database: Database, schemas: Schemas, make: Make, colors: Any, tmp_path: Path
) -> None:
    contract, home = schemas.rasters["orthophoto"], tmp_path / "home"
    dark = np.clip(colors // 2, 1, 255).astype(np.uint8)

    def take(values: Any, day: date | None) -> Any:
        path = make("s.tif", values, transform=Affine(1, 0, EAST, 0, -1, NORTH))
        job = Job(path, contract, schemas.city, Declared(acquired=day))
        (outcome,), served = deliver(database, home, schemas, [job])
        assert outcome.status == "done"
        return served

    take(colors, date(2019, 1, 1))
    served = take(dark, date(2024, 1, 1))
    assert (served.sheets, [part.acquired for part in served.parts]) == (
        1, ["2019-01-01", "2024-01-01"]
    )  # fmt: skip
    assert served.version == served.parts[1].version
    # Of the same day: a correction, which takes the place of what was.
    brighter = np.clip(colors // 2 + 20, 1, 255).astype(np.uint8)
    served = take(brighter, date(2024, 1, 1))
    assert [part.acquired for part in served.parts] == ["2019-01-01", "2024-01-01"]
    shelf = Shelf(home, contract.id)
    assert len(list(shelf.folder.glob("*.tif"))) == 2
    # An older picture that comes later changes nothing of what is shown.
    before = served.version
    served = take(dark, date(2010, 1, 1))
    assert [part.acquired for part in served.parts] == ["2010-01-01", "2019-01-01", "2024-01-01"]
    assert served.version == before


@pytest.fixture
def series(database: Database, schemas: Schemas, make: Make, plane: Any, tmp_path: Path) -> Path:
    """Models of one ground: of 2019 in two sheets, of 2024 the western one half a metre higher."""
    contract, home = schemas.rasters["dem"], tmp_path / "home"
    jobs = []
    for year, rise in ((2019, 0.0), (2024, 0.5)):
        for n, start in enumerate((0, 40) if year == 2019 else (0,)):
            place = Affine(5, 0, EAST + 5 * start, 0, -5, NORTH)
            folder = tmp_path / str(year)
            folder.mkdir(exist_ok=True)
            path = make(f"m{n}.tif", plane[:, :, start : start + 40] + rise, transform=place)
            path = path.rename(folder / path.name)
            jobs.append(Job(path, contract, schemas.city, Declared(acquired=date(year, 3, 1))))
    for job in jobs:
        (outcome,), _ = deliver(database, home, schemas, [job])
        assert outcome.status == "done"
    return home


def _plugins(home: Path, schemas: Schemas) -> dict[str, Any]:
    definitions = raster_collections.providers(schemas.rasters["dem"], schemas.city, home)
    return {one["type"]: load_plugin("provider", one) for one in definitions}


def test_heights_are_told_as_they_were(series: Path, schemas: Schemas, plane: Any) -> None:
    plugins = _plugins(series, schemas)
    # Between the centres of two cells of the western sheet; the plane rises by 1 %.
    at = shapely.Point(EAST + 100, NORTH - 100)
    spec = SimpleNamespace(target_crs_uri=schemas.city.crs_uri)
    box = [EAST + 150, NORTH - 150, EAST + 250, NORTH - 50]
    for when, rise, columns in (
        (None, 0.5, 20), ("2019-03-01", 0.0, 20), ("2023-01-01", 0.0, 20), ("2024-03-01", 0.5, 20),
        ("../2020-01-01", 0.0, 20), ("2030-01-01T00:00:00Z", 0.5, 20),
        ("2020-01-01/..", 0.5, 10),  # the eastern sheet is of 2019
    ):  # fmt: skip
        told = plugins["edr"].position(wkt=at, crs_transform_spec=spec, datetime_=when)
        assert told["ranges"]["height"]["values"] == [pytest.approx(901.0 + rise, abs=1e-3)]
        told = plugins["coverage"].query(
            bbox=box, bbox_crs=schemas.city.crs_uri, datetime_=when
        )  # fmt: skip
        found = np.array(told["ranges"]["height"]["values"], float).reshape(20, columns)
        expected = plane[0, 10:30, 30:50] + np.where(np.arange(20) < 10, rise, 0.0)
        assert found == pytest.approx(expected[:, :columns], abs=1e-3), when
        content = plugins["coverage"].query(format_="GTiff", datetime_=when)
        with MemoryFile(content) as memory, memory.open() as made:
            assert made.read(1)[20, 20] == pytest.approx(plane[0, 20, 20] + rise, abs=1e-3)
    with pytest.raises(Problem, match="is not"):
        plugins["coverage"].query(datetime_="yesterday")


def test_a_time_before_all_models_is_not_found(series: Path, schemas: Schemas) -> None:
    plugins = _plugins(series, schemas)
    with pytest.raises(ProviderItemNotFoundError, match="there are 2019-03-01, 2024-03-01"):
        plugins["coverage"].query(datetime_="2018-01-01")
    line = [{"e": EAST + x, "n": NORTH - 100, "along_m": x} for x in (50.0, 150.0, 350.0)]
    wanted = Heights(raster="dem", of="points", day="day")
    for day, rise in ((None, 0.5), ("2022-01-01", 0.0)):
        told = heights.filled(series, schemas, wanted, {"points": line}, day)
        assert told is not None
        ground = [point["ground_m"] for point in told["points"]]
        assert ground == pytest.approx([900.5 + rise, 901.5 + rise, 903.5], abs=1e-3)
    with pytest.raises(NothingFoundError, match="2019-03-01"):
        heights.filled(series, schemas, wanted, {"points": line}, "2018-01-01")


def test_a_layer_without_days_has_no_other_time(imagery: Imagery) -> None:
    """As OGC API has it: what has no time is not narrowed by one."""
    point = {"coords": f"POINT({EAST + 100} {NORTH - 100})", "f": "json",
             "crs": "http://www.opengis.net/def/crs/EPSG/0/32639"}  # fmt: skip
    now = imagery.get("/collections/dem/position", **point).json()
    then = imagery.get("/collections/dem/position", **point, datetime="2019-01-01").json()
    assert now == then
    late = imagery.get("/collections/dem/coverage", f="json", datetime="2019-01-01/2020-01-01")
    assert late.status_code == 200
    for path, more in (("coverage", {}), ("position", point), ("map", {})):
        wrong = imagery.get(f"/collections/dem/{path}", **more, datetime="yesterday")
        assert wrong.status_code == 400, path
