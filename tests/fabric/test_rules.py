"""Each kind of rule over a few shapes, and against plain geometry pair by pair."""

from __future__ import annotations

import itertools
import zipfile

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline import geo
from pipeline.contracts import registry
from pipeline.fabric import adjoin, between, contain, fill, overlap

from .conftest import part, rule

MM = 0.001
SQUARE = [shapely.box(x, 0, x + 10, 10) for x in (0, 10, 20)]


def told(found):
    return sorted(zip(found.code, found.key, found.value, strict=True))


@given(
    st.lists(
        st.tuples(*[st.integers(0, 3000) | st.sampled_from([0, 500, 1000])] * 2,
                  *[st.integers(1, 1500) | st.sampled_from([500, 1000])] * 2),
        min_size=2, max_size=9,
    ),
    st.integers(0, 9),
)  # fmt: skip
def test_overlaps_are_those_of_every_pair(boxes, asked):
    shapes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in boxes]
    shapes = [shapely.transform(one, lambda points: points * MM) for one in shapes]
    own = [number != asked for number in range(len(shapes))]
    # No area of whole mm2 is at the limit itself.
    limit = 0.0100005
    found = overlap.no_overlap(rule("no_overlap", tolerance=limit), part(shapes, own), 1.0)
    expected = {
        (f"k{a}", f"k{b}"): shapes[a].intersection(shapes[b]).area
        for a, b in itertools.combinations(range(len(shapes)), 2)
        if own[a] and shapes[a].intersection(shapes[b]).area > limit
    }
    areas = shapely.area(np.array(found.shape, dtype=object))
    pairs = zip(found.key, found.value, strict=True)
    assert dict(zip(pairs, areas, strict=True)) == pytest.approx(expected)


@given(
    st.lists(
        st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2), min_size=0, max_size=8
    )
)
def test_gaps_are_what_is_left_of_the_container(boxes):
    ground = shapely.box(0, 0, 60, 60)
    shapes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in boxes]
    wanted = rule("filled_by", other="tested", tolerance=MM, sliver_m2=0.5, sliver_m=0.1)
    found = fill.filled_by(wanted, part([ground]), part(shapes), 1.0)
    left = ground.difference(shapely.union_all(np.array(shapes, dtype=object)))
    assert sum(shape.area for shape in found.shape) == pytest.approx(left.area)


def test_twins_and_rows_inside_others_overlap():
    shapes = [SQUARE[0], SQUARE[0], shapely.box(2, 2, 3, 3)]
    found = overlap.no_overlap(rule("no_overlap", tolerance=0.01), part(shapes), 1.0)
    assert told(found) == [
        ("fabric.overlap", "k0", "k1"),
        ("fabric.overlap", "k0", "k2"),
        ("fabric.overlap", "k1", "k2"),
    ]  # fmt: skip


def test_the_tolerance_is_in_square_metres_in_a_city_of_feet():
    """0.3 ft over 10 ft is 3 sq ft = 0.279 m2."""
    feet = registry.load("cambridge").city.metres_per_unit
    shapes = [SQUARE[0], shapely.box(9.7, 0, 20, 10)]
    close = overlap.no_overlap(rule("no_overlap", tolerance=0.27), part(shapes), feet)
    assert close.detail == ["0.28 m2, 3.0% of the smaller"]
    assert not len(overlap.no_overlap(rule("no_overlap", tolerance=0.28), part(shapes), feet))


def test_only_rows_of_one_group_have_to_do_with_each_other():
    shapes = [SQUARE[0], SQUARE[0], SQUARE[0]]
    years = part(shapes, year=[1390, 1395, 1395])
    found = overlap.no_overlap(rule("no_overlap", tolerance=0.01, per=["year"]), years, 1.0)
    assert told(found) == [("fabric.overlap", "k1", "k2")]


@pytest.mark.parametrize(("gap", "found"), [(0.0, 0), (0.04, 1), (0.09, 1), (0.2, 0)])
def test_a_narrow_gap_is_told_once(gap, found):
    shapes = [shapely.box(0, 0, 10, 10), shapely.box(10 + gap, 0, 20, 10)]
    made = overlap.no_gap(rule("no_gap", tolerance=0.10), part(shapes), 1.0)
    assert len(made) == found
    if found:
        assert told(made) == [("fabric.sliver", "k0", "k1")]
        assert made.shape[0].area == pytest.approx(gap * 10, rel=0.02)


