"""How geometries are drawn: rings, repeated points, spikes, mixtures, heights; repair's limits."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import CRS

from pipeline import geo
from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.findings import Catalog
from pipeline.stages import load as loading
from pipeline.stages import outline
from pipeline.stages.context import Context
from pipeline.stages.shape import Shaper
from pipeline.stages.unread import explain

EAST, NORTH = 488_000.0, 3_833_000.0
UTM39, WGS84 = CRS.from_epsg(32639), CRS.from_epsg(4326)
SQUARE = [(0, 0), (20, 0), (20, 20), (0, 20)]


def array(*geometries: Any) -> geo.Geometries:
    """An array of geometries, as the stages have them."""
    made = np.empty(len(geometries), dtype=object)
    made[:] = geometries
    return made


@pytest.fixture(scope="module")
def parcels() -> Context:
    """Parcels of Qom."""
    return loading.context_for(registry.load("qom"), "parcels")


def shaped(context: Context, *drawn: Any, crs: CRS = UTM39) -> tuple[geo.Geometries, set[Any]]:
    """What the shaper makes of ``drawn``, and its findings: line and code."""
    lines = np.arange(1, len(drawn) + 1)
    made, found = Shaper(lines, array(*drawn), context, crs).run()
    return made, set(zip(found.line, found.code, strict=True))


def here(shape: shapely.Geometry) -> shapely.Geometry:
    """``shape`` moved into the city."""
    return shapely.transform(shape, lambda xy: xy + np.array([EAST, NORTH]))


def polygon(rings: list[list[tuple[float, float]]], order: str = "<") -> bytes:
    """WKB of rings as they stand."""
    said = struct.pack(order + "BII", order == "<", 3, len(rings))
    for one in rings:
        numbers = np.array(one, dtype=f"{order}f8")
        said += struct.pack(order + "I", len(one)) + numbers.tobytes()
    return said


def metres(ends: geo.Floats) -> geo.Floats:
    """A ruler for coordinates in metres."""
    return np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("rings", "code", "detail"),
    [
        ([[*SQUARE, (0.0, 0.004)]], "closed", "a gap of 4.0 mm"),
        ([[*SQUARE, (0.0, 0.4)]], "unclosed", "a gap of 400.0 mm"),
        ([[*SQUARE, (0.0, 3.0)]], "unclosed", "a gap of 3.00 m"),
        ([[(0, 0), (20, 0), (0, 0)]], "degenerate", "a ring of 2 corners"),
        ([[(0, 0)]], "degenerate", "a ring of one corner"),
        ([[*SQUARE, (0, 0)], [(1, 1), (2, 2)]], "degenerate", "a ring of 2 corners"),
        ([[*SQUARE, (math.inf, 0)]], "nonfinite", None),
        ([[], [*SQUARE, (0, 0)]], "unreadable", "the coordinates make no geometry"),
    ],
)
def test_what_geos_refuses_is_named(rings: Any, code: str, detail: str | None, order: str) -> None:
    told = explain(polygon(rings, order), metres, 0.005)
    assert (told.code, told.detail) == (f"geometry.{code}", detail)
    if code == "closed":
        assert told.made is not None
        assert told.made.is_valid
        assert told.made.area == pytest.approx(400, abs=0.1)
    else:
        assert told.made is None


def test_heights_and_srids_do_not_hide_the_fault() -> None:
    one = np.array([(5.0, 6.0, 7.0)]).tobytes()
    iso = struct.pack("<BII", 1, 1002, 1) + one
    postgis = struct.pack("<BIII", 1, 0xA0000002, 32639, 1) + one
    several = struct.pack("<BII", 1, 1005, 1) + iso
    for wkb in (iso, postgis, several):
        assert explain(wkb, metres, 0.005).code == "geometry.degenerate"


@given(st.binary(max_size=80))
def test_no_bytes_break_the_explanation(wkb: bytes) -> None:
    assert explain(wkb, metres, 0.005).code.startswith("geometry.")
    assert explain(b"\x01\x03\x00\x00\x00" + wkb, metres, 0.005).code.startswith("geometry.")


def test_one_point_lines_of_real_kerbs_are_named(
    bench: Any, cambridge: Database, cambridge_schemas: Any, query: Any, real_data: Path
) -> None:
    path = real_data / "cambridge_ma" / "basemap" / "BASEMAP_Curbs.topojson"
    columns = bench.filled("street", {"street_id": "id"})
    source = {"driver": "TopoJSON", "crs": "EPSG:4326"}
    feed = bench.feed(
        "street", columns=columns, source=source, ignore=["EditDate", "GRADE", "TYPE"]
    )
    outcome = bench.load(cambridge, path, feed, schemas=cambridge_schemas, batch_rows=5000)
    assert outcome.account.arrived == 9670
    assert outcome.account.closes
    assert outcome.counts["geometry.degenerate", None] == 74
    assert outcome.counts["geometry.type", None] == 2
    assert not outcome.counts["geometry.unreadable", None]
    told = query(
        cambridge, "SELECT DISTINCT detail FROM ops.finding WHERE code = 'geometry.degenerate'"
    )
    assert told == [("a line of one point",)]


def test_lines_round_an_area_are_closed_by_a_hair_only(bench: Any) -> None:
    def drawn(place: int, gap: float) -> Any:
        line = shapely.LineString([*SQUARE, (0, gap)])
        moved = shapely.transform(line, lambda xy: xy + np.array([EAST + place * 40, NORTH]))
        return bench.parcel(place, geometry=moved)

    path = bench.geopackage([drawn(0, 0.0), drawn(1, 0.004), drawn(2, 0.4)])
    outcome = bench.check(path, bench.feed(source={"polygonize": True}))
    assert outcome.counts == {("geometry.closed", None): 1, ("geometry.unclosed", None): 1}
    assert (outcome.account.inserted, outcome.account.quarantined) == (2, 1)


def test_gaps_are_measured_in_metres_whatever_the_crs(parcels: Context) -> None:
    line = here(shapely.LineString([*SQUARE, (0, 0.004)]))
    degrees = geo.reproject(array(line), UTM39, WGS84)[0]
    made, found = shaped(parcels, degrees, crs=WGS84)
    assert found == {(1, "geometry.closed"), (1, "geometry.closed_line")}
    assert made[0].area == pytest.approx(400, abs=0.1)


def test_heights_are_counted_and_may_be_refused(bench: Any) -> None:
    high = [shapely.force_3d(bench.square(n), z=900 + n) for n in range(2)]
    path = bench.geopackage([bench.parcel(n, geometry=one) for n, one in enumerate(high)])
    outcome = bench.check(path, batch_rows=1)
    assert outcome.counts == {("geometry.heights", None): 1}
    geometry = bench.schemas.layer("parcel").geometry.model_copy(update={"z": "refuse"})
    outcome = bench.check(path, schemas=bench.changed("parcel", geometry=geometry))
    assert outcome.counts == {("geometry.three_d", None): 2}
    assert outcome.account.quarantined == 2


def test_the_same_height_everywhere_is_told_as_such(
    bench: Any, database: Database, query: Any
) -> None:
    rows = [bench.parcel(n, geometry=shapely.force_3d(bench.square(n), z=0)) for n in range(4)]
    bench.load(database, bench.geopackage(rows))
    found = query(database, "SELECT code, line, value, detail FROM ops.finding")
    assert found == [("geometry.heights", None, "4", "all 0")]


def test_several_parts_stay_one_row_where_the_layer_takes_them_and_only_there(
    bench: Any, database: Database
) -> None:
    """One row is one key: a geometry of two parts never becomes two rows."""
    two = shapely.MultiPoint([(EAST, NORTH), (EAST + 5, NORTH)])
    rows = [
        {"no": "1", "geometry": two},
        {"no": "2", "geometry": shapely.MultiPoint(two.geoms[:1])},
    ]
    feed = bench.feed("poi", columns=bench.filled("poi", {"poi_id": "no"}))
    outcome = bench.load(database, bench.geopackage(rows), feed)
    assert outcome.counts == {("geometry.type", None): 1}
    assert (outcome.account.inserted, outcome.account.quarantined) == (1, 1)
    areas = shapely.MultiPolygon([bench.square(0), bench.square(1)])
    row = bench.parcel(0, geometry=areas, deed="800")
    assert bench.load(database, bench.geopackage([row])).counts == {}


def test_of_a_mixture_the_fitting_parts_are_taken(parcels: Context) -> None:
    area, other = shapely.box(0, 0, 20, 20), shapely.box(30, 0, 50, 20)
    point, line = shapely.Point(1, 1), shapely.LineString([(0, 0), (9, 9)])
    several = shapely.GeometryCollection([area, point, shapely.GeometryCollection([other, line])])
    made, found = shaped(
        parcels,
        here(shapely.GeometryCollection([area, point])),
        here(several),
        here(shapely.GeometryCollection([point, line])),
        here(shapely.GeometryCollection([shapely.MultiPolygon([area, other])])),
    )
    assert [None if one is None else one.area for one in made] == [400, 800, None, 800]
    assert found == {
        (1, "geometry.collection"), (2, "geometry.collection"), (3, "geometry.type"),
        (4, "geometry.collection"),
    }  # fmt: skip


def test_lines_among_areas_are_of_the_wrong_kind(parcels: Context) -> None:
    made, found = shaped(parcels, here(shapely.LineString(SQUARE)), here(shapely.Polygon(SQUARE)))
    assert found == {(1, "geometry.type")}
    assert [one is None for one in made] == [True, False]


@pytest.mark.parametrize(
    ("shape", "width"),
    [
        (shapely.box(0, 0, 100, 0.08), 0.08),
        (shapely.box(0, 0, 10, 10), 10.0),
        (shapely.Point(0, 0).buffer(5, quad_segs=64), math.sqrt(math.pi * 25)),
    ],
)
def test_an_area_is_as_wide_as_its_rectangle(shape: Any, width: float) -> None:
    measured = outline.widths(np.array([shape.area]), np.array([shape.length]))
    assert measured[0] == pytest.approx(width, rel=0.01)


def test_spikes_are_seen_wherever_a_ring_begins() -> None:
    thorn = [(0, 0), (20, 0), (20, 20), (10.05, 20), (10, 30), (9.95, 20), (0, 20)]
    turned = [thorn[n:] + thorn[:n] for n in range(len(thorn))]
    hole = shapely.Polygon([(-50, -50), (90, -50), (90, 90), (-50, 90)], [thorn[4:] + thorn[:4]])
    areas = array(
        *map(shapely.Polygon, turned), hole,
        shapely.MultiPolygon([shapely.box(100, 0, 120, 20), shapely.Polygon(turned[4])]),
        shapely.box(0, 0, 1, 1), shapely.Polygon([(0, 0), (40, 0), (40, 1)]),
    )  # fmt: skip
    seen = outline.look(areas, 0.001).turning
    assert seen[:-2].all()
    angles = outline.spikes(areas)
    assert angles[:-2] == pytest.approx(2 * math.degrees(math.atan(0.005)), rel=1e-3)
    assert (angles[-2:] > outline.SPIKE_DEGREES).all()


def test_repeated_points_go_and_the_shape_stays(parcels: Context) -> None:
    stair = [(0, 0), (20, 0), (20, 0.0004), (20, 20), (20, 20), (0, 20)]
    made, found = shaped(parcels, here(shapely.Polygon(stair)), here(shapely.Polygon(SQUARE)))
    assert found == {(1, "geometry.repeated_points")}
    assert shapely.get_num_coordinates(made).tolist() == [5, 5]
    assert made[0].area == pytest.approx(400, abs=0.01)


def test_no_finding_lacks_its_severity() -> None:
    catalog = Catalog.load()
    kinds = {code: catalog.severity(code) for code in catalog.codes if code.startswith("geometry.")}
    assert {code for code, how in kinds.items() if how == "info"} == {
        "geometry.repeated_points", "geometry.empty_part", "geometry.heights",
    }  # fmt: skip


coordinate = st.floats(-50, 50, allow_nan=False).map(lambda value: round(value, 4))
ring = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=10)


@given(st.lists(ring, min_size=1, max_size=4), st.sampled_from([UTM39, WGS84]))
@example([[(0.0, 0.0), (-1.0, 0.0), (-3.0, 0.0), (0.0, -1.0), (-2.0, 0.0002)]], UTM39)
def test_what_is_loaded_is_valid_and_hardly_changed(
    parcels: Context, rings: list[list[tuple[float, float]]], crs: CRS
) -> None:
    drawn = array(*(here(shapely.Polygon(one)) for one in rings))
    sent = drawn if crs is UTM39 else geo.reproject(drawn, UTM39, crs)
    made, found = shaped(parcels, *sent, crs=crs)
    lost = {
        line for line, code in found if code in {"geometry.unrepairable", "geometry.degenerate"}
    }
    for line, (before, after) in enumerate(zip(drawn, made, strict=True), start=1):
        assert (after is None) == (line in lost)
        if after is None:
            continue
        assert after.is_valid
        assert after.geom_type == "MultiPolygon"
        assert not after.is_empty
        limit = 0.01 * max(before.area, after.area) + 1e-3 * before.length + 1e-6
        assert abs(after.area - before.area) <= limit
    kept = [one for one in made if one is not None]
    again, second = shaped(parcels, *kept)
    assert not {code for _, code in second} & {"geometry.repaired", "geometry.unrepairable"}
    shorter = {line for line, code in second if code == "geometry.repeated_points"}
    for line, (one, two) in enumerate(zip(kept, again, strict=True), start=1):
        assert line in shorter or one == two
