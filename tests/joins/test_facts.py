"""Facts of the sample city: the fixture's exact numbers, and that loads keep them fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyogrio
import pytest
import shapely
from psycopg import sql

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive.facts import COLUMNS
from pipeline.errors import DatabaseError
from pipeline.joins import derive as joins
from pipeline.joins import report
from pipeline.stages import history
from tests.joins.conftest import load

P7 = "(SELECT id FROM data.parcel WHERE parcel_code = '1-12-45-7-0-0-0')"


def rows_of(database: Database, schemas: Schemas, query: Any) -> dict[str, list[tuple[Any, ...]]]:
    """What every fact says, to the last bit, without ids of its own rows."""
    found = {}
    for fact in schemas.fact_order:
        names = ", ".join(one.name for one in COLUMNS[fact.kind])
        rows = query(database, f"SELECT {names} FROM facts.{fact.id}")
        found[fact.id] = sorted(rows, key=repr)
    return found


def test_the_fixture_parcel_has_its_numbers(city: Database, query: Any) -> None:
    zones = query(
        city,
        "SELECT z.zone_code, f.area_m2, f.share FROM facts.parcel_zone f "
        f"JOIN data.plan_zone z ON z.id = f.object_id WHERE subject_id = {P7}",
    )
    assert [(code, round(area, 2), round(share, 9)) for code, area, share in zones] == [
        ("R2", 200.00, 1.0)
    ]
    widening = query(
        city, f"SELECT part, area_m2 FROM facts.parcel_widening WHERE subject_id = {P7}"
    )
    assert {part: round(area, 2) for part, area in widening} == {"in": 20.00, "rest": 180.00}
    neighbours = query(
        city,
        "SELECT p.parcel_code, f.border_m FROM facts.parcel_neighbour f "
        f"JOIN data.parcel p ON p.id = f.object_id WHERE subject_id = {P7}",
    )
    assert {code.split("-")[3]: round(m, 2) for code, m in neighbours} == {
        "3": 10.0, "6": 20.0, "8": 20.0,
    }  # fmt: skip
    postcode = query(
        city,
        "SELECT p.postcode, f.method, f.quality, f.distance_m FROM facts.postcode_parcel f "
        f"JOIN data.postcode p ON p.id = f.subject_id WHERE f.object_id = {P7}",
    )
    assert postcode == [("3715613947", "code_and_place", "door", 0.0)]
    building = query(city, f"SELECT area_m2 FROM facts.building_parcel WHERE object_id = {P7}")
    assert [round(area, 2) for (area,) in building] == [108.00]


def test_project_takes_land_of_five_parcels(city: Database, query: Any) -> None:
    """AML-18: PR-1 takes 2 m of the front of P5..P9."""
    found = query(
        city,
        "SELECT p.parcel_code, f.area_m2, f.share FROM facts.parcel_project f "
        "JOIN data.parcel p ON p.id = f.subject_id JOIN data.project o ON o.id = f.object_id "
        "WHERE o.project_no = 'PR-1'",
    )
    taken = {code.split("-")[3]: (round(a, 2), round(s, 3)) for code, a, s in found}
    assert taken == {str(number): (20.00, 0.1) for number in (5, 6, 7, 8, 9)}


def test_shares_close_for_every_parcel(city: Database, query: Any) -> None:
    for fact in ("parcel_zone", "parcel_block", "parcel_widening", "parcel_census_block"):
        off = query(
            city,
            "SELECT max(abs(s - 1)), max(abs(a - ST_Area(p.geom))) FROM ("
            f"SELECT subject_id, sum(share) s, sum(area_m2) a FROM facts.{fact} "
            "GROUP BY subject_id, in_group) x JOIN data.parcel p ON p.id = subject_id",
        )
        assert off[0][0] < 1e-5, fact
        assert off[0][1] < 2e-4, fact


def test_every_parcel_is_in_its_own_block(city: Database, query: Any) -> None:
    wrong = query(
        city,
        "SELECT count(*), count(*) FILTER (WHERE b.block_code = p.block_code) "
        "FROM data.parcel p JOIN facts.parcel_block f ON f.subject_id = p.id AND part = 'in' "
        "JOIN data.block b ON b.id = f.object_id",
    )
    assert wrong[0][0] == wrong[0][1] == query(city, "SELECT count(*) FROM data.parcel")[0][0]


def changed_parcels(folder: Path, place: Path, change: Any) -> Path:
    """The parcels' file again, with ``change`` done to its table."""
    source = folder / "amlak.gpkg"
    frame = pyogrio.read_dataframe(source)
    target = place / "amlak.gpkg"
    pyogrio.write_dataframe(change(frame), target, layer="amlak", geometry_type="Polygon")
    return target