@pytest.mark.parametrize(
    ("second", "code", "area"),
    [
        (shapely.box(10.05, 0, 20, 10), "fabric.sliver", 0.5),
        (shapely.box(12, 0, 20, 10), "fabric.gap", 20.0),
        (shapely.box(10, 0, 20, 9.6).union(shapely.box(11, 0, 20, 10)), "fabric.sliver", 0.4),
        (shapely.box(10.0005, 0, 20, 10), None, 0.0),
    ],
)
def test_slivers_and_gaps_of_a_block(second, code, area):
    block = part([shapely.box(0, 0, 20, 10)])
    wanted = rule("filled_by", other="tested", tolerance=MM, sliver_m2=0.5, sliver_m=0.1)
    found = fill.filled_by(wanted, block, part([SQUARE[0], second]), 1.0)
    assert found.code == ([code] if code else [])
    if code:
        assert found.value == ["k0, k1"]
        assert found.shape[0].area == pytest.approx(area)


def test_equal_sums_do_not_hide_a_gap_behind_an_overlap():
    block = part([shapely.box(0, 0, 20, 10)])
    shapes = [shapely.box(0, 0, 11, 10), shapely.box(10, 0, 19, 10)]
    wanted = rule("filled_by", other="tested", tolerance=MM, sliver_m2=0.5, sliver_m=0.1)
    assert fill.filled_by(wanted, block, part(shapes), 1.0).code == ["fabric.gap"]


def test_a_row_lies_in_exactly_one_container():
    blocks = part([shapely.box(0, 0, 20, 10), shapely.box(20, 0, 40, 10), shapely.box(0, 0, 9, 9)])
    rows = part([
        shapely.box(10, 0, 20, 10),
        shapely.box(15, 0, 24, 10),
        shapely.box(50, 0, 60, 10),
        shapely.box(0, 0, 5, 5),
        shapely.box(39, 0, 40.005, 10),
    ])  # fmt: skip
    found = contain.covered_by(rule("covered_by", other="tested", tolerance=0.1), rows, blocks, 1.0)
    assert told(found) == [
        ("fabric.in_several", "k3", None),
        ("fabric.outside", "k1", "k0"),
        ("fabric.outside", "k2", None),
    ]  # fmt: skip
    where = dict(zip(found.key, found.shape, strict=True))
    assert where["k1"].area == pytest.approx(40.0)


def test_several_may_cover_a_row_together():
    zones = part([shapely.box(0, 0, 15, 10), shapely.box(15, 0, 40, 10)])
    rows = part(
        [shapely.box(10, 0, 20, 10), shapely.box(35, 0, 45, 10), shapely.box(38, 0, 40.05, 9)]
    )
    wanted = rule("covered_by", other="tested", union=True, unit="share", tolerance=0.05)
    found = contain.covered_by(wanted, rows, zones, 1.0)
    assert told(found) == [("fabric.outside", "k1", "k1")]
    assert found.detail == ["50.00 m2"]


def test_the_code_follows_from_the_container():
    blocks = part(
        [shapely.box(0, 0, 20, 10), shapely.box(20, 0, 40, 10)], code=["1-12-4", "1-12-45"]
    )
    rows = part(
        [shapely.box(x, 0, x + 10, 10) for x in (0, 10, 20, 30, 80)],
        nosazi=["1-12-4-1-0", "1-12-45-2-0", "1-12-45-3-0", "4-45-12-1-0", "1-1-1-1-0"],
        said=["1-12-4", "1-12-4", "1-12-4", None, "1-1-1"],
    )
    settings = {"other": "tested", "field": "nosazi", "other_field": "code"}
    found = contain.code_of_container(rule("prefix_of_container", **settings), rows, blocks, "-")
    assert told(found) == [
        ("fabric.code", "k1", "1-12-4"), ("fabric.code_reversed", "k3", "1-12-45"),
    ]  # fmt: skip
    same = contain.code_of_container(
        rule("code_of_container", **{**settings, "field": "said"}), rows, blocks, "-"
    )
    assert told(same) == [("fabric.code", "k2", "1-12-45")]


