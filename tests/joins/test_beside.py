"""Facts made anew as a whole: readers see the old ones or the new ones, and do not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from pipeline import testing
from pipeline.cli import database as cli
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError
from pipeline.joins import beside, keep
from pipeline.joins import derive as joins
from pipeline.settings import Settings
from tests.joins.conftest import PARCELS

SEEN = ("parcel_edge", "parcel_neighbour", "parcel_zone", "audit_parcel", "parcel_edge_widening")
TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'facts_kept'::regnamespace AND relkind = 'r'"
)
INDEXES = (
    "SELECT split_part(tablename, '.', 1), regexp_replace(indexdef, '^.* USING ', '') "
    "FROM pg_indexes WHERE schemaname = 'facts_kept' ORDER BY 1, 2"
)


@pytest.fixture(scope="module")
def shared(city_template: Settings) -> Iterator[Database]:
    """One loaded city for these tests, which leave its facts derived."""
    with testing.clone(city_template) as cloned:
        yield cloned


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fact is one of many rows, in a city that is small."""
    monkeypatch.setattr(keep, "_FEW", -1)


def tables(database: Database, query: Any) -> set[str]:
    return {str(name) for (name,) in query(database, TABLES)}


def shown(database: Database, query: Any) -> set[str]:
    return {
        str(name) for (name,) in query(database, "SELECT id || '.' || generation FROM ops.fact")
    }


@contextmanager
def reading(database: Database, seen: list[tuple[bool, ...]], waits: list[float]) -> Iterator[None]:
    """Somebody asks a view over several facts all along: which of them have rows marked as old.

    Whatever fails, or waits for two seconds, is raised at the end.
    """
    parts = ", ".join(f"(SELECT bool_and(run_id < 0) FROM facts.{name}) AS {name}" for name in SEEN)
    with database.connect("owner") as connection:
        connection.execute(f"CREATE OR REPLACE VIEW api_staff.several AS SELECT {parts}".encode())
        connection.execute("GRANT SELECT ON api_staff.several TO makan_staff")
        for name in SEEN:
            query = sql.SQL("UPDATE facts.{} SET run_id = -1").format(sql.Identifier(name))
            connection.execute(query)
    stop, failed = threading.Event(), []

    def read() -> None:
        try:
            with database.connect("staff", autocommit=True) as connection:
                connection.execute("SET lock_timeout = '2s'")
                connection.execute("SET statement_timeout = '2s'")
                while not stop.is_set():
                    began = time.monotonic()
                    row: Any = connection.execute("SELECT * FROM api_staff.several").fetchone()
                    waits.append(time.monotonic() - began)
                    seen.append(row)
                    time.sleep(0.01)
        except Exception as error:  # noqa: BLE001 - told by the one who waits for it
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for one in readers:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in readers:
            one.join()
    assert not failed


def test_readers_see_the_old_facts_or_the_new_ones_and_never_wait(
    shared: Database, schemas: Schemas, query: Any
) -> None:
    seen: list[tuple[bool, ...]] = []
    waits: list[float] = []
    indexes, last = query(shared, INDEXES), query(shared, "SELECT max(id) FROM facts.parcel_edge")
    with reading(shared, seen, waits):
        joins.derive(shared, schemas, anew=True)
        time.sleep(0.3)
    whole = {(True,) * len(SEEN), (False,) * len(SEEN)}
    assert set(seen) == whole
    assert seen.index((False,) * len(SEEN)) > 10
    assert max(waits) < 2
    # The same indexes over new tables, of which nothing is left beside.
    assert query(shared, INDEXES) == indexes != []
    assert tables(shared, query) == shown(shared, query)
    assert query(shared, "SELECT min(id) FROM facts.parcel_edge") > last
    assert {one.state for one in joins.states(shared)} == {"fresh"}


