"""Versions: valid and recorded time, no two of an object at once, publications in order."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db import migrate as migration
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError, GuardError
from pipeline.report import past
from pipeline.stages import history
from pipeline.stages import load as loading
from pipeline.stages.context import ACCEPTABLE

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
    accept = frozenset({"valid.backwards"})
    context = replace(bench.context(), valid_from=valid, accept=accept)
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


def test_an_object_that_comes_again_is_the_one_it_was(
    bench: Bench, database: Database, query: Query, schemas: Schemas
) -> None:
    """Same code, same object: its history shows the gap; also where the whole layer was gone."""
    ids = "SELECT split_part(parcel_code, '-', 4)::int, id FROM data.parcel"
    _load(bench, database, [bench.parcel(n) for n in (1, 2, 3)], Y2020)
    known = dict(query(database, ids))
    _load(bench, database, [bench.parcel(1), bench.parcel(4)], Y2022)
    back = _load(bench, database, [bench.parcel(n) for n in (1, 2, 5)], Y2024)
    now = dict(query(database, ids))
    assert (now[1], now[2]) == (known[1], known[2])
    assert now[5] not in {*known.values()}
    assert ("2", Y2020, Y2022, True) in _periods(query, database)
    of_two = query(database, "SELECT run_id, valid_since FROM data.parcel WHERE id = %s", known[2])
    assert of_two == [(back, None)]
    with database.connect("loader") as connection:
        layer = schemas.layer("parcel")
        counts = [
            past.count(connection, layer, past.Moment(moment)) for moment in (Y2020, Y2022, Y2024)
        ]
        kept = [v["ended_by"] is None for v in history.versions(connection, layer, "1-1-1-2-0-0-0")]
    assert counts == [3, 2, 3]
    assert kept == [False, True]
    # Undone, it is gone again, and comes back as the same.
    history.undo(database, schemas, back)
    assert set(dict(query(database, ids))) == {1, 4}
    _load(bench, database, [bench.parcel(n) for n in (1, 2, 3)], Y2024)
    assert dict(query(database, ids)) == known
    with database.connect("owner") as connection:
        # As an office does that takes every row away over the API.
        connection.execute(
            "WITH gone AS (DELETE FROM data.parcel RETURNING *) INSERT INTO history.parcel (id, "
            "parcel_code, geom, run_id, source_line, ended_by, valid) SELECT id, parcel_code, geom,"
            " run_id, source_line, run_id, tstzrange('2024-01-01', '2024-02-01') FROM gone"
        )
    _load(bench, database, [bench.parcel(n, use="commercial") for n in (1, 2, 3)])
    assert dict(query(database, ids)) == known


def test_where_codes_change_owners_a_code_is_no_proof(
    bench: Bench, database: Database, query: Query
) -> None:
    """What was renumbered and is gone does not come back under the code that it had before."""
    ids = "SELECT split_part(parcel_code, '-', 4)::int, id FROM data.parcel"
    _load(bench, database, [bench.parcel(n) for n in (1, 2, 3)], Y2020)
    first = dict(query(database, ids))
    accept = frozenset(ACCEPTABLE)
    renumbered = replace(bench.context(), valid_from=Y2022, renumber=True, accept=accept)
    moved = [bench.parcel(1), bench.parcel(2, code="1-1-1-12-0-0-0"), bench.parcel(3)]
    for number, rows in enumerate((moved, moved[:1], [moved[0], bench.parcel(13)])):
        path = bench.geopackage(rows, f"renumbered_{number}.gpkg")
        loading.load(database, path, renumbered, batch_rows=9, progress=silent)
    # Under --renumber a plot is known by its place alone, so 13 is new.
    assert dict(query(database, ids))[13] not in first.values()
    _load(bench, database, [bench.parcel(n) for n in (1, 2, 3, 12)], Y2024)
    now = dict(query(database, ids))
    assert now[2] not in first.values()
    assert (now[3], now[12]) == (first[3], first[2])


def test_nothing_changed_is_no_publication(
    bench: Bench, database: Database, query: Query, tmp_path: Path
) -> None:
    del tmp_path
    _load(bench, database, [bench.parcel(1)], Y2020)
    _load(bench, database, [bench.parcel(1, unused="other file")], Y2022)
    assert query(database, "SELECT count(*) FROM ops.publication") == [(1,)]
    assert query(database, "SELECT count(*) FROM history.parcel") == [(0,)]


DATED = {
    "parcel_code": "code",
    "land_use": "use",
    "registration_plate": "plate",
    "valid_since": {"from": "since", "parser": "jalali"},
    "valid_until": {"from": "until", "parser": "jalali"},
}


def test_when_rows_hold_may_be_said_by_the_data(
    bench: Bench, database: Database, query: Query
) -> None:
    """Dates are midnight in the city: Tehran was at +03:30 then."""
    rows = [
        bench.parcel(1, since="1399/01/01", until=None),
        bench.parcel(2, since="1399/01/01", until="1400/01/01"),
        bench.parcel(3, since="1400/01/01", until="1399/01/01"),
        bench.parcel(4, since="1399/13/01", until=None),
        bench.parcel(5, since=None, until=None),
    ]
    ignored = ["deed", "changed"]
    feed = bench.feed(columns=DATED, ignore=ignored)
    done = bench.load(database, bench.geopackage(rows), feed)
    assert done.account.quarantined == 2
    assert done.counts["valid.reversed", "valid_until"] == 1
    assert done.counts["value.type", "valid_since"] == 1
    day = dt.datetime(2020, 3, 19, 20, 30, tzinfo=dt.UTC)
    end = dt.datetime(2021, 3, 20, 20, 30, tzinfo=dt.UTC)
    held = "SELECT split_part(parcel_code, '-', 4), valid_since, valid_until FROM data.parcel"
    assert query(database, f"{held} ORDER BY 1") == [("1", day, None), ("2", day, end), (
        "5", None, None)]  # fmt: skip
    # Other dates of the same rows are another version; the same file again is none.
    rows = [
        bench.parcel(1, since="1399/07/01", until=None),
        bench.parcel(2, since="1399/01/01", until="1400/07/01"),
        bench.parcel(5, since=None, until=None),
    ]
    again = bench.load(database, bench.geopackage(rows, "b.gpkg"), feed)
    assert (again.account.updated, again.account.unchanged) == (2, 1)
    assert query(database, f"{held} ORDER BY 1")[0][1] == dt.datetime(
        2020, 9, 21, 20, 30, tzinfo=dt.UTC
    )
    rows[0]["extra"] = 1
    third = bench.load(database, bench.geopackage(rows, "c.gpkg"), feed)
    assert third.account.updated == 0


def test_a_delivery_older_than_what_it_replaces_is_refused(
    bench: Bench, database: Database, query: Query
) -> None:
    _load(bench, database, [bench.parcel(1)], Y2022)
    path = bench.geopackage([bench.parcel(1, use="commercial")], "old.gpkg")
    context = replace(bench.context(), valid_from=Y2020)
    with pytest.raises(GuardError, match="holds from 2020-01-01, what it would replace from 2022"):
        loading.load(database, path, context, batch_rows=9, progress=silent)
    accepted = replace(context, accept=frozenset({"valid.backwards"}))
    done = loading.load(database, path, accepted, batch_rows=9, progress=silent)
    assert done.counts["valid.backwards", None] == 1
    assert query(database, "SELECT accepted FROM ops.run WHERE status = 'done' ORDER BY id") == [
        ([],), (["valid.backwards"],),
    ]  # fmt: skip


def test_renumbered_objects_keep_their_id_and_their_former_code(
    bench: Bench, database: Database, query: Query, schemas: Schemas
) -> None:
    """Codes move on by one, so that most of them belong to another parcel afterwards."""
    _load(bench, database, [bench.parcel(n) for n in range(1, 6)], Y2020)
    codes = "SELECT split_part(parcel_code, '-', 4)::int, id FROM data.parcel ORDER BY id"
    before = query(database, codes)
    moved = [bench.parcel(n, code=f"1-1-1-{n + 1}-0-0-0") for n in range(1, 5)]
    rows = [*moved, bench.parcel(9)]
    path = bench.geopackage(rows, "moved.gpkg")
    context = replace(bench.context(), valid_from=Y2022, renumber=True)
    done = loading.load(database, path, context, batch_rows=9, progress=silent)
    account = done.account
    assert (account.updated, account.inserted, account.removed) == (4, 1, 1)
    assert query(database, codes)[:4] == [(code + 1, number) for code, number in before[:4]]
    kept = (
        "SELECT former_code, parcel_code, code_from::text, code_until::text, change_reason, "
        "parcel_id FROM data.parcel_code_history ORDER BY parcel_id"
    )
    assert query(database, kept) == [
        (f"1-1-1-{code}-0-0-0", f"1-1-1-{code + 1}-0-0-0", "2020-01-01", "2022-01-01", "renumber",
         number) for code, number in before[:4]
    ]  # fmt: skip
    layers = query(database, "SELECT layer FROM ops.publication ORDER BY seq")
    assert layers == [("parcel",), ("parcel",), ("parcel_code_history",)]
    # Undone, both are as they were.
    history.undo(database, schemas, int(done.run or 0))
    assert query(database, codes) == before
    assert query(database, kept) == []
    with database.connect("loader") as connection:
        assert [r.status for r in ledger.runs(connection) if r.along] == ["undone"]
    # Without being told so, nothing is taken for renumbered: keys say what an object is.
    plain = loading.load(
        database, path, replace(context, renumber=False), batch_rows=9, progress=silent
    )
    assert query(database, kept) == []
    assert (plain.account.updated, plain.account.inserted) == (4, 1)


def test_what_an_auditor_has_seen_does_not_just_vanish(
    bench: Bench, database: Database, query: Query
) -> None:
    _load(bench, database, [bench.parcel(n) for n in (1, 2, 3, 4)], Y2020)
    query(
        database,
        "INSERT INTO facts.audit_parcel (subject_id, object_id, method, quality, score, "
        "candidates, run_id) SELECT id, id, 'exact_code', 'exact_code', 1, 1, run_id "
        "FROM data.parcel WHERE parcel_code LIKE '1-1-1-2-%%' RETURNING 1",
    )
    path = bench.geopackage([bench.parcel(n) for n in (1, 3, 4)], "less.gpkg")
    context = replace(bench.context(), valid_from=Y2022)
    with pytest.raises(GuardError, match=r"1 objects .* vanish.*1-1-1-2-0-0-0"):
        loading.load(database, path, context, batch_rows=9, progress=silent)
    assert query(database, "SELECT count(*) FROM data.parcel") == [(4,)]
    lineage = bench.feed(
        "parcel_lineage",
        columns={
            "case_ref": "case", "lineage_op": {"value": "merge"}, "parent_code": "parent",
            "child_code": "child", "child_kind": {"value": "parcel"},
            "area_transferred_m2": "area",
        },
        source={"driver": "CSV", "encoding": "UTF-8"},
        delivery="partial",
    )  # fmt: skip
    rows = "case,parent,child,area\n1402/7,1-1-1-2-0-0-0,1-1-1-1-0-0-0,400\n"
    assert bench.load(database, bench.text("shajare.csv", rows), lineage).account.inserted == 1
    assert loading.load(
        database, path, context, batch_rows=9, progress=silent
    ).account.removed == 1  # fmt: skip


def test_what_has_ended_leaves_the_collection_and_stays_in_the_past(
    bench: Bench, database: Database, query: Query
) -> None:
    """Only where a feed says that rows end is it asked whether they have."""
    feed = bench.feed(columns=DATED, ignore=["deed", "changed"])
    own = replace(bench.schemas, feeds={**bench.schemas.feeds, feed.id: feed})
    migration.migrate(database, own)
    rows = [
        bench.parcel(1, since="1399/01/01", until="1400/01/01"),
        bench.parcel(2, since="1399/01/01", until="1499/01/01"),
        bench.parcel(3, since=None, until=None),
    ]
    bench.load(database, bench.geopackage(rows), feed, schemas=own)
    with database.connect("reader") as connection:
        shown = connection.execute("SELECT nosazi FROM api.parcel ORDER BY 1").fetchall()
        past = connection.execute(
            "SELECT count(*) FROM api.makan_versions_parcel WHERE version_stands "
            "AND valid_since <= '2020-06-01' AND valid_until > '2020-06-01'"
        ).fetchone()
    assert [code for (code,) in shown] == ["1-1-1-2-0-0-0", "1-1-1-3-0-0-0"]
    assert past == (2,)
    assert query(database, "SELECT count(*) FROM data.parcel") == [(3,)]


def _publish_at_once(database: Database, run: int) -> None:
    with database.connect("loader") as connection:
        connection.execute("SET lock_timeout = '200ms'")
        ledger.publish(connection, None, run)


def test_publications_are_committed_in_their_order(database: Database) -> None:
    """Who publishes second waits for the first, and takes its number if that one fails."""
    entered = (
        "INSERT INTO ops.run (kind, layer, status, file, file_sha256, file_bytes, contract_sha256,"
        " code_version, who) VALUES ('load', %s, 'running', '', '', 0, '', '', '') RETURNING id"
    )
    with database.connect("loader") as connection:
        runs = [
            int(str((connection.execute(entered, [layer]).fetchone() or (0,))[0]))
            for layer in ("region", "street", "block")
        ]
    with database.connect("loader") as first:
        ledger.publish(first, None, runs[1])
        with pytest.raises(DatabaseError):
            _publish_at_once(database, runs[0])
        first.rollback()
    for run in (runs[0], runs[2]):
        with database.connect("loader") as connection:
            ledger.publish(connection, None, run)
    with database.connect("loader") as connection:
        found = connection.execute("SELECT seq, run_id FROM ops.publication ORDER BY recorded")
        assert found.fetchall() == [(1, runs[0]), (2, runs[2])]