def test_a_building_may_stand_5_cm_over_its_boundary():
    parcels = part(SQUARE, code=["a", "b", "c"])
    buildings = part(
        [
            shapely.box(1, 1, 9, 9), shapely.box(5, 1, 10.04, 9), shapely.box(5, 1, 10.25, 9),
            shapely.box(11, 1, 19, 9), shapely.box(15, 2, 21, 8), shapely.box(1, 1, 2, 2),
        ],
        at=["a", "a", "a", "a", None, "gone"],
    )  # fmt: skip
    wanted = rule("within", other="tested", link={"at": "code"}, tolerance=0.05)
    found = adjoin.within(wanted, buildings, parcels, 1.0)
    assert told(found) == [
        ("fabric.encroachment", "k2", "k0"), ("fabric.encroachment", "k3", "k0"),
        ("fabric.encroachment", "k4", "k1"), ("fabric.encroachment", "k5", None),
    ]  # fmt: skip
    detail = dict(zip(found.key, found.detail, strict=True))
    assert detail["k2"] == "1.60 m2: k1 1.60"  # 0.20 m beyond the 5 cm, 8 m long
    assert detail["k4"] == "5.70 m2: k2 5.70"


def test_a_postcode_lies_within_3_m_of_its_parcel():
    parcels = part(SQUARE, code=["a", "b", "c"])
    points = part(
        shapely.points([(5, 5), (13, 5), (13.5, 5), (5, 12), (5, 14), (5, 5)]),
        at=["a", "a", "a", None, None, "gone"],
    )
    wanted = rule("near", other="tested", link={"at": "code"}, tolerance=3.0)
    found = adjoin.near(wanted, points, parcels, 1.0)
    assert dict(zip(found.key, found.detail, strict=True)) == {
        "k2": "3.50 m", "k4": "> 3 m", "k5": "> 3 m",
    }  # fmt: skip


def test_a_parcel_fronts_on_its_blocks_boundary_or_has_a_passage():
    block = part([shapely.box(0, 0, 30, 30)], code=["b"])
    middle = shapely.box(10, 10, 20, 20)
    rows = part(
        [middle, middle, shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10),
         shapely.box(9, 29.5, 9.5, 30)],
        block=["b"] * 5,
        passage=[None, 12.0, None, None, None],
    )  # fmt: skip
    settings = {"link": {"block": "code"}, "tolerance": 1.0, "unless": "passage"}
    found = adjoin.fronts(rule("fronts", other="tested", **settings), rows, block, 1.0)
    assert told(found) == [("fabric.landlocked", "k0", "k0"), ("fabric.landlocked", "k4", "k0")]


def test_road_edges_keep_half_the_plan_width():
    """The fixture's Yas: 12 m wide by the plan, so its edges lie 6.00 m from the axis."""
    axis = shapely.LineString([(0, 0), (60, 0), (100, 10)])
    edges = [axis.offset_curve(by, join_style="mitre") for by in (6.0, -6.04, 6.06)]
    lines = part(
        [axis, *edges, shapely.LineString([(10, 6), (50, 6.3)])],
        street=["yas"] * 5,
        kind=["axis", *["edge"] * 4],
        side=[None, "left", "right", "left", "left"],
        left=[6.0, *[None] * 4],
        right=[6.0, *[None] * 4],
    )
    wanted = rule(
        "parallel", other="tested", per=["street"], side="side", tolerance=0.05,
        offsets={"left": "left", "right": "right"},
        where={"kind": ["edge"]}, other_where={"kind": ["axis"]},
    )  # fmt: skip
    found = adjoin.parallel(wanted, lines, lines, 1.0)
    assert found.key == ["k3", "k4"]
    assert found.detail == ["6.06 m != 6.00 m", "6.30 m != 6.00 m"]


@pytest.mark.parametrize(("year", "pairs"), [("2014", 16), ("2013", 11)])
def test_cambridge_overlaps_as_the_data_are_known(real_data, year, pairs):
    """Counted by others with GeoPandas: pairs that share more than 1 % of the smaller parcel."""
    path = real_data / "cambridge_ma" / "cadastre" / f"ASSESSING_ParcelsFY{year}.topojson"
    shapes = pyogrio.read_dataframe(path).geometry.to_numpy()
    shapes = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    city = registry.load("cambridge").city
    placed = geo.reproject(shapely.make_valid(shapes), geo.parse_crs("EPSG:4326"), city.crs)
    found = overlap.no_overlap(
        rule("no_overlap", tolerance=0.01), part(placed), city.metres_per_unit
    )
    size = shapely.area(placed)
    shared = [
        shape.area / min(size[int(a[1:])], size[int(b[1:])])
        for a, b, shape in zip(found.key, found.value, found.shape, strict=True)
    ]
    assert sum(share > 0.01 for share in shared) == pairs


