"""Geometry: against values known from elsewhere, and properties that hold for any geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod

from pipeline import geo

WGS84, UTM39, FEET = (CRS.from_epsg(code) for code in (4326, 32639, 2249))
FOOT = 1200 / 3937
coordinate = st.floats(-1000, 1000, allow_nan=False).map(lambda value: round(value, 3))
ring = st.lists(st.tuples(coordinate, coordinate), min_size=4, max_size=9)


def array(*geometries: shapely.Geometry | None) -> geo.Geometries:
    """An array of geometries, as the stages have them."""
    made = np.empty(len(geometries), dtype=object)
    made[:] = geometries
    return made


def test_a_place_of_qom_has_its_known_coordinates() -> None:
    (moved,) = geo.reproject(array(shapely.Point(50.8764, 34.6401)), WGS84, UTM39)
    assert moved.x == pytest.approx(488672.13, abs=0.005)
    assert moved.y == pytest.approx(3833139.65, abs=0.005)
    (back,) = geo.reproject(array(moved), UTM39, WGS84)
    assert (back.x, back.y) == pytest.approx((50.8764, 34.6401), abs=1e-9)


def test_a_survey_foot_is_1200_over_3937_metres() -> None:
    assert FEET.axis_info[0].unit_conversion_factor == pytest.approx(FOOT, rel=1e-12)
    metres = CRS.from_epsg(26986)  # the same projection in metres
    (moved,) = geo.reproject(array(shapely.Point(760000.0, 2960000.0)), FEET, metres)
    assert (moved.x, moved.y) == pytest.approx((760000 * FOOT, 2960000 * FOOT), abs=2e-4)


def test_a_distance_on_the_grid_is_that_on_the_ellipsoid_times_the_scale() -> None:
    west, east = shapely.Point(50.87, 34.64), shapely.Point(50.88, 34.64)
    one, other = geo.reproject(array(west, east), WGS84, UTM39)
    _, _, ground = Geod(ellps="WGS84").inv(west.x, west.y, east.x, east.y)
    assert one.distance(other) / ground == pytest.approx(0.99960, abs=5e-6)


def test_nothing_moves_between_equal_crs_and_empty_slots_stay_empty() -> None:
    shapes = array(None, shapely.Point(1, 2), shapely.Polygon())
    assert geo.reproject(shapes, UTM39, UTM39) is shapes
    assert geo.reproject(shapes, WGS84, UTM39)[0] is None
    assert geo.same_crs(CRS.from_user_input("OGC:CRS84"), WGS84)
    assert not geo.same_crs(CRS.from_epsg(2249), CRS.from_epsg(26986))
    assert geo.parse_crs("no such thing") is None


@given(st.floats(-180, 180), st.floats(-89, 89))
def test_swapping_twice_changes_nothing(x: float, y: float) -> None:
    shapes = array(shapely.Point(x, y), shapely.LineString([(x, y), (y, x)]))
    assert geo.swapped(geo.swapped(shapes)).tolist() == shapes.tolist()


def test_finite_looks_at_every_coordinate() -> None:
    line = shapely.LineString([(0, 0), (1, math.inf)])
    assert geo.finite(array(shapely.Point(0, 0), line, None)).tolist() == [True, False, True]


def test_within_knows_box_points_and_empty_slots() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    shapes = array(
        shapely.Point(10, 10), shapely.Point(10.01, 5), shapely.box(-1, 1, 2, 2), None,
        shapely.Polygon(),
    )  # fmt: skip
    assert geo.within(shapes, box).tolist() == [True, False, False, False, False]
    # In single precision a hair beyond a round number lies outside, as it does for PostGIS.
    hair = array(shapely.Point(470000.0 - 1e-9, 3815000), shapely.Point(470000.0, 3815000))
    assert geo.within(hair, (470000.0, 3815000.0, 510000.0, 3850000.0)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("single", "wanted"),
    [
        (shapely.Point(1, 2), "MultiPoint"),
        (shapely.LineString([(0, 0), (1, 1)]), "MultiLineString"),
        (shapely.box(0, 0, 1, 1), "MultiPolygon"),
    ],
)
def test_single_parts_are_promoted_and_come_back(single: shapely.Geometry, wanted: str) -> None:
    other = (
        shapely.MultiPoint([(0, 0), (1, 1)]) if wanted != "MultiPoint" else shapely.box(0, 0, 1, 1)
    )
    made = geo.promote(array(single, None, other, single), wanted)
    assert [None if g is None else g.geom_type for g in made] == [
        wanted, None, other.geom_type, wanted,
    ]  # fmt: skip
    back = geo.promote(made, single.geom_type)
    assert back[0] == single
    assert back[2] == other


def test_repair_tells_how_much_it_changed() -> None:
    bowtie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    spike = shapely.Polygon([(0, 0), (10, 0), (10, 10), (10, 15), (10, 10), (0, 10)])
    flat = shapely.Polygon([(0, 0), (10, 0), (5, 0)])
    made, share = geo.repair(array(bowtie, spike, flat), "MultiPolygon")
    assert shapely.is_valid(made).all()
    assert made[0].area == pytest.approx(50)
    assert share[0] == 1.0  # its area cancelled itself out before
    assert made[1].area == pytest.approx(100)
    assert share[1] == pytest.approx(0)
    assert share[2] == 1.0


@given(ring)
def test_repair_gives_valid_areas_no_larger_than_the_hull(
    points: list[tuple[float, float]],
) -> None:
    polygon = shapely.Polygon(points)
    made, share = geo.repair(array(polygon), "MultiPolygon")
    assert shapely.is_valid(made[0])
    assert shapely.is_empty(made[0]) or made[0].geom_type in ("Polygon", "MultiPolygon")
    assert made[0].area <= polygon.convex_hull.area * (1 + 1e-9) + 1e-9
    assert 0 <= share[0] <= 1
    if polygon.is_valid and polygon.area > 0:
        assert share[0] == pytest.approx(0, abs=1e-9)


@given(st.tuples(st.floats(50.7, 51.1), st.floats(34.5, 34.8)))
def test_reprojecting_there_and_back_loses_nothing(place: tuple[float, float]) -> None:
    shapes = array(shapely.Point(place), shapely.Point(place).buffer(0.001))
    there = geo.reproject(shapes, WGS84, UTM39)
    back = geo.reproject(there, UTM39, WGS84)
    assert shapely.equals_exact(shapes, back, tolerance=1e-9).all()
