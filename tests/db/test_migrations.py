"""Migrations and contracts agree, roles see what they may, on a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from pipeline import paths, testing
from pipeline.contracts import registry
from pipeline.contracts.audience import table as audience_table
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate as migration
from pipeline.db import statements
from pipeline.db.engine import Database
from pipeline.derive import columns, generalised, names, tables, views
from pipeline.errors import DatabaseError
from pipeline.settings import Settings


def _dump(database: Database) -> list[str]:
    """The structure of the layer tables, one normalised statement a line."""
    binaries = database.cluster.state()["binaries"]
    command = [
        f"{binaries}/pg_dump",
        "-s",
        *("-n", "data", "-n", "history", "-n", "derived"),
        "--no-owner",
        "--no-acl",
    ]
    done = subprocess.run(
        [*command, database.uri("owner")], capture_output=True, text=True, check=True
    )
    statements = re.sub(r"^(--.*|\\.*|SET .*|SELECT pg_catalog.*)$", "", done.stdout, flags=re.M)
    return sorted(re.sub(r"\s+", " ", s).strip() for s in statements.split(";") if s.strip())


@pytest.mark.parametrize("city", ["qom", "cambridge"])
def test_migrations_make_what_the_contracts_say(city: str, request: pytest.FixtureRequest) -> None:
    migrated: Database = request.getfixturevalue("database" if city == "qom" else "cambridge")
    schemas = registry.load(city)
    by_migration = _dump(migrated)
    with migrated.connect("owner") as connection:
        connection.execute("DROP SCHEMA data, history, derived CASCADE")
        connection.execute("CREATE SCHEMA data")
        connection.execute("CREATE SCHEMA history")
        connection.execute("CREATE SCHEMA derived")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(migrated.uri("owner"))
    )
    tables.metadata(schemas).create_all(engine)
    engine.dispose()
    with migrated.connect("owner") as connection:
        for statement in statements.remade(schemas):
            if any(s in statement for s in (" ADD CONSTRAINT ", 'VIEW "derived"', "keep_names")):
                connection.execute(statement.encode())
    assert _dump(migrated) == by_migration


def test_migrating_again_changes_nothing(database: Database, schemas: Schemas) -> None:
    before = _dump(database)
    migration.migrate(database, schemas)
    assert _dump(database) == before


def test_a_migration_has_its_functions_granted(database: Database, schemas: Schemas) -> None:
    """Also where no contract has changed with it: what one makes anew nobody may call yet."""
    may = "SELECT has_function_privilege('makan_loader', 'ops.names_filled(text)', 'execute')"
    with database.connect("owner") as connection:
        connection.execute("REVOKE ALL ON FUNCTION ops.names_filled(text) FROM makan_loader")
        migration._derive(connection, schemas)
        assert connection.execute(may).fetchone() == (False,)
        connection.execute("UPDATE ops.schema_version SET version_num = 'later'")
        migration._derive(connection, schemas)
        assert connection.execute(may).fetchone() == (True,)
        connection.rollback()


@pytest.mark.parametrize("name", ["public", "staff"])
def test_an_audience_sees_its_own_schema_alone(
    database: Database, schemas: Schemas, name: str
) -> None:
    audience = schemas.audience(name)
    others = [one.schema_name for one in schemas.audiences.values() if one is not audience]
    with database.connect(audience.role) as connection:
        found = connection.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'public')"
        ).fetchall()
        assert found
        assert all(str(row[0]).startswith(f"{audience.schema_name}.") for row in found)
        (path,) = connection.execute("SHOW search_path").fetchone() or ("",)
        assert path == f"{audience.schema_name},public"
    refused = ["SELECT * FROM data.parcel", "SELECT * FROM ops.run", "CREATE TABLE x ()"]
    refused += [f"SELECT * FROM {other}.makan_version" for other in others]
    refused += [f"SELECT * FROM {one}" for one in ("ops.access_key", "ops.finding")]
    refused += ["SET ROLE makan_owner", "SET ROLE makan_loader"]
    refused += [f"SET ROLE {one.login}" for one in schemas.audiences.values() if one != audience]
    for statement in refused:
        with (
            pytest.raises((DatabaseError, psycopg.errors.ReadOnlySqlTransaction)),
            database.connect(audience.role) as connection,
        ):
            connection.execute(statement)


def test_an_audience_that_asks_to_write_may_not(database: Database) -> None:
    for role in ("reader", "staff"):
        with (
            pytest.raises(DatabaseError),
            database.connect(role) as connection,
        ):
            connection.execute("SET transaction_read_only = off; DELETE FROM data.parcel")


def test_the_login_itself_is_bound(database: Database, schemas: Schemas) -> None:
    """Whatever session options its server sends or leaves out."""
    for audience in schemas.audiences.values():
        uri = database.cluster.uri(audience.login, database.settings.database)
        with psycopg.connect(uri) as connection:
            for name, expected in (
                ("default_transaction_read_only", "on"),
                ("statement_timeout", "30s"),
                ("idle_in_transaction_session_timeout", "30s"),
            ):
                assert connection.execute(f"SHOW {name}").fetchone() == (expected,)
            limit = connection.execute(
                "SELECT rolconnlimit, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles "
                "WHERE rolname = current_user"
            ).fetchone()
            assert limit == (audience.connections, False, False, False)


@pytest.mark.parametrize("name", ["public", "staff"])
def test_views_show_exactly_what_the_audience_sees(
    database: Database, schemas: Schemas, name: str
) -> None:
    audience = schemas.audience(name)
    with database.connect(audience.role) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = %s",
            [audience.schema_name],
        ).fetchall()
    shown: dict[str, set[str]] = {}
    for layer, column in rows:
        shown.setdefault(str(layer), set()).add(str(column))
    # Changes have no view of their own: they follow from versions.
    layers = [layer for layer in schemas.layers.values() if layer.source != "log"]
    seen = {layer.id for layer in layers if audience.sees(layer)}
    for layer in layers:
        expected = {schemas.city.published(field.name) for field in audience.fields(layer)}
        expected |= set(views.hidden_columns(schemas, layer, audience))
        system = {"id", "geom"} if layer.geometry else {"id"}
        assert shown.get(layer.id, set()) == (expected | system if layer.id in seen else set())
        # What was is no more than what is, and when.
        told = {"version_run", "version_by", "version_ended", "version_stands"}
        told |= {"valid_since", "valid_until"}
        past = expected - {columns.RUN} | system | told
        dated = layer.id in seen and layer.source == "feed"
        assert shown.get(views.versions_view(layer), set()) == (past if dated else set())
    # Beside the layers there is what tells of loads, pictures, models, documents, facts and names,
    # and the hashes of keys.
    beside = {views.VERSION, views.SOURCE, views.FRESHNESS, names.PLACE, names.NAME, views.JOB}
    beside |= {views.PUBLICATION, views.IMAGERY, views.RECEIPT, views.MODEL, views.QUALITY}
    beside |= {
        views.versions_view(schemas.layers[name])
        for name in seen
        if schemas.layers[name].source == "feed"
    }
    beside |= {views.ACCESS} if audience.needs_key else set()
    beside |= {views.fact_view(fact) for fact in views.facts_of(schemas, audience)}
    # What tiles read: layers from afar where their classes are seen, and where loads changed them.
    layers = [schemas.layers[name] for name in seen]
    beside |= {generalised.state_name(one) for one in layers if generalised.shown(one, audience)}
    beside |= {generalised.moved_name(one) for one in layers if generalised.has_moved(one)}
    assert all(fact.privacy in audience.privacy for fact in views.facts_of(schemas, audience))
    assert shown.keys() == seen | beside
    assert shown[views.VERSION] == {"layer", "run", "changes", "finished"}
    assert shown.get(views.ACCESS, set()) <= {"name", "key_sha256", "expires", "writes", "area"}


def test_staff_sees_more_than_everybody(schemas: Schemas) -> None:
    public, staff = schemas.audience("public"), schemas.audience("staff")
    more = 0
    for layer in schemas.layers.values():
        assert set(public.fields(layer)) <= set(staff.fields(layer))
        more += len(staff.fields(layer)) - len(public.fields(layer))
    assert more > 0


def test_a_further_audience_is_a_matter_of_configuration(
    qom_template: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registrar who sees P2 too: role, schema and views come from the one table."""
    root = Path(shutil.copytree(paths.schemas(), tmp_path / "schemas"))
    with (root / "audiences.toml").open("a", encoding="utf-8") as table:
        table.write(
            '[[audiences]]\nid = "registrar"\ntitle = { en = "Registrar", fa = "ثبت" }\n'
            'schema_name = "api_registrar"\nrole = "registrar"\nprivacy = ["P0", "P1", "P2"]\n'
            "needs_key = true\nconnections = 5\nport_offset = 2\n"
        )
    contract = root / "layers" / "parcel.toml"
    text = contract.read_text(encoding="utf-8")
    plate = text.index('name = "registration_plate"')
    contract.write_text(text[:plate] + 'privacy = "P2"\n' + text[plate:], encoding="utf-8")
    monkeypatch.setattr(paths, "schemas", lambda: root)
    audience_table.cache_clear()
    try:
        with testing.clone(qom_template) as cloned:
            changed = registry.load("qom", root)
            migration.migrate(cloned, changed)
            with cloned.connect("registrar") as connection:
                connection.execute("SELECT registration_plate FROM api_registrar.parcel")
            for role, schema in (("staff", "api_staff"), ("registrar", "api_staff")):
                with (
                    pytest.raises((DatabaseError, psycopg.errors.UndefinedColumn)),
                    cloned.connect(role) as connection,
                ):
                    connection.execute(f"SELECT registration_plate FROM {schema}.parcel")
    finally:
        audience_table.cache_clear()


def test_a_database_of_another_city_is_refused(database: Database) -> None:
    with pytest.raises(DatabaseError, match="belongs to the city qom"):
        migration.migrate(database, registry.load("cambridge"))
