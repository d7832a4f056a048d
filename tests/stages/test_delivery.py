"""A delivery is judged where it differs from the one before, and the result is the same."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline import testing
from pipeline.db.engine import Database
from pipeline.settings import Settings
from pipeline.stages import judge as judging
from pipeline.stages.batch import Raw
from pipeline.stages.delivery import Former, row_digests

CONTENT = """
SELECT parcel_code, land_use, registration_plate, area_deed_m2, source_updated_on, ST_AsBinary(geom)
FROM data.parcel ORDER BY parcel_code"""
FOUND = """
SELECT code, key, line, field, value, detail FROM ops.finding
WHERE run_id = (SELECT max(id) FROM ops.run) ORDER BY code, line, field"""
ASIDE = """
SELECT line, key, reasons, raw FROM ops.quarantine
WHERE run_id = (SELECT max(id) FROM ops.run) ORDER BY line"""


def _row(bench: Any, number: int, rng: random.Random) -> dict[str, Any]:
    """A parcel, sometimes with a fault that quarantines or marks it."""
    row = bench.parcel(number)
    fault = rng.random()
    if fault < 0.08:
        return {**row, "use": "moon"}
    if fault < 0.16:
        return {**row, "deed": "900"}
    if fault < 0.2:
        return {**row, "code": None}
    if fault < 0.24:
        return {**row, "geometry": None}
    return dict(row)


def _next(bench: Any, rows: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """The delivery after: rows go, change, come twice, take another's shape or key, move about."""
    made = []
    for row in rows:
        chance = rng.random()
        if chance < 0.08:
            continue
        if chance < 0.2:
            row = {**row, "plate": f"{rng.randrange(99)}/1"}
        elif chance < 0.26:
            row = {**row, "geometry": rng.choice(rows)["geometry"]}
        elif chance < 0.3:
            row = {**row, "code": rng.choice(rows)["code"]}
        elif chance < 0.34:
            made.append(dict(row))
        made.append(row)
    made += [_row(bench, 1000 + rng.randrange(50), rng) for _ in range(3)]
    if rng.random() < 0.5:
        rng.shuffle(made)
    return made


def _state(query: Any, database: Database) -> tuple[Any, ...]:
    return tuple(query(database, one) for one in (CONTENT, FOUND, ASIDE))


@pytest.mark.parametrize("seed", range(6))
def test_a_delivery_ends_as_if_every_row_had_been_judged(
    bench: Any, qom_template: Settings, query: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whether the record is written anew each time, or carried on for ever (0 of so many)."""
    monkeypatch.setattr("pipeline.stages.delivery._MOST_CARRIED", 0 if seed % 2 else 8)
    rng = random.Random(seed)
    rows = [_row(bench, number, rng) for number in range(40)]
    feed = bench.feed(limits={"max_drop_share": 1.0})
    with testing.clone(qom_template) as quick, testing.clone(qom_template) as whole:
        for step in range(4):
            path = bench.geopackage(rows, f"step{step}.gpkg")
            with whole.connect("owner") as connection:
                connection.execute("DELETE FROM ops.delivery")
            outcomes = [bench.load(one, path, feed, batch_rows=7) for one in (quick, whole)]
            assert outcomes[0].account == outcomes[1].account
            assert outcomes[0].counts == outcomes[1].counts
            assert _state(query, quick) == _state(query, whole)
            rows = _next(bench, rows, rng)


def test_only_rows_that_differ_are_judged(
    bench: Any, database: Database, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [bench.parcel(number) for number in range(30)]
    bench.load(database, bench.geopackage(rows))
    judged: list[int] = []

    def watched(raw: Raw, *more: Any) -> Any:
        judged.extend(raw.lines.tolist())
        return judging.judge(raw, *more)

    monkeypatch.setattr("pipeline.stages.passing.judge", watched)
    rows[4]["plate"], rows[20]["use"] = "77/1", "commercial"
    account = bench.load(database, bench.geopackage(rows[1:])).account
    assert judged == [4, 20]
    assert (account.updated, account.unchanged, account.removed) == (2, 27, 1)
    assert query(database, "SELECT count(*) FROM ops.delivery") == [(1,)]


def test_another_contract_judges_every_row_again(
    bench: Any, database: Database, schemas: Any
) -> None:
    path = bench.geopackage([bench.parcel(number) for number in range(5)])
    bench.load(database, path)
    without = tuple(rule for rule in schemas.layer("parcel").rules[1:])
    outcome = bench.load(database, path, schemas=bench.changed("parcel", rules=without))
    assert (outcome.status, outcome.account.unchanged) == ("done", 5)


def test_a_load_that_another_feed_has_overtaken_is_judged_whole(
    bench: Any, database: Database, query: Any
) -> None:
    rows = [bench.parcel(number) for number in range(6)]
    bench.load(database, bench.geopackage(rows))
    other = bench.feed(id="other", delivery="partial")
    bench.load(database, bench.geopackage([bench.parcel(2, plate="9/9")], "other.gpkg"), other)
    rows[5]["plate"] = "1/1"
    account = bench.load(database, bench.geopackage(rows)).account
    assert (account.updated, account.unchanged) == (2, 4)
    plates = query(database, "SELECT registration_plate FROM data.parcel ORDER BY parcel_code")
    assert plates[2] == ("2/12",)


VALUES = st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["", "0", "1", "a", "\x1e"]))


@given(st.lists(st.tuples(VALUES, st.one_of(st.none(), st.floats(allow_nan=False))), max_size=30))
def test_digests_are_equal_for_equal_rows_alone(
    rows: list[tuple[str | None, float | None]],
) -> None:
    table = pa.table({
        "name": pa.array([row[0] for row in rows], pa.string()),
        "size": pa.array([row[1] for row in rows], pa.float64()),
    })  # fmt: skip
    raw = Raw(np.arange(1, len(rows) + 1), table, None)
    found = row_digests(raw, ["name", "size"])
    signs = [(a, None if b is None else (b, np.signbit(b))) for a, b in rows]
    for one, sign in enumerate(signs):
        for other in range(one):
            assert (found[one] == found[other]) == (sign == signs[other])


def test_a_row_that_comes_twice_is_in_doubt_with_its_twin() -> None:
    rows = pa.table({
        "digest": np.array([5, 9, 7], dtype=np.uint64), "key": ["a", "b", "c"],
        "shape": np.zeros(3, dtype=np.uint64), "clean": [True, False, True],
    })  # fmt: skip
    former = Former.of(rows)
    same, doubtful = former.again(np.array([1, 2, 3]), np.array([5, 9, 6], dtype=np.uint64))
    assert (same.tolist(), doubtful.tolist()) == ([True, False, False], [])
    same, doubtful = former.again(np.array([4, 5]), np.array([5, 7], dtype=np.uint64))
    assert (same.tolist(), doubtful.tolist()) == ([False, True], [1])
    assert former.taken.tolist() == [2]
    same, doubtful = former.again(np.array([6, 7]), np.array([5, 5], dtype=np.uint64))
    assert not same.any()


def test_the_shape_decides_too() -> None:
    table = pa.table({"name": ["x", "x", "x"]})
    shapes = [shapely.to_wkb(shapely.Point(n, 0)) for n in (1, 1, 2)]
    found = row_digests(Raw(np.arange(1, 4), table, pa.array(shapes)), ["name"])
    assert found[0] == found[1] != found[2]
