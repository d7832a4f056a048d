"""MAKAN_DATABASE_URL: a server that is not Makan's, with a login that is no superuser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pipeline.contracts import registry
from pipeline.db import migrate as migration
from pipeline.db.cluster import SUPERUSER, Cluster
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError
from pipeline.settings import Settings


@pytest.fixture
def shared_url(tmp_path: Path) -> Iterator[str]:
    """A database on a server of its own, prepared by its administrator with PostGIS only."""
    cluster = Cluster(tmp_path / "server")
    cluster.start()
    state = cluster.state()
    try:
        with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as admin:
            admin.execute("CREATE ROLE cityhall LOGIN CREATEROLE PASSWORD 'not-a-secret'")
            admin.execute("CREATE DATABASE city OWNER cityhall")
        with psycopg.connect(cluster.uri(SUPERUSER, "city")) as admin:
            for extension in ("postgis", "btree_gist", "pg_trgm"):
                admin.execute(f"CREATE EXTENSION {extension}".encode())
        yield f"postgresql://cityhall:not-a-secret@127.0.0.1:{state['port']}/city"
    finally:
        cluster.destroy()


def test_a_shared_server_is_prepared_and_used_by_role(shared_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=shared_url)
    database = Database(settings)
    schemas = registry.load("qom")
    migration.migrate(database, schemas)
    migration.migrate(database, schemas)
    with database.connect("reader") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("makan_reader",)
        assert connection.execute("SELECT count(*) FROM api.parcel").fetchone() == (0,)
        timeout = connection.execute("SHOW statement_timeout").fetchone()
        assert timeout == (f"{settings.statement_timeout_s}s",)
    with (
        pytest.raises(DatabaseError, match="may not do this"),
        database.connect("reader") as connection,
    ):
        connection.execute("SELECT * FROM data.parcel")
    with database.connect("staff") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("makan_staff",)
        assert connection.execute("SELECT count(*) FROM api_staff.postcode").fetchone() == (0,)
    for statement in ("SELECT * FROM data.postcode", "SELECT * FROM ops.access_key"):
        with (
            pytest.raises(DatabaseError, match="may not do this"),
            database.connect("staff") as connection,
        ):
            connection.execute(statement.encode())


def _makan(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MAKAN_")}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        env={**clean, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_line_uses_it(shared_url: str, tmp_path: Path) -> None:
    environment = {"MAKAN_DATABASE_URL": shared_url, "MAKAN_HOME": str(tmp_path / "home")}
    done = _makan("db", "migrate", **environment)
    assert done.returncode == 0, done.stderr
    done = _makan("db", "status", "--json", **environment)
    assert '"kind": "MAKAN_DATABASE_URL"' in done.stdout
    assert not (tmp_path / "home" / "db").exists()
    done = _makan("db", "stop", **environment)
    assert done.returncode == 2
    assert "not Makan's to stop" in done.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://cityhall:secret-word@127.0.0.1:1/city", "does not answer"),
        ("certainly not an address", "is not a PostgreSQL address"),
    ],
)
def test_what_is_wrong_with_the_address_is_said_in_one_line_without_the_secret(
    url: str, said: str, tmp_path: Path
) -> None:
    done = _makan("db", "migrate", MAKAN_DATABASE_URL=url, MAKAN_HOME=str(tmp_path))
    assert done.returncode == 6
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "secret-word" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_password_is_said_without_it(shared_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=shared_url.replace("not-a-secret", "hush"))
    with pytest.raises(DatabaseError, match="refuses the login") as caught:
        migration.migrate(Database(settings), registry.load("qom"))
    assert "hush" not in str(caught.value)


def test_a_reader_may_have_a_login_of_its_own(shared_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=shared_url)
    migration.migrate(Database(settings), registry.load("qom"))
    with psycopg.connect(shared_url) as admin:
        admin.execute("CREATE ROLE map_server LOGIN PASSWORD 'map' IN ROLE makan_reader")
    own = replace(
        settings, reader_url=shared_url.replace("cityhall:not-a-secret", "map_server:map")
    )
    with Database(own).connect("reader") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("map_server",)
        assert connection.execute("SELECT count(*) FROM api.parcel").fetchone() == (0,)
    # A login that may only be the public's reader cannot be made to serve staff.
    with (
        pytest.raises(DatabaseError, match="may not do this"),
        Database(own).connect("staff") as connection,
    ):
        connection.execute("SELECT count(*) FROM api_staff.postcode")
