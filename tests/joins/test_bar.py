"""Chamfers, setbacks and levels of parcels: the fixture's geometry, by loads, fresh and anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric import check as fabric
from pipeline.joins import derive as joins
from pipeline.joins.bevels import bevels
from pipeline.joins.cuts import ON_M, Lines, Takers
from pipeline.joins.edges import edges
from pipeline.joins.levels import Heights, between
from tests.joins.conftest import load
from tests.joins.test_edges import RULE, star
from tests.joins.test_facts import rows_of

EAST, NORTH = 488600.0, 3833100.0
BAR = (
    "SELECT area_after_widening_m2, area_chamfer_m2, area_after_chamfer_m2, setback_m, "
    "area_setback_m2, level_m, vertical_datum, level_between, level_distance_m "
    "FROM derived.parcel_bar WHERE parcel_code = '1-12-45-7-0-0-0'"
)


CUTS = (
    "SELECT edge_seq, next_edge_seq, length_grid_m, ST_AsText(geom, 3) FROM derived.chamfer_edge "
    "WHERE parcel_code = "
)
LENGTHS = (
    "SELECT length_map_m, length_after_widening_m, length_after_chamfer_m "
    "FROM derived.parcel_edge WHERE parcel_code = "
)


def write(path: Path, shapes: list[shapely.Geometry], **columns: Any) -> Path:
    """A GeoPackage of the planning office."""
    frame = pd.DataFrame({"KOD_TARH": "TT-1397", "SHENASE": [f"N-{n}" for n in range(len(shapes))]})
    frame = frame.assign(**columns)
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(shapes)), [frame[name].to_numpy() for name in frame],
        np.array(list(frame)), layer=path.stem, geometry_type=shapes[0].geom_type,
        crs="EPSG:32639",
    )  # fmt: skip
    return path


def test_chamfer_setback_and_level_of_the_fixture_parcel(
    city: Database, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    """A triangle of 4.50 m2 at the corner, of which 0.50 lie behind the new bar; a setback of 3 m
    behind the bar, 30.00 m2; levels at the ends of kuche-ye Yas."""
    ((street, axis),) = query(
        city,
        "SELECT s.street_id, ST_AsBinary(ST_LineMerge(s.geom)) FROM facts.parcel_edge e JOIN "
        "data.street s ON s.id = e.way_id JOIN data.parcel p ON p.id = e.subject_id "
        "WHERE p.parcel_code = '1-12-45-7-0-0-0'",
    )
    line = shapely.from_wkb(axis)
    corner = [(EAST, NORTH), (EAST, NORTH + 3), (EAST + 3, NORTH)]
    pakh = write(tmp_path / "pakh.gpkg", [shapely.Polygon(corner)], ANDAZE=[3.0])
    behind = shapely.LineString([(EAST + 20, NORTH + 5), (EAST - 10, NORTH + 5)])
    setback = write(tmp_path / "aghabneshini.gpkg", [behind], ANDAZE=[3.0], KOD_MABAR=[street])
    ends = [shapely.Point(line.coords[0]), shapely.Point(line.coords[-1])]
    kaf = write(tmp_path / "kaf.gpkg", ends, RAGHAM=[930.0, 932.0], KOD_MABAR=street,
                MABNA="irhs1998", KILOMETRAJ=0.0)  # fmt: skip
    for path, feed in ((pakh, "chamfers"), (setback, "setback_lines"), (kaf, "road_levels")):
        load(city, path, feed, schemas)
    derived = {one.fact: one.touched for one in joins.derive(city, schemas)}
    assert {"parcel_chamfer", "parcel_setback", "parcel_level", "parcel_remainder"} <= set(derived)
    far = line.project(shapely.Point(EAST + 5, NORTH))
    (found,) = query(city, BAR)
    assert found[:5] == (180.0, 0.5, 179.5, 3.0, 30.0)
    assert found[5] == pytest.approx(930.0 + 2.0 * far / line.length, abs=6e-4)
    assert found[6:8] == ("irhs1998", True)
    assert found[8] == pytest.approx(min(far, line.length - far), abs=6e-3)
    # Of the triangle the roads leave a cut of 1.41 m from (0, 3) to (1, 2): an edge between two.
    assert query(city, CUTS + "'1-12-45-7-0-0-0'") == [
        (3, 4, 1.41, "LINESTRING(488601 3833102,488600 3833103)")
    ]
    assert query(city, LENGTHS + "'1-12-45-7-0-0-0' ORDER BY edge_seq") == [
        (10.0, 10.0, 10.0), (20.0, 18.0, 18.0), (10.0, 10.0, 9.0), (20.0, 18.0, 17.0),
    ]  # fmt: skip
    # One level is taken away again: what is left counts, and everything is as if made anew.
    load(city, write(tmp_path / "kaf.gpkg", ends[:1], RAGHAM=[930.0], KOD_MABAR=street,
                     MABNA="irhs1998", KILOMETRAJ=0.0), "road_levels", schemas)  # fmt: skip
    joins.derive(city, schemas)
    (found,) = query(city, BAR)
    assert found[5:8] == (930.0, "irhs1998", False)
    kept = rows_of(city, schemas, query)
    joins.derive(city, schemas, anew=True)
    assert kept == rows_of(city, schemas, query)


def test_a_chamfer_is_an_edge_of_its_own(city: Database, query: Any) -> None:
    """P5: 10 m by 18 m are left by the roads, of which the plan cuts a corner with legs of 2 m."""
    assert query(city, CUTS + "'1-12-45-5-0-0-0'") == [
        (3, 4, 2.83, "LINESTRING(488582 3833102,488580 3833104)")
    ]
    assert query(city, LENGTHS + "'1-12-45-5-0-0-0' ORDER BY edge_seq") == [
        (10.0, 10.0, 10.0), (20.0, 18.0, 18.0), (10.0, 10.0, 8.0), (20.0, 18.0, 16.0),
    ]  # fmt: skip
    ((parcels, off, cuts, chamfers),) = query(
        city,
        "SELECT count(*), max(abs(b.m - ST_Perimeter(r.geom))), sum(b.cuts)::int, "
        "(SELECT count(*) FROM data.chamfer) FROM facts.parcel_remainder r JOIN (SELECT subject_id,"
        " in_group, sum(left_m) m, count(object_id) cuts FROM facts.parcel_edge_chamfer "
        "GROUP BY 1, 2) b USING (subject_id, in_group)",
    )
    assert parcels > 5
    assert off < 1e-6
    assert cuts == chamfers


def test_a_chamfer_away_from_its_corner_is_told(
    city: Database, schemas: Schemas, query: Any
) -> None:
    """In the middle of a plot, on the road, and half a metre off a corner, which it still cuts."""

    def told() -> list[tuple[Any, ...]]:
        fabric.check(city, schemas, ("chamfer",))
        return query(
            city, "SELECT key, detail::float FROM ops.finding WHERE code = 'fabric.no_cut'"
        )

    assert told() == []
    (own,) = query(
        city,
        "SELECT c.id, c.plan_id || ' ' || c.chamfer_id, ST_Area(c.geom) FROM "
        "data.chamfer c JOIN facts.parcel_edge_chamfer f ON f.object_id = c.id JOIN data.parcel p "
        "ON p.id = f.subject_id WHERE p.parcel_code = '1-12-45-5-0-0-0'",
    )
    number, key, area = own
    moves = {(4.0, 8.0): area, (-6.0, -8.0): 0.0, (-0.3, -0.3): None}
    for (east, north), covered in moves.items():
        move = "UPDATE data.chamfer SET geom = ST_Translate(geom, %s, %s) WHERE id = %s"
        query(city, move, east, north, number)
        joins.derive(city, schemas, anew=True)
        expected = [] if covered is None else [(key, pytest.approx(covered, abs=0.01))]
        assert told() == expected
        query(city, move, -east, -north, number)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(8.0, 30.0), min_size=3, max_size=9),
    st.floats(0.0, 6.3),
    st.lists(st.tuples(st.integers(0, 8), st.floats(1.0, 6.0)), max_size=3),
    st.floats(-40.0, 5.0),
)
def test_edges_and_chamfers_add_up_to_what_is_left(
    radii: list[float], turn: float, cuts: list[tuple[int, float]], road: float
) -> None:
    """Any polygon, a road along its south and triangles at its corners."""
    plot = np.array([star(radii, turn)], dtype=object)
    drawn = edges(plot, plot, np.zeros(1, dtype=np.int64), RULE)
    lines = Lines(drawn.area, drawn.seq, drawn.shape)
    areas = lines.areas(drawn.part, drawn.ring, 1)
    ring = shapely.get_coordinates(shapely.get_exterior_ring(plot[0]))[:-1]
    corners = []
    for at, leg in cuts:
        node, others = (
            ring[at % len(ring)],
            (ring[(at - 1) % len(ring)], ring[(at + 1) % len(ring)]),
        )
        ends = [node + (other - node) / np.hypot(*(other - node)) * leg for other in others]
        corners.append(shapely.convex_hull(shapely.multipoints([node, *ends])))
    strip = shapely.box(EAST - 99, NORTH - 99, EAST + 99, NORTH + road)
    shapes = np.array([strip, *(one for one in corners if one.area > 0.1)], dtype=object)
    none = np.zeros(len(shapes), dtype=np.int64)
    left, found = bevels(
        areas, lines, Takers(shapes, none, 1, none), np.arange(len(shapes)) > 0, 0.01, ON_M
    )
    if not len(left):
        return
    whole = shapely.length(shapely.boundary(left.shape[0]))
    assert found.length.sum() == pytest.approx(whole, abs=0.05)
    cut = found.corner >= 0
    assert shapely.length(found.shape[cut]) == pytest.approx(found.length[cut])
    outline = shapely.boundary(shapes[found.corner[cut]])
    assert (shapely.distance(shapely.line_interpolate_point(found.shape[cut], 0.5, normalized=True),
                             outline) < 1e-6).all()  # fmt: skip


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(900, 950)), min_size=1, max_size=6),
    st.floats(0, 100),
)
def test_levels_are_those_of_a_polyline(points: list[tuple[float, float]], at: float) -> None:
    """numpy's interpolation knows it too, and holds the last value beyond the ends."""
    points = sorted({round(place, 3): height for place, height in points}.items())
    along, height = (np.array(column) for column in zip(*points, strict=True))
    none = np.zeros(len(along), dtype=np.int64)
    found = between(
        Heights(none, np.arange(len(along)), none, np.full(len(along), at), along, height)
    )
    assert found.height[0] == pytest.approx(np.interp(at, along, height), abs=1e-9)
    assert found.far[0] == pytest.approx(np.abs(along - at).min())
