"""The whole check over loaded cities: planted faults, the clean twin, changes, and the database's
own answer."""

from __future__ import annotations

import json

import pytest
import shapely
from click.testing import CliRunner

from pipeline import testing
from pipeline.cli import fabric as cli
from pipeline.contracts import registry
from pipeline.db import ledger
from pipeline.errors import DatabaseError, SettingsError
from pipeline.fabric.check import check
from pipeline.joins import derive as joins
from pipeline.sample import city
from pipeline.stages.history import undo

from .conftest import load, load_all

PARCELS, SEED, TORN = 1000, 11, 4


@pytest.fixture(scope="module")
def torn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torn")
    city.write(folder, parcels=PARCELS, seed=SEED, dirt=0.0, torn=TORN, imagery=False)
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    city.write(folder, parcels=PARCELS, seed=SEED, dirt=0.0, imagery=False)
    return folder


def test_nothing_is_found_in_a_clean_city(database, schemas, clean, findings):
    load_all(database, schemas, clean)
    done = check(database, schemas)
    assert findings(database) == []
    # Some rules are about facts, which nobody has derived; some layers are written, not loaded.
    waiting = {"chamfer", "edge_dimension", "plan_document", "archive_document", "visit"}
    assert {one.layer for one in done if not one.rules} == waiting
    assert {one.layer for one in done} == {n for n, one in schemas.layers.items() if one.fabric}


def test_every_planted_fault_is_found_with_its_place(database, schemas, torn, findings):
    load_all(database, schemas, torn)
    joins.derive(database, schemas)
    done = check(database, schemas)
    found = findings(database)
    told = {(code, field, name) for _, field, code, key, value, _ in found for name in (key, value)}
    planted = json.loads((torn / "truth.json").read_text())
    assert len(planted) == 17 * TORN  # of seventeen kinds
    missed = [
        one for one in planted
        if (one["code"], one["field"], one["key"].replace("|", " ")) not in told
    ]  # fmt: skip
    assert missed == []
    assert all(shapely.from_wkb(row[5]).area > 0 for row in found if row[2] == "fabric.overlap")
    assert sum(one.errors for one in done) > 0


def test_tiles_change_nothing(database, schemas, torn, findings):
    load_all(database, schemas, torn)
    check(database, schemas, tile_rows=10_000)
    whole = findings(database)
    check(database, schemas, tile_rows=150)
    assert findings(database) == whole


def test_a_check_of_what_changed_ends_where_a_whole_one_does(
    database, schemas, torn, clean, findings
):
    load_all(database, schemas, torn)
    check(database, schemas)
    bad = findings(database)
    load_all(database, schemas, clean)
    done = {one.layer: one for one in check(database, schemas, changed=True)}
    assert findings(database) == []
    parcels = next(one for one in done.values() if one.layer == schemas.feed("parcels").layer)
    assert not parcels.whole
    assert 0 < parcels.rows < PARCELS
    load_all(database, schemas, torn)
    check(database, schemas, changed=True)
    assert findings(database) == bad


def test_nothing_has_changed_so_nothing_is_looked_at(database, schemas, torn, findings):
    load_all(database, schemas, torn)
    first = check(database, schemas)
    before = findings(database)
    again = check(database, schemas, changed=True)
    assert [one.rows for one in again] == [0] * len(first)
    assert [one.stands for one in again] == [one.stands for one in first]
    assert findings(database) == before


def test_an_undone_load_makes_the_next_check_a_whole_one(database, schemas, torn, clean, findings):
    load_all(database, schemas, clean)
    name = schemas.feed("parcels").layer
    load(database, schemas, "parcels", torn / "amlak.gpkg")
    with database.connect("loader") as connection:
        latest = ledger.runs(connection, limit=1)[0].id
    check(database, schemas)
    assert findings(database)
    undo(database, schemas, latest)
    done = check(database, schemas, changed=True)
    assert next(one for one in done if one.layer == name).whole
    assert findings(database) == []


def test_a_check_is_a_run_with_an_account(database, schemas, torn):
    load_all(database, schemas, torn)
    done = check(database, schemas, (schemas.feed("blocks").layer,))
    with database.connect("loader") as connection:
        for one in done:
            run = ledger.run(connection, one.run)
            assert (run.kind, run.status, run.layer) == ("fabric", "done", one.layer)
            assert run.account.closes
            assert run.arrived == one.rows


