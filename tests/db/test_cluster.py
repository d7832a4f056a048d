"""The private cluster: made once, started and stopped at will, closed to everybody else."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pipeline.contracts import registry
from pipeline.db import migrate as migration
from pipeline.db.cluster import SUPERUSER, Cluster
from pipeline.db.engine import Database
from pipeline.db.server_config import settings as tuned
from pipeline.errors import DatabaseError
from pipeline.settings import Settings


@pytest.fixture
def own(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "a" / "rather" / "deep" / "folder" / ("x" * 80))


def test_start_stop_and_remove(own: Cluster) -> None:
    try:
        assert own.start() is True
        assert own.start() is False
        assert own.is_running()
        assert stat.S_IMODE(own.state_file.stat().st_mode) == 0o600
        with psycopg.connect(own.uri(SUPERUSER, "postgres")) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
            assert connection.execute("SHOW password_encryption").fetchone() == ("scram-sha-256",)
        data = Path(own.state()["data"])
        assert data.stat().st_uid != 0
        assert own.stop() is True
        assert own.stop() is False
        assert own.start() is True
    finally:
        own.destroy()
    assert not own.exists
    assert not data.exists()


def test_passwords_are_asked_for_on_the_socket_and_on_loopback(cluster: Cluster) -> None:
    state = cluster.state()
    for host in (state["socket"], "127.0.0.1"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=host, port=state["port"], user=SUPERUSER, dbname="postgres")


def test_a_stopped_database_is_told_in_one_line(own: Cluster) -> None:
    database = Database(Settings(home=own.home))
    with (
        pytest.raises(DatabaseError, match=r"no private database yet.*makan db start"),
        database.connect("reader"),
    ):
        pass
    try:
        own.start()
        own.stop()
        with (
            pytest.raises(DatabaseError, match=r"does not answer\. Run `makan db start`"),
            database.connect("reader"),
        ):
            pass
        with pytest.raises(DatabaseError, match=r"does not answer\. Run `makan db start`"):
            migration.migrate(database, registry.load("qom"))
    finally:
        own.destroy()


def test_a_question_that_was_stopped_is_no_outage(database: Database) -> None:
    hasty = Database(replace(database.settings, statement_timeout_s=1))
    with (
        pytest.raises(DatabaseError, match=r"stopped a question.*MAKAN_STATEMENT_TIMEOUT_S"),
        hasty.connect("reader") as connection,
    ):
        connection.execute("SELECT pg_sleep(5)")


def test_settings_grow_with_the_machine() -> None:
    small, large = tuned(2_048, 1, 14), tuned(65_536, 16, 15)
    assert small["shared_buffers"] == "512MB"
    assert large["shared_buffers"] == "16384MB"
    assert int(large["max_parallel_workers"]) == 16
    assert (small["wal_compression"], large["wal_compression"]) == ("off", "lz4")


def test_a_database_without_a_connection_left_is_not_said_to_be_down(database: Database) -> None:
    name = sql.Identifier(database.settings.database)
    admin = database.cluster.uri(SUPERUSER, "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(name))
    with pytest.raises(DatabaseError, match="no connection left"), database.connect("loader"):
        pass


def test_notes_that_are_damaged_are_told_in_one_line(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.folder.mkdir()
    cluster.state_file.write_text('{"binaries": "/usr/lib')
    for ask in (cluster.start, cluster.stop, cluster.state):
        with pytest.raises(DatabaseError, match="are damaged"):
            ask()
