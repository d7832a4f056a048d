"""Versions: valid and recorded time, no two of an object at once, publications in order."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.stages import history
from pipeline.stages import load as loading

from .conftest import Bench, Query, silent

Y2020, Y2022, Y2024 = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2020, 2022, 2024))


@pytest.fixture(scope="module")
def shared(qom_template: Any) -> Any:
    """One database for the tests of this module that only add their own objects."""
    from pipeline import testing

    with testing.clone(qom_template) as cloned:
        yield cloned


def _load(
    bench: Bench, database: Database, rows: list[dict[str, Any]], valid: dt.datetime | None = None
) -> int:
    context = replace(bench.context(), valid_from=valid)
    path = bench.geopackage(rows, f"planted_{len(list(bench.folder.iterdir()))}.gpkg")
    done = loading.load(database, path, context, batch_rows=100, progress=silent)
    assert done.status == "done"
    assert done.run
    return done.run


def _periods(query: Query, database: Database) -> list[tuple[Any, ...]]:
    """Of every former version: code, begin, end (both None: never held), still standing."""
    return query(
        database,
        "SELECT split_part(parcel_code, '-', 4), lower(valid), upper(valid), withdrawn_by IS NULL "
        "FROM history.parcel ORDER BY 1, ended_by, run_id",
    )


def test_a_version_holds_from_its_delivery_to_the_next(
    bench: Bench, database: Database, query: Query
) -> None:
    rows = [bench.parcel(n) for n in (1, 2, 3)]
    first = _load(bench, database, rows, Y2020)
    second = _load(bench, database, [bench.parcel(1), bench.parcel(2, use="commercial")], Y2022)
    assert _periods(query, database) == [
        ("2", Y2020, Y2022, True),
        ("3", Y2020, Y2022, True),
    ]
    assert query(database, "SELECT id, valid_from FROM ops.run ORDER BY id") == [
        (first, Y2020),
        (second, Y2022),
    ]
    # A delivery of an earlier date corrects: what it replaces never held.
    _load(bench, database, [bench.parcel(1, use="religious"), bench.parcel(2)], dt.datetime(
        2021, 1, 1, tzinfo=dt.UTC))  # fmt: skip
    assert _periods(query, database)[:2] == [
        ("1", Y2020, dt.datetime(2021, 1, 1, tzinfo=dt.UTC), True),
        ("2", Y2020, Y2022, True),
    ]
    assert ("2", None, None, True) in _periods(query, database)
    # Parcel 2 cannot begin before the version of 2020 ended.
    assert query(
        database,
        "SELECT split_part(parcel_code, '-', 4), valid_since FROM data.parcel ORDER BY 1",
    ) == [("1", None), ("2", Y2022)]


def test_an_undo_is_recorded_and_leaves_what_was(
    bench: Bench, database: Database, query: Query, schemas: Schemas
) -> None:
    _load(bench, database, [bench.parcel(1), bench.parcel(2)], Y2020)
    run = _load(bench, database, [bench.parcel(1, use="commercial"), bench.parcel(3)], Y2022)
    before = query(database, "SELECT seq, run_id FROM ops.publication ORDER BY seq")
    history.undo(database, schemas, run)
    assert _periods(query, database) == [
        ("1", Y2020, Y2022, False),
        ("1", None, None, False),
        ("2", Y2020, Y2022, False),
        ("3", None, None, False),
    ]
    undo = query(database, "SELECT max(id) FROM ops.run WHERE kind = 'undo'")[0][0]
    assert query(database, "SELECT DISTINCT begun_by FROM data.parcel") == [(undo,)]
    assert query(database, "SELECT seq, run_id FROM ops.publication ORDER BY seq") == [
        *before,
        (len(before) + 1, undo),
    ]
    # The same again: the versions of 2020 stand beside what is withdrawn.
    _load(bench, database, [bench.parcel(1, use="commercial"), bench.parcel(3)], Y2022)
    standing = [row for row in _periods(query, database) if row[3]]
    assert standing == [("1", Y2020, Y2022, True), ("2", Y2020, Y2022, True)]


@pytest.mark.parametrize(
    "statement",
    [
        # A former version that begins while another former one holds.
        (
            "INSERT INTO history.parcel (id, run_id, ended_by, valid) "
            "SELECT id, run_id, ended_by, valid FROM history.parcel LIMIT 1"
        ),
        # A former version that reaches into the one in force.
        (
            "UPDATE history.parcel h SET valid = tstzrange(lower(valid), '2090-01-01') "
            "FROM data.parcel t WHERE t.id = h.id"
        ),
        # The version in force said to have begun while a former one held.
        (
            "UPDATE data.parcel t SET valid_since = '2021-01-01' FROM history.parcel h "
            "WHERE h.id = t.id"
        ),
        # The id of a former object, which still held then, given to a new row.
        (
            "INSERT INTO data.parcel (id, parcel_code, valid_since, geom, run_id, source_line) "
            "SELECT h.id, '1-1-1-99-0-0-0', '2021-01-01', h.geom, 1, 1 FROM history.parcel h "
            "WHERE h.id NOT IN (SELECT id FROM data.parcel) LIMIT 1"
        ),
    ],
)
def test_the_database_refuses_two_versions_at_once(
    statement: str, bench: Bench, shared: Database, query: Query
) -> None:
    if not query(shared, "SELECT FROM data.parcel"):
        _load(bench, shared, [bench.parcel(1), bench.parcel(2)], Y2020)
        _load(bench, shared, [bench.parcel(1, use="commercial"), bench.parcel(3)], Y2022)
    with pytest.raises(psycopg.errors.ExclusionViolation):
        query(shared, statement)
    assert len(_periods(query, shared)) == 2


def test_filling_an_emptied_layer_gives_no_id_twice(
    bench: Bench, database: Database, query: Query, schemas: Schemas
) -> None:
    run = _load(bench, database, [bench.parcel(1)], Y2020)
    history.undo(database, schemas, run)
    _load(bench, database, [bench.parcel(1)], Y2020)
    ids = query(database, "SELECT h.id, t.id FROM history.parcel h, data.parcel t")
    assert [former != now for former, now in ids] == [True]
    names = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'data.parcel'::regclass"
    assert dict(query(database, names))["apart_after_insert"] in ("O", b"O")


def test_nothing_changed_is_no_publication(
    bench: Bench, database: Database, query: Query, tmp_path: Path
) -> None:
    del tmp_path
    _load(bench, database, [bench.parcel(1)], Y2020)
    _load(bench, database, [bench.parcel(1, unused="other file")], Y2022)
    assert query(database, "SELECT count(*) FROM ops.publication") == [(1,)]
    assert query(database, "SELECT count(*) FROM history.parcel") == [(0,)]
