"""Parcel edges: the fixture's numbers, random polygons, the sample city, real parcels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric import check as fabric
from pipeline.joins import derive as joins
from pipeline.joins.edges import Drawing, Edges, edges
from pipeline.settings import Settings
from tests.joins.conftest import load
from tests.joins.test_facts import rows_of

RULE = Drawing(straight=0.05, reach=0.1, least=0.05, metres=1.0)


def alone(*areas: shapely.Geometry) -> Edges:
    """The edges of areas that are all there is."""
    made = np.array(areas, dtype=object)
    return edges(made, made, np.arange(len(made)), RULE)


def told(found: Edges) -> list[tuple[Any, ...]]:
    """Area, number, side, neighbour and length of each edge."""
    return [
        (int(a), int(n), s, int(b), round(float(m), 3))
        for a, n, s, b, m in zip(
            found.area, found.seq, found.side, found.neighbour, found.length, strict=True
        )
    ]


def test_an_edge_ends_where_the_boundary_turns_or_the_neighbour_changes() -> None:
    """Two plots below a wide one, whose corner they share lies in its straight edge."""
    found = alone(shapely.box(0, 0, 10, 20), shapely.box(10, 0, 20, 20), shapely.box(0, 20, 20, 30))
    assert told(found) == [
        (0, 1, "N", 2, 10.0), (0, 2, "E", 1, 20.0), (0, 3, "S", -1, 10.0), (0, 4, "W", -1, 20.0),
        (1, 1, "N", 2, 10.0), (1, 2, "E", -1, 20.0), (1, 3, "S", -1, 10.0), (1, 4, "W", 0, 20.0),
        (2, 1, "N", -1, 20.0), (2, 2, "E", -1, 10.0), (2, 3, "S", 1, 10.0), (2, 4, "S", 0, 10.0),
        (2, 5, "W", -1, 10.0),
    ]  # fmt: skip
    assert found.corner.tolist()[8:] == [True, True, True, False, True]


def test_nodes_on_a_straight_run_and_small_drawing_faults_make_no_edges() -> None:
    """Nodes in the run, 3 cm beside it, and a neighbour 4 cm away."""
    plot = shapely.Polygon([(0, 0), (0, 10), (3, 10.03), (6, 10), (10, 10), (10, 5), (10, 0)])
    beside = shapely.box(10.04, -5, 20, 12)
    found = alone(plot, beside)
    own = [row for row in told(found) if row[0] == 0]
    assert [row[2] for row in own] == ["N", "E", "S", "W"]
    assert [row[3] for row in own] == [-1, 1, -1, -1]
    assert sum(row[4] for row in own) == pytest.approx(plot.length, abs=0.002)
    theirs = [(row[2], row[3], row[4]) for row in told(found) if row[0] == 1]
    assert theirs[-3:] == [("W", -1, 5.0), ("W", 0, 10.0), ("W", -1, 2.0)]


def test_holes_and_parts_are_edges_too() -> None:
    """The north-western part comes first, with its hole; what lies in the hole is beside it."""
    yard = shapely.box(2, 2, 4, 5)
    west = shapely.box(0, 0, 10, 10).difference(yard)
    east = shapely.box(20, 0, 24, 4)
    plot = shapely.MultiPolygon([east, west])
    found = alone(plot, yard)
    own = found.area == 0
    assert found.part[own].tolist() == [2] * 8 + [1] * 4
    assert found.ring[own].tolist() == [0] * 4 + [1] * 4 + [0] * 4
    assert found.seq[own].tolist() == list(range(1, 13))
    assert [row[2:4] for row in told(found)[4:8]] == [("E", 1), ("N", 1), ("W", 1), ("S", 1)]
    assert found.length[own].sum() == pytest.approx(plot.length, abs=1e-9)


def star(radii: list[float], turn: float) -> shapely.Polygon:
    """A polygon without self-intersections, whatever the radii."""
    angle = turn + 2 * np.pi * np.arange(len(radii)) / len(radii)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) * np.array(radii)[:, None]
    return shapely.Polygon(ring + np.array([488600.0, 3833100.0]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(3.0, 60.0), min_size=3, max_size=14), st.floats(0.0, 6.3))
def test_edges_of_any_polygon(radii: list[float], turn: float) -> None:
    """They add up to the perimeter, close, run clockwise and begin in the north-west."""
    plot = star(radii, turn)
    found = alone(plot)
    assert found.length.sum() == pytest.approx(plot.length, abs=1e-6)
    ends = [(line.coords[0], line.coords[-1]) for line in found.shape]
    assert [last for _, last in ends] == [first for first, _ in ends[1:] + ends[:1]]
    ring = shapely.LinearRing(shapely.get_coordinates(found.shape))
    assert not ring.is_ccw
    first = np.array(ends[0][0])
    corner = np.array([first for first, _ in ends])
    assert first[1] - first[0] >= (corner[:, 1] - corner[:, 0]).max() - 0.05
    assert found.corner.all()
    # No two edges could be one, and none hides a corner.
    assert len(found.shape) >= 3
    chords = shapely.linestrings([[a, b] for a, b in ends])
    assert shapely.hausdorff_distance(found.shape, chords).max() <= 0.05 + 1e-9


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), min_size=1, max_size=4, unique=True),
    st.floats(0.0, 3.1),
    st.randoms(use_true_random=False),
)
def test_neighbours_agree(cuts: list[float], turn: float, chance: Any) -> None:
    """Cut by lines, every inner edge stands twice, from both sides and about equally long: at an
    acute corner two neighbours are near."""
    whole = star([40.0] * 12, 0.0)
    middle = whole.centroid
    pieces: list[shapely.Geometry] = [whole]
    for cut in cuts:
        angle = turn + np.pi * cut
        way = np.array([np.cos(angle), np.sin(angle)]) * 200
        knife = shapely.LineString([(middle.x - way[0], middle.y - way[1] + chance.uniform(-9, 9)),
                                    (middle.x + way[0], middle.y + way[1])])  # fmt: skip
        pieces = [
            part
            for piece in pieces
            for part in shapely.get_parts(shapely.polygonize([piece.boundary.union(knife)]))
            if piece.buffer(1e-6).covers(part)
        ]
    pieces = [part for part in pieces if part.area > 25.0]
    found = alone(*pieces)
    total = np.zeros((len(pieces), len(pieces)))
    inner = found.neighbour >= 0
    np.add.at(total, (found.area[inner], found.neighbour[inner]), found.length[inner])
    assert np.abs(total - total.T).max() < 0.5
    perimeter = np.bincount(found.area, weights=found.length)
    assert perimeter == pytest.approx(shapely.length(np.array(pieces)), abs=1e-6)


@pytest.fixture(scope="module")
def loaded(city_template: Settings) -> Iterator[Database]:
    """The sample city, for tests that only look."""
    with testing.clone(city_template) as cloned:
        yield cloned


EDGES = (
    "SELECT edge_seq, edge_side, borders, neighbour_code, street_name_fa, length_map_m "
    "FROM derived.parcel_edge WHERE parcel_code = '1-12-45-7-0-0-0' ORDER BY edge_seq"
)


def test_the_fixture_parcel_has_its_four_sides(loaded: Database, query: Any) -> None:
    """AML-8: north is P3, east P8, south kuche-ye Yas, west P6."""
    assert query(loaded, EDGES) == [
        (1, "N", "parcel", "1-12-45-3-0-0-0", None, 10.00),
        (2, "E", "parcel", "1-12-45-8-0-0-0", None, 20.00),
        (3, "S", "street", None, "کوچه یاس", 10.00),
        (4, "W", "parcel", "1-12-45-6-0-0-0", None, 20.00),
    ]


P7 = "(SELECT id FROM data.parcel WHERE parcel_code = '1-12-45-7-0-0-0')"


def test_the_four_lengths_of_the_fixture_parcel(loaded: Database, query: Any) -> None:
    """AML-8: by deed, existing and after widening S 10.00/10.00/10.00 and E 20.00/20.00/18.00."""
    found = query(
        loaded,
        "SELECT edge_side, length_map_m, length_deed_m, length_measured_m, length_after_widening_m,"
        " widening_depth_m, plan_id FROM derived.parcel_edge "
        "WHERE parcel_code = '1-12-45-7-0-0-0' ORDER BY edge_seq",
    )
    assert found == [
        ("N", 10.0, 10.0, 10.0, 10.0, 0.0, "TT-1397"),
        ("E", 20.0, 20.0, 20.0, 18.0, 0.0, "TT-1397"),
        ("S", 10.0, 10.0, 10.0, 10.0, 2.0, "TT-1397"),
        ("W", 20.0, 20.0, 20.0, 18.0, 0.0, "TT-1397"),
    ]
    given = (
        "SELECT count(*), count(length_deed_m), count(length_measured_m) FROM derived.parcel_edge"
    )
    (rest,) = query(loaded, f"{given} WHERE parcel_code NOT LIKE '1-12-45-%'")
    assert rest[0] > 1000
    assert rest[1:] == (0, 0)


def test_a_length_of_a_side_is_no_length_of_one_of_its_edges(city: Database, query: Any) -> None:
    """Where a side has two edges, what the deed says of it goes to neither; a number names one."""
    ((code, side, first),) = query(
        city,
        "SELECT parcel_code, edge_side, min(edge_seq) FROM derived.parcel_edge "
        "GROUP BY 1, 2 HAVING count(*) = 2 ORDER BY 1 LIMIT 1",
    )
    query(
        city,
        "INSERT INTO data.edge_dimension (parcel_code, edge_ref, length_deed_m, run_id, "
        "source_line) VALUES (%s, %s, 10.02, 1, 1), (%s, %s, 4.98, 1, 2)",
        code, side, code, str(first),
    )  # fmt: skip
    found = query(
        city,
        "SELECT edge_seq = %s, length_deed_m, side_length_deed_m FROM derived.parcel_edge "
        "WHERE parcel_code = %s AND edge_side = %s ORDER BY edge_seq",
        first, code, side,
    )  # fmt: skip
    assert found == [(True, 4.98, 10.02), (False, None, 10.02)]


def standing(database: Database, schemas: Schemas, layer: str) -> list[tuple[str, str]]:
    """Rule and code of what stands after a check of the fabric."""
    (made,) = [one for one in fabric.check(database, schemas, (layer,)) if one.layer == layer]
    return [(one.rule, one.code) for one in made.stands]


def test_edges_that_do_not_close_are_found(city: Database, schemas: Schemas, query: Any) -> None:
    """T19, to 0.02 m; and lengths of edges that no parcel has."""
    assert ("edges_close", "fabric.edges_open") not in standing(city, schemas, "parcel")
    assert standing(city, schemas, "edge_dimension") == []
    more = "UPDATE facts.parcel_edge SET length_m = length_m + %s WHERE seq = 1 AND subject_id = "
    query(city, more + P7, 0.019)
    assert ("edges_close", "fabric.edges_open") not in standing(city, schemas, "parcel")
    query(city, more + P7, 0.002)
    assert ("edges_close", "fabric.edges_open") in standing(city, schemas, "parcel")
    (found,) = query(
        city, "SELECT key, value, detail FROM ops.finding WHERE code = 'fabric.edges_open'"
    )
    assert found == ("1-12-45-7-0-0-0", "60.021", "60.000")
    query(
        city,
        "INSERT INTO data.edge_dimension (parcel_code, edge_ref, length_deed_m, run_id, "
        "source_line) VALUES ('1-12-45-7-0-0-0', 'NE', 3, 1, 1), ('1-12-45-7-0-0-0', '5', 3, 1, 2),"
        " ('9-99-99-9-0-0-0', 'N', 3, 1, 3)",
    )
    standing(city, schemas, "edge_dimension")
    assert query(
        city, "SELECT key FROM ops.finding WHERE code = 'fabric.no_such_edge' ORDER BY 1"
    ) == [("1-12-45-7-0-0-0 5",), ("1-12-45-7-0-0-0 NE",), ("9-99-99-9-0-0-0 N",)]


def test_what_the_widening_does_to_the_fixture_parcel(loaded: Database, query: Any) -> None:
    """The bar moves 2.00 m into the plot: the front stays 10.00, the sides are 18.00."""
    found = query(
        loaded,
        "SELECT seq, in_group, round(left_m::numeric, 2)::float, round(depth_m::numeric, 2)::float "
        f"FROM facts.parcel_edge_widening WHERE subject_id = {P7} ORDER BY seq",
    )
    assert found == [
        (1, "TT-1397", 10.0, 0.0), (2, "TT-1397", 18.0, 0.0),
        (3, "TT-1397", 10.0, 2.0), (4, "TT-1397", 18.0, 0.0),
    ]  # fmt: skip
    (left,) = query(
        loaded,
        "SELECT round(taken_m2::numeric, 2)::float, round(left_m2::numeric, 2)::float, "
        f"ST_AsText(ST_Envelope(geom)) FROM facts.parcel_remainder WHERE subject_id = {P7}",
    )
    assert left[:2] == (20.0, 180.0)
    assert left[2].startswith("POLYGON((488600 3833102,488600 3833120,488610 3833120,")


def test_edges_after_widening_are_the_boundary_of_the_remainder(
    loaded: Database, query: Any
) -> None:
    """For every parcel that the plan's roads touch and no chamfer; chamfers leave less."""
    found = query(
        loaded,
        "SELECT count(*), max(abs(m - ST_Perimeter(r.geom))), max(abs(r.taken_m2 - a)) "
        "FROM facts.parcel_remainder r LEFT JOIN (SELECT subject_id, sum(left_m) m "
        "FROM facts.parcel_edge_widening GROUP BY 1) w USING (subject_id) LEFT JOIN (SELECT "
        "subject_id, sum(area_m2) a FROM facts.parcel_widening WHERE part <> 'rest' GROUP BY 1) o "
        "USING (subject_id) WHERE subject_id NOT IN (SELECT subject_id FROM facts.parcel_chamfer)",
    )
    assert found[0][0] > 30
    assert found[0][1] < 1e-5
    assert found[0][2] < 1e-3
    cut = query(
        loaded,
        "SELECT count(*), max(abs(r.taken_m2 - ST_Area(p.geom) + ST_Area(r.geom))), "
        "min(r.taken_m2 - w.a), max(r.taken_m2 - w.a - c.a) FROM facts.parcel_remainder r "
        "JOIN data.parcel p ON p.id = r.subject_id "
        "JOIN (SELECT subject_id, sum(area_m2) a FROM facts.parcel_chamfer GROUP BY 1) c USING "
        "(subject_id) JOIN (SELECT subject_id, sum(area_m2) FILTER (WHERE part <> 'rest') a "
        "FROM facts.parcel_widening GROUP BY 1) w USING (subject_id)",
    )
    assert cut[0][0] > 3
    assert cut[0][1] < 1e-6
    assert cut[0][2] > 1.0
    assert cut[0][3] < 1e-6


