"""Lines of domain 1.1 and 1.8 about pictures and the ground, over HTTP; see docs/systems.md."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from pyproj import Transformer

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db import derived
from pipeline.db.arrival import fingerprint
from pipeline.db.cluster import SUPERUSER, Cluster
from pipeline.db.engine import Database
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Job
from pipeline.settings import Settings
from tests.raster.conftest import Imagery, running, write
from tests.serving import Application

GRID = "http://www.opengis.net/def/crs/EPSG/0/32639"
WEST, NORTH, PIXEL, SIDE = 488_540.0, 3_833_240.0, 0.1, 2200
# The plaza's target: 4 m wide, its corners at whole metres.
TARGET = (488_650.0, 3_833_118.0, 488_654.0, 3_833_122.0)
FLOWN = date(2024, 5, 1)


def photo() -> Any:
    """Grey ground of 220 m by 220 m at 0.1 m with the red target."""
    bands = np.full((3, SIDE, SIDE), 120, np.uint8)
    west, south, east, north = TARGET
    rows = slice(round((NORTH - north) / PIXEL), round((NORTH - south) / PIXEL))
    columns = slice(round((west - WEST) / PIXEL), round((east - WEST) / PIXEL))
    bands[:, rows, columns] = np.array([255, 0, 0], np.uint8)[:, None, None]
    return bands


def ground() -> Any:
    """z = 900 + 0.01 (E - 488600) in cells of 2 m, 200 by 200 of them."""
    east = 488_500 + 1 + 2 * np.arange(200)
    return np.tile(900 + 0.01 * (east - 488_600), (200, 1)).astype(np.float32)[np.newaxis]


@pytest.fixture(scope="module")
def seen(
    cluster: Cluster, qom_template: Settings, schemas: Schemas, tmp_path_factory: Any
) -> Iterator[Imagery]:
    """Orthophoto, elevation model and three frames of one strip, behind a running server."""
    folder = tmp_path_factory.mktemp("lines")
    sharp = Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH)
    files = {
        "orthophoto": (write(folder / "ortho.tif", photo(), transform=sharp), FLOWN),
        "dem": (
            write(folder / "dem.tif", ground(), transform=Affine(2, 0, 488_500, 0, -2, 3_833_300)),
            None,
        ),
    }
    with testing.clone(qom_template) as cloned, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        address = cluster.uri(SUPERUSER, cloned.settings.database)
        settings = replace(
            cloned.settings, home=folder / "home", database_url=address, port=port, public_url=""
        )
        database = Database(settings)
        for layer, (path, flown) in files.items():
            job = Job(path, schemas.rasters[layer], schemas.city, Declared(acquired=flown))
            deliver(database, settings.home, schemas, [job])
        _fly(database, schemas, files["dem"][0])
        application = Application(settings, schemas, database)
        free.close()
        with running(application, port) as base:
            yield Imagery(base, settings)


def _fly(database: Database, schemas: Schemas, path: Any) -> None:
    """Three frames that overlap by 60 %, and one kilometres away."""
    layer = schemas.layer("aerial_frame")
    empty = dict.fromkeys(field.name for field in layer.fields)
    rows = []
    for number, west in enumerate((488_000, 488_320, 488_640, 499_000), start=1):
        shape = shapely.box(west, 3_832_900, west + 800, 3_833_440)
        told = {"frame_name": f"f{number}", "frame_no": number, "block_name": "b", "strip_no": 1,
                "gsd_m": 0.072, "overlap_fwd_pct": 60.0, "flown_on": FLOWN}  # fmt: skip
        rows.append({**empty, **told, "geom": shapely.to_wkb(shape)})
    with database.connect("loader") as connection:
        batch = derived.Batch(layer, rows, {"block_name": "b"})
        derived.replace(connection, batch, fingerprint(path), schemas.city.srid)


def picture(answer: Any) -> Any:
    """Red, green and blue (rows, columns, 3) of an answer that is an image."""
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), dtype=int)


def red(bands: Any) -> Any:
    return (bands[..., 0] > 180) & (bands[..., 1] < 80) & (bands[..., 2] < 80)


def test_frames_of_a_box_with_strip_number_and_overlap(seen: Imagery) -> None:
    """SDB-1.1: only frames whose footprint meets the box, each with strip, frame, GSD, overlap."""
    path = "/collections/aerial-frames/items"
    found = seen.get(path, bbox="50.85,34.62,50.90,34.66").json()["features"]
    assert [each["properties"]["frame_no"] for each in found] == [1, 2, 3]
    for each in found:
        told = each["properties"]
        assert (told["strip_no"], told["gsd_m"], told["overlap_fwd_pct"]) == (1, 0.072, 60.0)
    east = seen.get(path, **{"bbox": "488900,3833000,488910,3833010", "bbox-crs": GRID}).json()
    assert [each["properties"]["frame_no"] for each in east["features"]] == [2, 3]


def test_a_map_of_200_m_at_a_decimetre_shows_the_target_within_a_pixel(seen: Imagery) -> None:
    """SDB-2.6: 200 m by 200 m at 0.1 m/px is a PNG of 2000 by 2000 px; corners within 1 px."""
    west, south = 488_550.0, 3_833_030.0
    box = f"{west},{south},{west + 200},{south + 200}"
    asked = {"bbox": box, "bbox-crs": GRID, "crs": GRID, "width": 2000, "height": 2000, "f": "png"}
    bands = picture(seen.get("/collections/orthophoto/map", **asked))
    assert bands.shape == (2000, 2000, 3)
    rows, columns = np.nonzero(red(bands))
    left, right = (TARGET[0] - west) / PIXEL, (TARGET[2] - west) / PIXEL
    top, bottom = (south + 200 - TARGET[3]) / PIXEL, (south + 200 - TARGET[1]) / PIXEL
    assert (columns.min(), columns.max() + 1) == (
        pytest.approx(left, abs=1),
        pytest.approx(right, abs=1),
    )
    assert (rows.min(), rows.max() + 1) == (pytest.approx(top, abs=1), pytest.approx(bottom, abs=1))


def test_the_height_of_a_point_of_the_plane(seen: Imagery) -> None:
    """SDB-2.7: 900.50 +- 0.02 at E 488650, and 10 m on a decimetre more along a profile."""
    asked = {"coords": "POINT(488650 3833100)", "crs": GRID, "f": "json"}
    told = seen.get("/collections/dem/position", **asked).json()
    (values,) = (each["values"] for each in told["ranges"].values())
    assert values == [pytest.approx(900.50, abs=0.02)]
    asked = {"line": "LINESTRING(488600 3833100,488650 3833100)", "crs": GRID, "step_m": "10"}
    found = seen.get("/processes/elevation-profile/execution", **asked).json()
    heights = [each["ground_m"] for each in found["points"]]
    assert heights == pytest.approx([900.0, 900.1, 900.2, 900.3, 900.4, 900.5], abs=0.02)


@pytest.mark.parametrize("grid", ["WebMercatorQuad", "UTM39"])
def test_a_tile_at_the_plaza_shows_the_target(seen: Imagery, grid: str) -> None:
    """ECT-2: in both tile matrix sets; attribution and capture date are in the metadata."""
    listed = seen.get("/collections/orthophoto/tiles?f=json").json()["tilesets"]
    matrix = next(
        each for each in listed
        if each["crs"].endswith("32639" if grid == "UTM39" else "3857")
    )["tileMatrixSetURI"].rsplit("/", 1)[-1]  # fmt: skip
    levels = seen.get(f"/tileMatrixSets/{matrix}?f=json").json()["tileMatrices"]
    level = next(each for each in levels if each["id"] == "19")
    x, y = (TARGET[0] + TARGET[2]) / 2, (TARGET[1] + TARGET[3]) / 2
    if grid != "UTM39":
        x, y = Transformer.from_crs(32639, 3857, always_xy=True).transform(x, y)
    span = level["cellSize"] * level["tileWidth"]
    left, top = level["pointOfOrigin"]
    column, row = int((x - left) // span), int((top - y) // span)
    bands = picture(seen.get(f"/collections/orthophoto/tiles/{matrix}/19/{row}/{column}", f="png"))
    at = (int((top - y) % span / level["cellSize"]), int((x - left) % span / level["cellSize"]))
    assert red(bands)[at]
    for form in ("tilejson", "json"):
        for language, whose in (("fa", "قم"), ("en", "Qom")):
            about = seen.get(
                f"/collections/orthophoto/tiles/{matrix}", f=form, lang=language
            ).json()
            assert whose in about["attribution"]
            assert about["acquired"] == [FLOWN.isoformat()] * 2
    described = seen.get("/collections/orthophoto?f=json").json()
    assert FLOWN.isoformat() in str(described["extent"]["temporal"])


def test_pixels_of_the_photo_are_those_of_the_file(seen: Imagery) -> None:
    """SDB-2.6: what is kept is a COG with overviews in the city's CRS."""
    with rasterio.open(seen.file("orthophoto")) as dataset:
        assert dataset.crs.to_epsg() == 32639
        assert dataset.res == pytest.approx((PIXEL, PIXEL))
        assert dataset.overviews(1)
