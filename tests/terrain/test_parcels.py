"""Heights and slope of parcels, from a plane that is known everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

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