def test_the_corner_table_begins_in_the_north_west(loaded: Database, query: Any) -> None:
    """SHR-12: letters clockwise, coordinates, distances that add up to the perimeter."""
    found = query(
        loaded,
        "SELECT corner_label, east_grid, north_grid, length_to_next_map_m "
        "FROM derived.parcel_corner WHERE parcel_code = '1-12-45-7-0-0-0' ORDER BY corner_no",
    )
    assert found == [
        ("A", 488600.0, 3833120.0, 10.0), ("B", 488610.0, 3833120.0, 20.0),
        ("C", 488610.0, 3833100.0, 10.0), ("D", 488600.0, 3833100.0, 20.0),
    ]  # fmt: skip


def test_edges_are_the_boundary_of_every_parcel(loaded: Database, query: Any) -> None:
    """T19, and neighbours as the overlay of boundaries has them."""
    off = query(
        loaded,
        "SELECT max(abs(m - ST_Perimeter(p.geom))) FROM data.parcel p LEFT JOIN (SELECT "
        "subject_id, sum(length_m) m FROM facts.parcel_edge GROUP BY 1) e ON subject_id = p.id",
    )
    assert off[0][0] < 1e-6
    differing = query(
        loaded,
        "SELECT n.subject_id, n.object_id, n.border_m, e.m FROM facts.parcel_neighbour n FULL JOIN "
        "(SELECT subject_id, object_id, sum(length_m) m FROM facts.parcel_edge "
        "WHERE beside = 'neighbour' GROUP BY 1, 2) e USING (subject_id, object_id) "
        "WHERE abs(coalesce(n.border_m, 0) - coalesce(e.m, 0)) > 0.25",
    )
    assert differing == []
    kinds = dict(query(loaded, "SELECT beside, count(*) FROM facts.parcel_edge GROUP BY 1"))
    assert kinds["neighbour"] > kinds["way"] > 300