def test_a_load_refreshes_what_it_touched_and_nothing_else(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    total = query(city, "SELECT count(*) FROM data.parcel")[0][0]

    def change(frame: Any) -> Any:
        frame = frame.copy()
        frame.loc[[50, 90], "geometry"] = shapely.buffer(
            frame.geometry.loc[[50, 90]].to_numpy(), -0.4, join_style="mitre"
        )
        # A correction by two centimetres: borders are gone, neighbours are near enough.
        frame.loc[[300], "geometry"] = shapely.transform(
            frame.geometry.loc[[300]].to_numpy(), lambda xy: xy + 0.02
        )
        return frame.drop(index=[120])

    def named() -> dict[tuple[Any, ...], int]:
        names = ", ".join(one.name for one in COLUMNS["edge"])
        return {
            row[1:]: row[0] for row in query(city, f"SELECT id, {names} FROM facts.parcel_edge")
        }

    before_it = named()
    load(city, changed_parcels(city_files, tmp_path, change), "parcels", schemas)
    assert {one.state for one in joins.states(city) if one.fact.startswith("parcel_")} == {"stale"}
    done = {one.fact: one for one in joins.derive(city, schemas)}
    assert done["parcel_zone"].touched == 4
    assert done["parcel_neighbour"].touched == 4
    assert 4 < (done["parcel_edge"].touched or 0) < 40 < total
    assert {one.state for one in joins.states(city)} == {"fresh"}
    kept = rows_of(city, schemas, query)
    # Rows of neighbours that say what they said, to the last bit, are the rows that they were.
    after_it = named()
    same = before_it.keys() & after_it.keys()
    assert {after_it[row] for row in same} == {before_it[row] for row in same}
    assert 0 < len(after_it.keys() - before_it.keys()) < done["parcel_edge"].rows / 2
    told = query(city, "SELECT rows FROM ops.fact WHERE id = 'parcel_edge'")
    assert told == query(city, "SELECT count(*) FROM facts.parcel_edge")
    joins.derive(city, schemas, anew=True)
    assert kept == rows_of(city, schemas, query)


def test_readers_of_small_facts_need_not_wait_while_all_are_made_anew(
    city: Database, schemas: Schemas
) -> None:
    """Who waited for one fact would have held another, which is made next: a deadlock."""
    seen: list[int] = []

    def look(fact: str) -> None:
        with city.connect("loader") as connection:
            connection.execute("SET LOCAL lock_timeout = '1s'")
            for done in schemas.fact_order:
                query = sql.SQL("SELECT count(*) FROM facts.{}").format(sql.Identifier(done.id))
                row = connection.execute(query).fetchone()
                seen.append(int(str(row[0])) if row else -1)
                if done.id == fact:
                    break

    joins.derive(city, schemas, anew=True, progress=look)
    assert len(seen) > len(schemas.fact_order)
    assert max(seen) > 0


def test_undo_brings_the_facts_back_too(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    before = rows_of(city, schemas, query)
    path = changed_parcels(city_files, tmp_path, lambda frame: frame.drop(index=range(200, 230)))
    run = load(city, path, "parcels", schemas).run
    joins.derive(city, schemas)
    assert rows_of(city, schemas, query) != before
    assert run is not None
    history.undo(city, schemas, run)
    assert {"stale"} == {s.state for s in joins.states(city) if s.fact.startswith("parcel_")}
    joins.derive(city, schemas)
    assert rows_of(city, schemas, query) == before


def test_changed_objects_touch_the_parcels_under_them(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    frame = pyogrio.read_dataframe(city_files / "pahne.gpkg")
    frame.loc[3, "geometry"] = frame.geometry.loc[3].buffer(6.0)
    target = tmp_path / "pahne.gpkg"
    pyogrio.write_dataframe(frame.drop(index=[5]), target, layer="pahne")
    load(city, target, "plan_zones", schemas)
    done = {one.fact: one for one in joins.derive(city, schemas)}
    assert set(done) == {"parcel_zone"}
    kept = rows_of(city, schemas, query)
    assert any(row[2] == "overlap" for row in kept["parcel_zone"])
    assert any(row[2] == "rest" for row in kept["parcel_zone"])
    joins.derive(city, schemas, anew=True)
    assert kept == rows_of(city, schemas, query)


def test_postcodes_climb_and_fall_with_what_they_hang_on(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    column = schemas.feed("parcels").columns[0].sources[0]

    def change(frame: Any) -> Any:
        frame = frame.copy()
        frame.loc[60, column] = "1-99-9-9-0-0-0"
        return frame.drop(index=[61])

    load(city, changed_parcels(city_files, tmp_path, change), "parcels", schemas)
    joins.derive(city, schemas)
    methods = dict(query(city, "SELECT method, count(*) FROM facts.postcode_parcel GROUP BY 1"))
    assert methods["building"] > 0  # the parcel is there, under another code
    assert methods["block"] > 0  # the parcel is gone
    kept = rows_of(city, schemas, query)
    joins.derive(city, schemas, anew=True)
    assert kept == rows_of(city, schemas, query)


def test_a_parcel_with_a_building_and_no_postcode_is_told(
    city: Database, schemas: Schemas, query: Any
) -> None:
    fact = schemas.facts["postcode_parcel"]
    before = report.report(city, schemas, fact)
    assert before.laid["building"] == report.Without(0, [])
    assert before.objects_without > 0  # nobody lives on empty ground
    query(city, f"DELETE FROM facts.postcode_parcel WHERE object_id = {P7}")
    after = report.report(city, schemas, fact)
    assert after.laid["building"] == report.Without(1, ["1-12-45-7-0-0-0"])
    assert after.objects_without == before.objects_without + 1


def test_a_failed_derivation_says_so_and_changes_nothing(
    city: Database, schemas: Schemas, query: Any, city_files: Path, tmp_path: Path
) -> None:
    before = rows_of(city, schemas, query)
    path = changed_parcels(city_files, tmp_path, lambda frame: frame.drop(index=range(300, 310)))
    load(city, path, "parcels", schemas)
    revoke = sql.SQL("REVOKE DELETE ON facts.parcel_zone FROM makan_loader")
    with city.connect("owner") as connection:
        connection.execute(revoke)
    with pytest.raises(DatabaseError):
        joins.derive(city, schemas)
    found = {one.fact: one for one in joins.states(city)}
    assert found["parcel_zone"].state == "stale"
    assert found["parcel_zone"].trouble
    assert rows_of(city, schemas, query) == before


def test_facts_never_derived_wait_for_derive(
    database: Database, city_files: Path, schemas: Schemas
) -> None:
    load(database, city_files / "amlak.gpkg", "parcels", schemas)
    assert joins.derive(database, schemas, layers={"parcel"}, first=False) == []
    assert {one.state for one in joins.states(database)} == {"never"}
