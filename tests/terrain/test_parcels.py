"""Heights and slope of parcels, from a plane that is known everywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.terrain import parcels

EAST, NORTH = 488_600.0, 3_833_300.0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """900 + 0.1 (E - 488600) in cells of 2 m."""
    z = np.broadcast_to(900 + 0.1 * (np.arange(200) * 2 + 1.0), (150, 200)).astype(np.float32)
    path = tmp_path / "dem.tif"
    place = {"crs": "EPSG:32639", "transform": rasterio.Affine(2, 0, EAST, 0, -2, NORTH)}
    profile = {"driver": "GTiff", "count": 1, "height": 150, "width": 200, "dtype": "float32"}
    with rasterio.open(path, "w", **profile, **place) as written:
        written.write(z, 1)
    return path


def test_a_parcel_a_small_one_and_one_outside(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "_SIDE", 15)  # the parcel lies on several tiles
    large = shapely.box(EAST + 20, NORTH - 60, EAST + 60, NORTH - 20)
    small = shapely.box(EAST + 100.2, NORTH - 30.8, EAST + 100.8, NORTH - 30.2)
    outside = shapely.box(EAST - 50, NORTH - 30, EAST - 20, NORTH - 10)
    found = parcels.measured(["a", "b", "c"], np.array([large, small, outside]), model)
    steep = round(float(np.degrees(np.arctan(0.1))), 2)
    one, other = found
    assert (one.parcel_code, one.cell_count) == ("a", 400)
    assert (one.height_min_m, one.height_mean_m, one.height_max_m) == (902.1, 904.0, 905.9)
    assert one.slope_mean_deg == one.slope_max_deg == steep
    assert (other.parcel_code, other.cell_count, other.slope_mean_deg) == ("b", 0, None)
    assert other.height_mean_m == pytest.approx(910.1)


def test_the_table_follows_the_parcels(database: Database, schemas: Schemas, model: Path) -> None:
    assert parcels.refresh(database, schemas, model) == 0
    with database.connect("loader") as connection:
        assert connection.execute("SELECT count(*) FROM ops.run").fetchone() == (0,)


def _parcel(database: Database, code: str, east: float, run: int) -> None:
    shape = shapely.box(east, NORTH - 60, east + 20, NORTH - 20)
    with database.connect("loader") as connection:
        connection.execute(
            "INSERT INTO data.parcel (parcel_code, block_code, area_grid_m2, geom, run_id, "
            "source_line) VALUES (%s, '1-1-1', 800, ST_SetSRID(ST_Multi(ST_GeomFromWKB(%s)), "
            "32639), %s, 1) ON CONFLICT (parcel_code) DO UPDATE "
            "SET geom = excluded.geom, run_id = excluded.run_id",
            [code, shapely.to_wkb(shape), run],
        )


def test_terrain_follows_loads_of_parcels(
    database: Database, schemas: Schemas, model: Path, tmp_path: Path
) -> None:
    first, second, third = (f"1-1-1-{n}-0-0-0" for n in (1, 2, 3))
    content = model.read_bytes()
    served = ServedRaster(
        layer="dem", path=model.name, version=hashlib.sha256(content).hexdigest(), made_of="",
        run=1, sheets=1, srid=32639, width=200, height=150, bounds=(0, 0, 1, 1),
        lonlat=(0, 0, 1, 1), updated="",
    )  # fmt: skip

    def heights() -> dict[str, float]:
        with database.connect("reader") as connection:
            rows = connection.execute(
                "SELECT nosazi, height_mean_m::float8 FROM api.parcel_terrain"
            ).fetchall()
        return {str(code): float(str(height)) for code, height in rows}

    def follow() -> int | None:
        return parcels.follow(database, schemas, tmp_path, served)

    assert parcels.concerns(schemas, {"parcel"})
    assert not parcels.concerns(schemas, {"street"})
    _parcel(database, first, EAST + 20, 0)
    _parcel(database, second, EAST + 60, 0)
    # What was never worked out waits.
    assert follow() is None
    assert parcels.refresh(database, schemas, model) == 2
    assert heights() == {first: 903.0, second: 907.0}
    assert follow() == 0
    _parcel(database, second, EAST + 100, 100)
    _parcel(database, third, EAST + 140, 100)
    with database.connect("loader") as connection:
        connection.execute("DELETE FROM data.parcel WHERE parcel_code = %s", [first])
    assert follow() == 2
    assert heights() == {second: 911.0, third: 915.0}
    with database.connect("loader") as connection:
        account = connection.execute(
            "SELECT arrived, inserted, updated, removed FROM ops.run ORDER BY id DESC LIMIT 1"
        ).fetchone()
    assert account == (2, 1, 1, 1)
    # Another model: all of it.
    served = served.model_copy(update={"version": "other"})
    assert follow() == 2
