"""Shapes in a tile are where PROJ says, whichever way they were drawn: straight, by PROJ, cut."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from pyproj import Transformer

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive import grids
from pipeline.derive.grids import Grid, Tile
from pipeline.serve import mvt, reach, served
from pipeline.serve.mvt import EXTENT, Way
from pipeline.serve.served import Served

UTM = "UTM39WGS84Quad"


@pytest.fixture(scope="module")
def parcels(schemas: Schemas) -> Served:
    return served.catalog(schemas, schemas.audience("public"))["parcels"]


@pytest.fixture(scope="module")
def stored(far: Database) -> dict[int, shapely.Geometry]:
    """The parcels as they are stored."""
    with far.connect("owner") as connection:
        rows = connection.execute(b"SELECT id, ST_AsBinary(geom) FROM api.parcel").fetchall()
    return {int(str(number)): shapely.from_wkb(shape) for number, shape in rows}


def _drawn(far: Database, one: Served, grid: Grid, tile: Tile) -> dict[int, shapely.Geometry]:
    """What the tile shows, by id; y down, as it is in the tile."""
    asked = mvt.statement(one, grid, tile, Way(), max_rows=60_000)
    assert asked
    with far.connect("owner") as connection:
        row = connection.cursor(binary=True).execute(asked.sql, asked.values).fetchone()
    assert row
    decoded = mapbox_vector_tile.decode(bytes(row[0]), default_options={"y_coord_down": True})
    features = decoded[one.id]["features"] if decoded else []
    return {int(f["id"]): shapely.geometry.shape(f["geometry"]) for f in features}


def _inside(tile: Tile, grid: Grid, shapes: dict[int, shapely.Geometry]) -> Iterator[int]:
    for number, shape in shapes.items():
        west, south, east, north = shape.bounds
        if min(west, south) >= -64 and max(east, north) <= EXTENT + 64:
            yield number


@cache
def _across(srid: int) -> Transformer:
    return Transformer.from_crs(32639, srid, always_xy=True)


def _in_tile(grid: Grid, tile: Tile, shape: shapely.Geometry) -> shapely.Geometry:
    """A stored shape in the tile's units by PROJ."""
    left, _, _, top = grid.bounds(tile)
    unit = grid.size(tile.zoom) / EXTENT
    across = _across(grid.srid)

    def move(points: np.ndarray) -> np.ndarray:
        x, y = across.transform(points[:, 0], points[:, 1])
        return np.column_stack([(x - left) / unit, (top - y) / unit])

    return shapely.transform(shape, move)


def _tiles(grid: Grid, stored: dict[int, shapely.Geometry], zoom: int) -> list[Tile]:
    """Three tiles with parcels in them."""
    found = []
    for shape in list(stored.values())[:: len(stored) // 3][:3]:
        middle = _in_tile(grid, Tile(zoom, 0, 0), shape.centroid)
        found.append(Tile(zoom, int(middle.y // EXTENT), int(middle.x // EXTENT)))
    return found


@pytest.mark.parametrize("zoom", [14, 15, 16, 17, 19])
@pytest.mark.parametrize("name", [grids.WEB, UTM])
def test_shapes_are_where_they_are(
    far: Database, schemas: Schemas, parcels: Served, stored: dict[int, shapely.Geometry],
    name: str, zoom: int,
) -> None:  # fmt: skip
    grid = grids.of(schemas.city)[name]
    compared = 0
    for tile in _tiles(grid, stored, zoom):
        assert reach.straight(grid, tile, schemas.city, mvt.BUFFER)
        shapes = _drawn(far, parcels, grid, tile)
        for number in _inside(tile, grid, shapes):
            true = _in_tile(grid, tile, stored[number])
            clip = shapely.box(-64, -64, EXTENT + 64, EXTENT + 64)
            if not clip.contains(true):
                continue
            drawn = shapes[number]
            assert drawn.is_valid
            # Rounded to whole numbers, a quarter for the straight way, what is left out on the way.
            assert drawn.hausdorff_distance(true) < 2.0, (tile, number)
            compared += 1
    assert compared > 3 if zoom < 19 else True


@pytest.mark.parametrize("zoom", [14, 16])
def test_all_ways_show_the_same(
    far: Database, schemas: Schemas, parcels: Served, stored: dict[int, shapely.Geometry],
    monkeypatch: pytest.MonkeyPatch, zoom: int,
) -> None:  # fmt: skip
    grid = grids.WEB_MERCATOR
    tile = _tiles(grid, stored, zoom)[1]
    straight = _drawn(far, parcels, grid, tile)
    monkeypatch.setattr(reach, "straight", lambda *_: None)
    bent = _drawn(far, parcels, grid, tile)
    assert straight.keys() == bent.keys()
    assert len(straight) > 20
    away = [straight[one].hausdorff_distance(bent[one]) for one in straight]
    assert np.quantile(away, 0.99) <= 2.0
    areas = [[shape.area for shape in found.values()] for found in (straight, bent)]
    assert sum(areas[0]) == pytest.approx(sum(areas[1]), rel=2e-3)


def test_far_out_the_way_is_bent(schemas: Schemas) -> None:
    grid, city = grids.WEB_MERCATOR, schemas.city
    assert reach.straight(grid, Tile(10, 406, 656), city, mvt.BUFFER) is None
    assert reach.straight(grid, Tile(0, 0, 0), city, mvt.BUFFER) is None


@pytest.mark.defect("T1")
def test_the_straight_way_is_right_to_a_quarter_of_a_unit(schemas: Schemas) -> None:
    grid, city = grids.WEB_MERCATOR, schemas.city
    tile = Tile(14, 6507, 10505)
    way = reach.straight(grid, tile, city, mvt.BUFFER)
    assert way
    assert way.inside
    across = Transformer.from_crs(city.srid, grid.srid, always_xy=True)
    west, south, east, north = way.inside
    chance = np.random.default_rng(5)
    x, y = chance.uniform(west, east, 500), chance.uniform(south, north, 500)
    a, b, d, e, dx, dy = way.pixels(grid, tile, EXTENT)
    left, _, _, top = grid.bounds(tile)
    unit = grid.size(14) / EXTENT
    true_x, true_y = across.transform(x, y)
    pixel_x, pixel_y = a * x + b * y + dx, d * x + e * y + dy
    assert np.abs(pixel_x - (true_x - left) / unit).max() <= 0.26
    assert np.abs(pixel_y - (top - true_y) / unit).max() <= 0.26
    assert min(pixel_x.min(), pixel_y.min()) > -65
    assert max(pixel_x.max(), pixel_y.max()) < EXTENT + 65
