"""Migrations and contracts agree, roles see what they may, on a real server."""

from __future__ import annotations

import re
import subprocess

import psycopg
import pytest
from sqlalchemy import create_engine

from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate as migration
from pipeline.db.engine import Database
from pipeline.derive import tables, views
from pipeline.errors import DatabaseError


def _dump(database: Database) -> list[str]:
    """The structure of the layer tables, one normalised statement a line."""
    binaries = database.cluster.state()["binaries"]
    command = [f"{binaries}/pg_dump", "-s", "-n", "data", "-n", "history", "--no-owner", "--no-acl"]
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
        connection.execute("DROP SCHEMA data, history CASCADE")
        connection.execute("CREATE SCHEMA data")
        connection.execute("CREATE SCHEMA history")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(migrated.uri("owner"))
    )
    tables.metadata(schemas).create_all(engine)
    engine.dispose()
    with migrated.connect("owner") as connection:
        for statement in migration.derived_statements(schemas):
            if " ADD CONSTRAINT " in statement:
                connection.execute(statement.encode())
    assert _dump(migrated) == by_migration


def test_migrating_again_changes_nothing(database: Database, schemas: Schemas) -> None:
    before = _dump(database)
    migration.migrate(database, schemas)
    assert _dump(database) == before


def test_reader_sees_the_api_schema_alone(database: Database) -> None:
    with database.connect("reader") as connection:
        found = connection.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'public')"
        ).fetchall()
        assert found
        assert all(str(row[0]).startswith("api.") for row in found)
    for refused in ("SELECT * FROM data.parcel", "SELECT * FROM ops.run", "CREATE TABLE x ()"):
        with (
            pytest.raises((DatabaseError, psycopg.errors.ReadOnlySqlTransaction)),
            database.connect("reader") as connection,
        ):
            connection.execute(refused)


def test_views_show_exactly_the_public_fields(database: Database, schemas: Schemas) -> None:
    with database.connect("reader") as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'api'"
        ).fetchall()
    shown: dict[str, set[str]] = {}
    for layer, column in rows:
        shown.setdefault(str(layer), set()).add(str(column))
    for layer in schemas.layers.values():
        expected = {schemas.city.published(field.name) for field in layer.public_fields}
        system = {"id", "geom"} if layer.geometry else {"id"}
        assert shown.get(layer.id, set()) == (expected | system if layer.is_public else set())
    # Beside the layers there is only what tells which load each is at: no files, no people.
    public = {layer.id for layer in schemas.layers.values() if layer.is_public}
    assert shown.keys() == public | {views.VERSION}
    assert shown[views.VERSION] == {"layer", "run", "changes", "finished"}


def test_a_database_of_another_city_is_refused(database: Database) -> None:
    with pytest.raises(DatabaseError, match="belongs to the city qom"):
        migration.migrate(database, registry.load("cambridge"))
