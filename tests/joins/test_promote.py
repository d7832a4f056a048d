"""Promote: a draft edition takes the place of the one in force, at no moment two or none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.edits import promote
from pipeline.errors import DatabaseError, GuardError, SettingsError
from pipeline.joins import derive as joins
from pipeline.settings import Settings
from pipeline.stages import history
from tests.joins.conftest import Query

HELD, DRAFT = "TT-1397", "TT-1404"
_DRAFTED = (
    """INSERT INTO data.plan_document (plan_id, plan_kind, plan_status, geom, run_id, source_line)
    SELECT %s, plan_kind, 'draft', geom, run_id, 99 FROM data.plan_document WHERE plan_id = %s""",
    """INSERT INTO data.plan_zone (plan_id, zone_id, zone_code, area_grid_m2, geom, run_id,
    source_line) SELECT %s, zone_id, CASE zone_code WHEN 'R2' THEN 'S1' ELSE zone_code END,
    area_grid_m2, geom, run_id, 99 FROM data.plan_zone WHERE plan_id = %s""",
    """INSERT INTO data.zone_rule (plan_id, zone_code, rule_no, area_basis, coverage_pct, far_pct,
    run_id, source_line) SELECT %s, zone_code, rule_no, area_basis, coverage_pct, far_pct, run_id,
    99 FROM data.zone_rule WHERE plan_id = %s""",
)
_STATES = (
    "SELECT plan_id, plan_status FROM data.plan_document WHERE plan_kind = 'detailed' ORDER BY 1"
)
_EDITS = "SELECT count(*) FROM ops.run WHERE kind = 'edit'"
_MARK = (
    "SELECT md5(string_agg(d::text, '|' ORDER BY id)) FROM (SELECT id, plan_id, plan_kind, "
    "plan_status, approval_date, geom, run_id, source_line FROM data.plan_document) d"
)


@pytest.fixture(scope="module")
def drafted(city_template: Settings, schemas: Schemas) -> Iterator[Database]:
    """The sample city with a draft of its plan, for the tests of this module."""
    with testing.clone(city_template) as database:
        with database.connect("owner") as connection:
            for statement in _DRAFTED:
                connection.execute(statement.encode(), [DRAFT, HELD])
        joins.derive(database, schemas, anew=True)
        yield database


def _states(query: Query, database: Database) -> dict[str, str]:
    return dict(query(database, _STATES))


def test_it_is_refused_by_what_is_found_and_nothing_changes(
    drafted: Database, schemas: Schemas, query: Query
) -> None:
    before, edits = query(drafted, _MARK), query(drafted, _EDITS)
    zone = f"SELECT min(id) FROM data.plan_zone WHERE plan_id = '{DRAFT}'"
    kept = query(drafted, f"SELECT ST_AsEWKB(geom) FROM data.plan_zone WHERE id = ({zone})")
    # 40 m to the east: a gap on one side, an overlap on the other.
    query(
        drafted,
        f"UPDATE data.plan_zone SET geom = ST_Translate(geom, 40, 0) WHERE id = ({zone})",
    )
    with pytest.raises(GuardError) as refused:
        promote.promote(drafted, schemas, DRAFT)
    said = str(refused.value)
    assert "\n" not in said
    assert "--accept plan.overlap" in said
    assert "--accept plan.unzoned" in said
    query(drafted, f"UPDATE data.plan_zone SET geom = %s WHERE id = ({zone})", kept[0][0])
    # A tenth of the ground would be left without any plan.
    whole = (
        "UPDATE data.plan_document SET geom = (SELECT geom FROM data.plan_document "
        "WHERE plan_id = %s) WHERE plan_id = %s"
    )
    query(
        drafted,
        "UPDATE data.plan_document SET geom = ST_Multi(ST_Intersection(geom, ST_MakeEnvelope("
        "ST_XMin(geom), ST_YMin(geom), ST_XMin(geom) + 0.9 * (ST_XMax(geom) - ST_XMin(geom)), "
        f"ST_YMax(geom), 32639))) WHERE plan_id = '{DRAFT}'",
    )
    with pytest.raises(GuardError, match=r"plan\.uncovered"):
        promote.promote(drafted, schemas, DRAFT)
    query(drafted, whole, HELD, DRAFT)
    with pytest.raises(GuardError, match="before what it supersedes"):
        promote.promote(drafted, schemas, DRAFT, valid_from=datetime(1990, 1, 1))  # noqa: DTZ001
    assert query(drafted, _MARK) == before
    assert query(drafted, _EDITS) == edits


@pytest.mark.parametrize(
    ("name", "said"), [("TT-9999", f"Drafts are: {DRAFT}"), (HELD, "is approved, not draft")]
)
def test_only_a_draft_is_promoted(
    drafted: Database, schemas: Schemas, name: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        promote.promote(drafted, schemas, name)


def test_a_load_of_its_zones_is_waited_for_no_longer_than_a_moment(
    drafted: Database, schemas: Schemas
) -> None:
    with drafted.connect("loader", autocommit=True) as loading:
        ledger.lock(loading, "plan_zone")
        with pytest.raises(DatabaseError, match="another load of plan_zone"):
            promote.promote(drafted, schemas, DRAFT)


def test_one_change_which_no_reader_sees_half_of_and_which_is_undone(
    drafted: Database, schemas: Schemas, query: Query
) -> None:
    before, seen, ended = query(drafted, _MARK), set(), threading.Event()

    def watch() -> None:
        with drafted.connect("loader", autocommit=True) as reader:
            while not ended.is_set():
                rows = reader.execute(_STATES.encode()).fetchall()
                seen.add(tuple(name for name, state in rows if state == "approved"))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        done = promote.promote(drafted, schemas, DRAFT)
    finally:
        ended.set()
        watching.join()
    assert (done.superseded, done.edition) == ([HELD], DRAFT)
    assert seen <= {(HELD,), (DRAFT,)}
    assert _states(query, drafted) == {HELD: "superseded", DRAFT: "approved"}
    ((kind, updated, message),) = query(
        drafted, "SELECT kind, updated, message FROM ops.run WHERE id = %s", done.run
    )
    assert (kind, updated) == ("edit", 2)
    assert message == f"{DRAFT} is in force, {HELD} superseded"
    published = "SELECT count(*) FROM ops.publication WHERE run_id = %s"
    assert query(drafted, published, done.run) == [(1,)]
    versions = (
        "SELECT plan_id, plan_status FROM history.plan_document WHERE ended_by = %s ORDER BY 1"
    )
    assert query(drafted, versions, done.run) == [(HELD, "approved"), (DRAFT, "draft")]
    ((dated,),) = query(
        drafted, "SELECT approval_date FROM data.plan_document WHERE plan_id = %s", DRAFT
    )
    assert dated is not None
    stale = {one.fact for one in joins.states(drafted) if one.state == "stale"}
    joins.derive(drafted, schemas, layers=[done.layer], first=False)
    assert not {one.fact for one in joins.states(drafted) if one.state == "stale"} & stale
    history.undo(drafted, schemas, done.run)
    assert _states(query, drafted) == {HELD: "approved", DRAFT: "draft"}
    assert query(drafted, _MARK) == before


def test_it_is_promoted_in_spite_of_what_is_accepted_by_name(
    drafted: Database, schemas: Schemas, query: Query
) -> None:
    zone = f"SELECT min(id) FROM data.plan_zone WHERE plan_id = '{DRAFT}'"
    ((number,),) = query(drafted, zone)
    kept: Any = query(drafted, "SELECT ST_AsEWKB(geom) FROM data.plan_zone WHERE id = %s", number)
    query(
        drafted, "UPDATE data.plan_zone SET geom = ST_Translate(geom, 40, 0) WHERE id = %s", number
    )
    names = frozenset({"plan.overlap", "plan.unzoned", "plan.beyond"})
    done = promote.promote(drafted, schemas, DRAFT, accept=names)
    found = query(drafted, "SELECT code FROM ops.finding WHERE run_id = %s", done.run)
    assert {code for (code,) in found} == {one.code for one in done.findings}
    assert {"plan.overlap", "plan.unzoned"} <= {code for (code,) in found}
    ((accepted,),) = query(drafted, "SELECT accepted FROM ops.run WHERE id = %s", done.run)
    assert accepted == sorted(names)
    history.undo(drafted, schemas, done.run)
    query(drafted, "UPDATE data.plan_zone SET geom = %s WHERE id = %s", kept[0][0], number)
