"""Laws of the joins, on random inputs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from pipeline.contracts import registry
from pipeline.contracts.base import Text
from pipeline.contracts.fact import Corridor, Equal, Rung
from pipeline.joins import forms, pairs
from pipeline.joins.corridor import corridors
from pipeline.joins.edges import Drawing, edges
from pipeline.joins.ladder import UNDECIDED, climb
from pipeline.joins.neighbours import borders
from pipeline.joins.overlay import Overlay
from pipeline.joins.pairs import Pairs
from pipeline.joins.side import Side

QOM = registry.load("qom").city
TITLE = Text(en="-", fa="-")
cuts = st.lists(st.integers(1, 99), max_size=6, unique=True).map(sorted)
boxes = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 60), st.integers(1, 60)),
    min_size=1,
    max_size=8,
)


def boxed(given_boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array([shapely.box(x, y, x + w, y + h) for x, y, w, h in given_boxes], dtype=object)


@settings(max_examples=80, deadline=None)
@given(cuts, cuts, boxes)
def test_shares_of_a_partition_are_one(columns: list[int], rows: list[int], parcels: list) -> None:  # type: ignore[type-arg]
    x, y = [-10, *columns, 200], [-10, *rows, 200]
    zones = np.array(
        [shapely.box(a, c, b, d) for a, b in pairwise(x)
         for c, d in pairwise(y)], dtype=object,
    )  # fmt: skip
    subjects = boxed(parcels)
    found = Overlay(1.0, 0.01, "all").run(subjects, zones, np.zeros(len(zones), dtype=int), 1)
    total = np.bincount(found.subject, weights=found.area, minlength=len(subjects))
    assert total == pytest.approx(shapely.area(subjects))
    assert (found.kind == 0).all()


@settings(max_examples=120, deadline=None)
@given(boxes, boxes, st.lists(st.integers(0, 1), min_size=8, max_size=8))
def test_rest_and_overlap_close_every_group(parcels: list, zones: list, groups: list[int]) -> None:  # type: ignore[type-arg]
    subjects, objects = boxed(parcels), boxed(zones)
    group = np.array(groups[: len(objects)])
    found = Overlay(1.0, 0.01, "all").run(subjects, objects, group, 2)
    for one in (0, 1):
        at = found.group == one
        total = np.bincount(found.subject[at], weights=found.area[at], minlength=len(subjects))
        assert total == pytest.approx(shapely.area(subjects), abs=1e-3)
        union = shapely.union_all(objects[group == one])
        rest = at & (found.kind == 1)
        left = shapely.area(shapely.difference(subjects, union))
        told = np.bincount(found.subject[rest], weights=found.area[rest], minlength=len(subjects))
        assert told == pytest.approx(left, abs=1e-3)


RUNGS = tuple(
    Rung(method=f"m{n}", title=TITLE, score=1.0, equal=(Equal(subject="a", other="b"),))
    for n in range(3)
)
found_pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=12)
finds = st.lists(found_pairs, min_size=3, max_size=3)
said = st.lists(st.sampled_from(["a", "b", "c", None]))


@settings(max_examples=300, deadline=None)
@given(finds)
def test_a_ladder_never_chooses_among_several(given_pairs: list[list[tuple[int, int]]]) -> None:
    asked = []

    def find(rung: Rung, waiting: np.ndarray) -> Pairs:  # type: ignore[type-arg]
        turn = int(rung.method[1:])
        asked.append(set(waiting.tolist()))
        chosen = [(s, o) for s, o in given_pairs[turn] if s in asked[-1]]
        subject = np.array([s for s, _ in chosen], dtype=np.int64)
        return Pairs.of(subject, np.array([o for _, o in chosen], dtype=np.int64))

    state = climb(6, RUNGS, find)
    for subject in range(6):
        known: set[int] | None = None
        expected = None
        for turn in range(3):
            options = {o for s, o in given_pairs[turn] if s == subject}
            options = options if known is None else options & known
            if len(options) == 1:
                expected = (turn, options.pop())
                break
            if options:
                known = options
        if expected is None:
            assert (state.rung[subject], state.object[subject]) == (UNDECIDED, -1)
            assert state.candidates[subject] == len(known or ())
        else:
            assert (state.rung[subject], state.object[subject]) == expected


@given(
    st.lists(st.sampled_from(["a", "b", "c", None])), st.lists(st.sampled_from(["a", "b", None]))
)
def test_equal_is_the_join_that_a_loop_makes(left: list, right: list) -> None:  # type: ignore[type-arg]
    one, other = pairs.equal([pa.array(left, pa.string())], pa.array(right, pa.string()))
    loop = {(i, j) for i, a in enumerate(left) for j, b in enumerate(right) if a and a == b}
    assert set(zip(one.tolist(), other.tolist(), strict=True)) == loop


@pytest.mark.parametrize(
    ("form", "written", "meant"),
    [
        ("code", "1-12-45-7", "1-12-45-7-0-0-0"),
        ("code", "0-0-0-7-45-12-1", "1-12-45-7-0-0-0"),
        ("code", "01-012-045-007-00-00-00", "1-12-45-7-0-0-0"),
        ("code", "۱/۱۲/۴۵/۷/۰/۰/۰", "1-12-45-7-0-0-0"),
        ("code", "1-12-45-7-1-3-0", "1-12-45-7-0-0-0"),
        ("plate", "567/1234 بخش 4", "1234/567/4"),
        ("plate", "پلاک ۱۲۳۴/۵۶۷ بخش ۴", "1234/567/4"),
        ("address", "قم، كوچه ياس، پلاك 5", "قم کوچه یاس پلاک 5"),
    ],
)
def test_forms_of_what_people_write(form: str, written: str, meant: str) -> None:
    keys = forms.keys(pa.array([written]), form, QOM)  # type: ignore[arg-type]
    assert meant in [one[0].as_py() for one in keys]


def test_a_road_has_no_gap_where_its_axes_meet() -> None:
    axes = np.array(
        [shapely.LineString([(0, 0), (100, 0)]), shapely.LineString([(100, 0), (160, 80)])],
        dtype=object,
    )
    columns = {
        "w": pa.array([12.0, 12.0]), "s": pa.array(["yas", "yas"]),
    }  # fmt: skip
    side = Side(np.array([1, 2]), np.array([1, 1]), axes, columns)
    made = corridors(side, Corridor(width="w", along=("s",)), 1.0)
    outer = shapely.Point(102.6, -5.2)  # on the outer side of the bend, 5.8 m from the node
    assert shapely.intersects(shapely.union_all(made), outer)
    assert shapely.area(made[0]) == pytest.approx(1200, rel=0.06)


@settings(max_examples=60, deadline=None)
@given(boxes, st.lists(st.booleans(), min_size=8, max_size=8), st.floats(0.0, 1.5))
def test_who_is_asked_changes_nothing(given_boxes: list, asked: list[bool], turn: float) -> None:  # type: ignore[type-arg]
    """Edges and borders of some areas are those of all areas, to the last bit."""
    whole = np.array([affinity.rotate(one, turn, use_radians=True, origin=(0, 0))
                      for one in boxed(given_boxes)])  # fmt: skip
    some = np.flatnonzero(asked[: len(whole)])
    every = np.arange(len(whole))
    rule = Drawing(straight=0.05, reach=0.1, least=0.05, metres=1.0)
    all_edges, few = edges(whole, whole, every, rule), edges(whole[some], whole, some, rule)
    chosen = np.isin(all_edges.area, some)
    assert (some[few.area] == all_edges.area[chosen]).all()
    for name in ("seq", "neighbour", "shape", "length", "corner"):
        assert (getattr(few, name) == getattr(all_edges, name)[chosen]).all()
    options = {"metres": 1.0, "least_m": 0.05, "reach_m": 0.01}
    all_pairs, pairs_of = (
        {(int(a), int(b), float(m)) for a, b, m in zip(f.one, f.other, f.length, strict=True)}
        for f in (borders(whole, whole, every, **options),
                  borders(whole[some], whole, some, **options))
    )  # fmt: skip
    assert pairs_of == {pair for pair in all_pairs if set(pair[:2]) & set(some.tolist())}


def test_neighbours_share_what_they_share() -> None:
    # The long side of the first is shared by two others; one vertex is off by the width of a hair.
    shapes = np.array(
        [
            shapely.box(0, 0, 10, 30),
            shapely.Polygon([(10, 0), (20, 0), (20, 12), (10 + 1e-9, 12)]),
            shapely.Polygon([(10 + 1e-9, 12), (20, 12), (20, 30), (10, 30)]),
            shapely.box(20, 30, 30, 40),
        ],
        dtype=object,
    )
    found = borders(shapes, shapes, np.arange(4), metres=1.0, least_m=0.05, reach_m=0.01)
    told = {
        (int(a), int(b)): round(float(m), 3)
        for a, b, m in zip(found.one, found.other, found.length, strict=True)
    }
    assert told == {
        (0, 1): 12.0, (1, 0): 12.0, (0, 2): 18.0, (2, 0): 18.0, (1, 2): 10.0, (2, 1): 10.0,
    }  # fmt: skip