def test_roads_and_streets_that_change_move_edges(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    """Yas is not widened any more, a street is gone and another wide: fresh as if made anew."""
    roads = pyogrio.read_dataframe(city_files / "gozarbandi.gpkg")
    ((yas,),) = query(
        city,
        "SELECT s.street_id FROM facts.parcel_edge e JOIN data.street s ON s.id = e.way_id "
        f"WHERE e.subject_id = {P7}",
    )
    pyogrio.write_dataframe(
        roads[roads["KOD_MABAR"] != yas], tmp_path / "gozarbandi.gpkg", layer="gozarbandi"
    )
    load(city, tmp_path / "gozarbandi.gpkg", "plan_road_lines", schemas)
    done = {one.fact: one.touched for one in joins.derive(city, schemas)}
    assert 0 < (done["parcel_edge_widening"] or 0) < 150
    after = "SELECT length_after_widening_m, widening_depth_m FROM derived.parcel_edge WHERE "
    assert query(city, after + "parcel_code = '1-12-45-7-0-0-0' AND edge_seq = 2") == [(20.0, 0.0)]
    streets = pyogrio.read_dataframe(city_files / "maaber.shp", encoding="cp1256")
    shapes = streets.geometry.to_numpy()
    shapes[3] = shapely.transform(shapes[3], lambda xy: xy + 4.0)
    pyogrio.write_dataframe(
        streets.set_geometry(shapes, crs=streets.crs).drop(index=[9]), tmp_path / "maaber.shp",
        encoding="cp1256",
    )  # fmt: skip
    load(city, tmp_path / "maaber.shp", "streets", schemas)
    joins.derive(city, schemas)
    kept = rows_of(city, schemas, query)
    joins.derive(city, schemas, anew=True)
    assert kept == rows_of(city, schemas, query)
