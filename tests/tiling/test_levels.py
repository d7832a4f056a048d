"""Layers from afar: areas without gaps, refreshes that find what loads have touched, undo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.stages import history
from pipeline.tiling import mosaic
from pipeline.tiling.lattice import CHUNK, Lattice
from pipeline.tiling.refresh import refresh, states


def _level(database: Database, layer: str, zoom: int) -> tuple[list[str | None], np.ndarray]:
    with database.connect("owner") as connection:
        rows = connection.execute(
            f"SELECT code, ST_AsBinary(geom) FROM generalised.{layer} WHERE zoom = %s".encode(),
            [zoom],
        ).fetchall()
    return [row[0] for row in rows], shapely.from_wkb([row[1] for row in rows])


def _everything(database: Database, layer: str) -> list[tuple[object, ...]]:
    with database.connect("owner") as connection:
        return connection.execute(
            f"SELECT zoom, across, down, code, geom FROM generalised.{layer} "
            "ORDER BY 1, 2, 3, 4, 5".encode()
        ).fetchall()


def _area(database: Database, layer: str) -> float:
    with database.connect("owner") as connection:
        row = connection.execute(f"SELECT sum(ST_Area(geom)) FROM data.{layer}".encode()).fetchone()
    assert row
    return float(row[0])


@pytest.mark.parametrize("zoom", range(8, 14))
def test_areas_share_their_borders(far: Database, schemas: Schemas, zoom: int) -> None:
    codes, shapes = _level(far, "parcel", zoom)
    assert len(shapes)
    assert shapely.is_valid(shapes).all()
    # Nothing overlaps: all areas together are as large as their union.
    assert shapely.area(shapes).sum() == pytest.approx(shapely.union_all(shapes).area, rel=1e-9)
    # Streets close: what is shown is a little more than the parcels.
    shown = shapely.area(shapes).sum() / _area(far, "parcel")
    assert 0.8 < shown < 1.6
    known = {one.code for one in schemas.layers["parcel"].style.classes}
    assert set(codes) <= known


def test_fewer_shapes_the_farther_away(far: Database) -> None:
    numbers = [len(_level(far, "parcel", zoom)[1]) for zoom in range(8, 14)]
    assert numbers == sorted(numbers)
    points = [len(_level(far, "poi", zoom)[1]) for zoom in range(10, 14)]
    assert points == sorted(points)
    assert points[0] < points[-1]


def test_small_streets_come_in_further_on(far: Database, schemas: Schemas) -> None:
    first = {one.code: one.min_zoom for one in schemas.layers["street"].style.classes}
    for zoom in schemas.layers["street"].publish.levels:
        for code in _level(far, "street", zoom)[0]:
            assert first[code] <= zoom


def test_a_cell_is_a_pixel_of_its_zoom() -> None:
    lattice = Lattice.of(registry.load("qom").city)
    # 40,075,017 m round the equator, 34.63 degrees north, 512 pixels a tile.
    expected = 40_075_016.69 / 512 / 2**13 * np.cos(np.radians(34.63))
    assert lattice.cell(13) == pytest.approx(expected, rel=0.002)
    feet = Lattice.of(registry.load("cambridge").city)
    expected = 40_075_016.69 / 512 / 2**13 * np.cos(np.radians(42.37)) / (1200 / 3937)
    assert feet.cell(13) == pytest.approx(expected, rel=0.002)


def test_cells_show_what_holds_most_of_them() -> None:
    # Two areas over a chunk of cells of 10 m: the left one ends in the middle of column 100.
    shapes = np.array([shapely.box(0, -2560, 1007, 0), shapely.box(1007, -2560, 2560, 0)])
    cells = mosaic.finest(shapes, np.array([1, 2], np.uint8), (0.0, 0.0), 10.0)
    assert cells.shape == (CHUNK, CHUNK)
    assert (cells[:, :101] == 1).all()
    assert (cells[:, 101:] == 2).all()


def test_doubled_areas_do_not_vanish() -> None:
    shape = shapely.box(100, -200, 200, -100)
    cells = mosaic.finest(np.array([shape, shape]), np.array([1, 1], np.uint8), (0.0, 0.0), 10.0)
    assert cells.sum() == 100


def test_holes_stay_open() -> None:
    ring = shapely.box(0, -1000, 1000, 0).difference(shapely.box(300, -700, 700, -300))
    cells = mosaic.finest(np.array([ring]), np.array([1], np.uint8), (0.0, 0.0), 10.0)
    assert cells[50, 50] == 0
    assert cells.sum() == pytest.approx(100 * 100 - 40 * 40, rel=0.03)


def test_a_refresh_makes_what_loads_touched_as_if_all_were_new(
    far: Database, schemas: Schemas, second: Path, deliver: Callable[[Database, Path, str], None]
) -> None:
    before = _everything(far, "parcel")
    assert not refresh(far, schemas)
    deliver(far, second, "parcels")
    assert [one.layer for one in states(far) if one.state == "stale"] == ["parcel"]
    (done,) = refresh(far, schemas)
    assert done.layer == "parcel"
    assert done.chunks is not None
    partly = _everything(far, "parcel")
    assert partly != before
    refresh(far, schemas, anew=True)
    assert _everything(far, "parcel") == partly
    run = max(one.run for one in states(far))
    history.undo(far, schemas, run)
    refresh(far, schemas)
    assert _everything(far, "parcel") == before
    assert all(one.state == "fresh" for one in states(far))


def test_readers_keep_what_they_see_while_all_is_made_again(
    far: Database, schemas: Schemas
) -> None:
    """A tile of small scale waits for no refresh: it would be answered 503 after some seconds."""
    with far.connect("loader") as reader:
        shown = b"SELECT count(*) FROM generalised.parcel"
        before = reader.execute(shown).fetchone()
        refresh(far, schemas, layers={"parcel"}, anew=True)
        assert reader.execute(shown).fetchone() == before