def test_an_older_snapshot_finds_the_new_facts_and_not_none(
    shared: Database, schemas: Schemas
) -> None:
    """Whoever began before and asks for the first time afterwards: tables that take the place of
    others are empty to such a one, were their rows not frozen."""
    with shared.connect("loader") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM data.parcel")
        joins.derive(shared, schemas, anew=True)
        row: Any = connection.execute("SELECT count(*) FROM facts.parcel_edge").fetchone()
        assert row[0] > 1000


def test_facts_that_somebody_reads_all_the_time_are_written_in_their_place(
    shared: Database, schemas: Schemas, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup holds every table for as long as it takes."""
    monkeypatch.setattr(beside, "PATIENCE_S", 0.5)
    with shared.connect("owner") as connection:
        connection.execute("UPDATE facts.parcel_edge SET length_m = length_m + 1 WHERE seq = 1")
    kept = shown(shared, query)
    with shared.connect("loader") as backup:
        for fact in schemas.fact_order:
            held = sql.SQL("LOCK TABLE facts.{} IN ACCESS SHARE MODE")
            backup.execute(held.format(sql.Identifier(fact.id)))
        before: Any = backup.execute("SELECT sum(length_m) FROM facts.parcel_edge").fetchone()
        joins.derive(shared, schemas, anew=True)
        after: Any = backup.execute("SELECT sum(length_m) FROM facts.parcel_edge").fetchone()
    assert before[0] - after[0] == pytest.approx(PARCELS, abs=0.001)
    assert shown(shared, query) == kept
    assert {one.state for one in joins.states(shared)} == {"fresh"}
    joins.derive(shared, schemas, anew=True)
    assert tables(shared, query) == shown(shared, query)


@pytest.mark.parametrize("at", ["parcel_block", "parcel_edge_widening", "audit_parcel"])
def test_a_derivation_that_is_killed_leaves_the_old_facts_and_nothing_else(
    shared: Database, schemas: Schemas, query: Any, at: str
) -> None:
    kept = shown(shared, query)
    rows = query(shared, "SELECT min(id), count(*) FROM facts.parcel_edge")

    def kill(fact: str) -> None:
        if fact == at:
            query(
                shared,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                "current_database() AND application_name = 'makan-loader'",
            )

    with pytest.raises(DatabaseError):
        joins.derive(shared, schemas, anew=True, progress=kill)
    assert shown(shared, query) == tables(shared, query) == kept
    assert query(shared, "SELECT min(id), count(*) FROM facts.parcel_edge") == rows
    joins.derive(shared, schemas, anew=True)
    assert shown(shared, query) != kept
    assert {one.state for one in joins.states(shared)} == {"fresh"}


def test_the_writers_of_an_audience_may_make_facts_anew(
    shared: Database, schemas: Schemas, query: Any
) -> None:
    kept = shown(shared, query)
    joins.derive(shared, schemas, anew=True, role="editor")
    assert shown(shared, query).isdisjoint(kept)
    assert shown(shared, query) == tables(shared, query)


def test_what_a_migration_empties_is_worked_out_again(
    shared: Database, schemas: Schemas, query: Any
) -> None:
    """A fact whose contract has changed has a new table, and papers would be answered 503."""

    def migrated(*words: str) -> str:
        changed = (
            "UPDATE ops.fact SET contract_sha256 = '' WHERE id IN ('parcel_edge', 'parcel_zone')"
        )
        query(shared, changed)
        done = CliRunner().invoke(cli.migrate, list(words), obj=shared.settings)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    before = query(shared, "SELECT count(*) FROM facts.parcel_edge")
    told = "to be worked out anew by `makan derive`: parcel_edge, parcel_zone"
    assert told in migrated("--no-derive")
    states = {one.fact: one.state for one in joins.states(shared)}
    assert {states.pop("parcel_edge"), states.pop("parcel_zone")} == {"never"}
    assert set(states.values()) == {"fresh"}
    # The next call finds them still missing, whoever has made them so.
    assert "parcel_edge" in migrated()
    assert {one.state for one in joins.states(shared)} == {"fresh"}
    assert query(shared, "SELECT count(*) FROM facts.parcel_edge") == before
    assert tables(shared, query) == shown(shared, query)