@pytest.mark.parametrize(
    ("name", "sheet", "crs"),
    [
        ("dutch/bgt_otterlo.zip", "bgt_pand.gml", "EPSG:28992"),
        ("plu_fr/30014_PLU_20171013", "ZONE_URBA", "EPSG:2154"),
    ],
)
def test_overlaps_of_real_layers_are_those_of_every_pair(real_data, tmp_path, name, sheet, crs):
    """Against intersecting each pair of neighbours, without any coverage function."""
    path = real_data / name
    if path.is_dir():
        place = next(path.rglob(f"*{sheet}*.shp"))
    else:
        with zipfile.ZipFile(path) as archive:
            place = archive.extract(sheet, tmp_path)
    shapes = pyogrio.read_dataframe(place).geometry.to_numpy()
    shapes = shapely.make_valid(shapes[shapely.area(shapes) > 0])
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one, two = one[one < two], two[one < two]
    areas = shapely.area(shapely.intersection(shapes[one], shapes[two]))
    expected = {
        (f"k{a}", f"k{b}") for a, b in zip(one[areas > 0.01], two[areas > 0.01], strict=True)
    }
    found = overlap.no_overlap(rule("no_overlap", tolerance=0.01), part(shapes), 1.0)
    assert set(zip(found.key, found.value, strict=True)) == expected
    assert expected


def test_paris_has_one_overlap(real_data):
    path = real_data / "etalab_paris18" / "cadastre-75118-parcelles.json"
    shapes = pyogrio.read_dataframe(path).geometry.to_numpy()
    placed = geo.reproject(shapes, geo.parse_crs("EPSG:4326"), geo.parse_crs("EPSG:2154"))
    found = overlap.no_overlap(rule("no_overlap", tolerance=0.01), part(placed), 1.0)
    size = shapely.area(placed)
    shared = [
        shape.area / min(size[int(a[1:])], size[int(b[1:])])
        for a, b, shape in zip(found.key, found.value, found.shape, strict=True)
    ]
    assert sum(share > 0.01 for share in shared) == 1


@pytest.mark.parametrize(
    ("rule_text", "message"),
    [
        ({"kind": "covered_by"}, "covered_by needs other"),
        ({"kind": "no_overlap", "unit": "m"}, "no_overlap is in m2"),
        ({"kind": "parallel", "other": "x"}, "parallel needs per, side, offsets"),
    ],
)
def test_a_rule_has_what_its_kind_needs(rule_text, message):
    with pytest.raises(ValueError, match=message):
        rule(**rule_text)


BETWEEN = rule("between", other="tested", field="h", other_field="z", tolerance=0.1)


def test_spots_lie_between_the_contours_that_they_see():
    """T21: a slope of a metre in ten, drawn every metre; on the slope and beyond it."""
    lines = [shapely.LineString([(10 * z, 0), (10 * z, 100)]) for z in range(5)]
    contours = part(lines, z=[float(z) for z in range(5)])
    spots = {
        (15, 50): 1.5,
        (25, 50): 2.09,
        (12, 20): 0.95,
        (35, 70): 2.8,
        (5, 5): 7.0,
        (90, 50): 99.0,
    }
    points = part([shapely.Point(place) for place in spots], h=list(spots.values()))
    found = between.not_between(BETWEEN, points, contours)
    assert told(found) == [("fabric.not_between", "k3", "2.8"), ("fabric.not_between", "k4", "7")]
    assert found.detail == ["2.90 … 4.10", "-0.10 … 1.10"]
    assert not len(between.not_between(BETWEEN, points, part(lines[:1], z=[0.0])))


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 6))
def test_the_nearest_levels_are_those_of_every_line(seed, count, levels):
    rng = np.random.default_rng(seed)
    lines = shapely.linestrings(rng.uniform(0, 100, (count, 2, 2)))
    level = rng.integers(0, levels, count).astype(float)
    places = rng.uniform(-20, 120, (7, 2))
    found, far = between._nearest(places, lines, level)
    for place, one, away in zip(shapely.points(places), found, far, strict=True):
        least = {z: shapely.distance(place, lines[level == z]).min() for z in set(level.tolist())}
        nearest = sorted(least, key=lambda z: (least[z], z))[:3]
        assert one.tolist() == nearest
        assert away.tolist() == [least[z] for z in nearest]