def test_postgis_finds_the_same_overlaps(database, schemas, torn, findings):
    """An answer that does not come from our code: every pair, by the database's own geometry."""
    load_all(database, schemas, torn)
    check(database, schemas)
    layer = schemas.feed("parcels").layer
    with database.connect("owner") as connection:
        expected = connection.execute(
            f"SELECT a.parcel_code, b.parcel_code FROM data.{layer} a JOIN data.{layer} b "
            "ON a.id < b.id AND ST_Intersects(a.geom, b.geom) "
            "WHERE ST_Area(ST_Intersection(a.geom, b.geom)) > 0.01 ORDER BY 1, 2".encode()
        ).fetchall()
        spilt = connection.execute(
            f"SELECT p.parcel_code FROM data.{layer} p WHERE (SELECT max(ST_Area("
            "ST_Intersection(p.geom, b.geom))) FROM data.block b WHERE p.geom && b.geom) "
            "< ST_Area(p.geom) - 0.1 ORDER BY 1".encode()
        ).fetchall()
    found = findings(database)
    rows = [one for one in found if one[0] == layer]
    assert [(one[3], one[4]) for one in rows if one[2] == "fabric.overlap"] == expected
    outside = sorted(one[3] for one in rows if (one[1], one[2]) == ("in_block", "fabric.outside"))
    assert outside == [row[0] for row in spilt]
    assert len(expected) == TORN


def test_the_command_says_what_stands_and_ends_with_1(database, schemas, torn):
    load_all(database, schemas, torn)
    words = ["--layer", schemas.feed("parcels").layer, "--json"]
    done = CliRunner().invoke(cli.check, words, obj=database.settings)
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert sum(one["errors"] for one in told) == sum(
        stood["count"] for one in told for stood in one["stands"] if stood["severity"] == "error"
    )
    plain = CliRunner().invoke(cli.check, ["--changed"], obj=database.settings)
    assert plain.exit_code == 1
    assert "fabric.overlap" in plain.stdout


def test_one_check_at_a_time(database, schemas):
    with database.connect("loader", autocommit=True) as connection:
        ledger.lock(connection, "fabric")
        with pytest.raises(DatabaseError, match="under way"):
            check(database, schemas)


def test_a_layer_that_no_rule_concerns_is_refused(database, schemas):
    lonely = next(
        name for name, one in schemas.layers.items()
        if not one.fabric
        and not any(r.other == name for other in schemas.layers.values() for r in other.fabric)
    )  # fmt: skip
    with pytest.raises(SettingsError, match="no fabric rule"):
        check(database, schemas, (lonely,))


def test_a_sheet_of_the_french_cadastre_is_sound(cluster, real_data, findings):
    """EDIGEO, Lambert 93 by an IGNF code: 389 parcels in a section whose code theirs begin with."""
    schemas = registry.load("provence_trial")
    path = real_data / "edigeo_cornillon" / "edigeo-130290000A01.tar.bz2"
    with testing.clone(testing.template(cluster, "provence_trial")) as database:
        for feed in ("sections", "parcels", "buildings"):
            load(database, schemas, feed, path)
        done = {one.layer: one for one in check(database, schemas)}
        found = findings(database)
        parcels = done[schemas.feed("parcels").layer]
        assert parcels.rows == 389
        assert {"apart", "in_block", "code_of_block"} <= set(parcels.rules)
        assert parcels.stands == []
        assert done[schemas.feed("sections").layer].run is not None
        assert next(one for one in done.values() if not one.rules).run is None
        beyond = [one for one in found if one[2] == "fabric.encroachment"]
        with database.connect("owner") as connection:
            expected = connection.execute(
                b"SELECT b.building_code FROM data.building b WHERE ST_Area(ST_Difference(b.geom, "
                b"ST_Buffer((SELECT p.geom FROM data.parcel p WHERE p.geom && b.geom ORDER BY "
                b"ST_Area(ST_Intersection(p.geom, b.geom)) DESC LIMIT 1), 0.05, 'join=mitre'))) "
                b"> 0.01 ORDER BY 1"
            ).fetchall()
        assert sorted(one[3] for one in beyond) == sorted(row[0] for row in expected)


def test_cambridge_is_checked_without_blocks(cambridge, real_data, findings):
    """Overlaps of what is loaded, against PostGIS' answer of the same rows; no block, no rule."""
    schemas = registry.load("cambridge")
    folder = real_data / "cambridge_ma"
    load(cambridge, schemas, "parcels", folder / "cadastre" / "ASSESSING_ParcelsFY2014.topojson")
    load(cambridge, schemas, "zoning", folder / "zoning" / "CDD_ZoningDistricts.geojson")
    done = check(cambridge, schemas)
    layer = schemas.feed("parcels").layer
    parcels = next(one for one in done if one.layer == layer)
    assert {"in_block", "has_front", "code_of_block"} <= set(parcels.unchecked)
    assert {"apart", "no_sliver", "in_zone"} <= set(parcels.rules)
    with cambridge.connect("owner") as connection:
        expected = connection.execute(
            f"SELECT a.parcel_code, b.parcel_code FROM data.{layer} a JOIN data.{layer} b "
            "ON a.id < b.id AND ST_Intersects(a.geom, b.geom) "
            "WHERE ST_Area(ST_Intersection(a.geom, b.geom)) * 0.3048006096 ^ 2 > 0.01 "
            "ORDER BY 1, 2".encode()
        ).fetchall()
    found = [(one[3], one[4]) for one in findings(cambridge) if one[2] == "fabric.overlap"
             and one[0] == layer]  # fmt: skip
    assert sorted(found) == sorted(expected)
    assert len(found) > 10
