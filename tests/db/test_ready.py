"""Connections that are made before they are used are as those that are made when they are used."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
import pytest

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Connection, Database
from pipeline.db.ready import ReadyDatabase
from pipeline.errors import DatabaseError


def _backend(connection: Connection) -> int:
    return connection.info.backend_pid


def _are(database: Database, wanted: int) -> bool:
    """Whether there are so many connections of loaders; a backend ends just after its client."""
    end = time.monotonic() + 10
    with database.connect("owner", autocommit=True) as owner:
        while time.monotonic() < end:
            row = owner.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'makan-loader'"
            ).fetchone()
            if row == (wanted,):
                return True
            time.sleep(0.02)
    return False


@pytest.mark.parametrize("layer", ["parcel", "building_unit"])
def test_connections_in_hand_are_given_first_and_closed_at_the_end(
    database: Database, schemas: Schemas, layer: str
) -> None:
    with closing(ReadyDatabase(database, schemas.layer(layer))) as ready:
        ready.prepare(2)
        assert _are(database, 2)
        with ready.connect("loader") as one, ready.connect("loader", autocommit=True) as two:
            assert (one.autocommit, two.autocommit) == (False, True)
            assert _are(database, 2)
            with ready.connect("loader") as three:
                assert len({_backend(one), _backend(two), _backend(three)}) == 3
        assert _are(database, 0)
        ready.prepare(1)
    assert _are(database, 0)


def _fails(database: Database) -> None:
    with database.connect("loader") as one:
        one.execute("CREATE TABLE stage.left_over ()")
        raise ZeroDivisionError


def test_a_block_that_fails_changes_nothing(database: Database, schemas: Schemas) -> None:
    with closing(ReadyDatabase(database, schemas.layer("parcel"))) as ready:
        ready.prepare(1)
        with pytest.raises(ZeroDivisionError):
            _fails(ready)
    with database.connect("loader") as other:
        assert other.execute("SELECT to_regclass('stage.left_over')").fetchone() == (None,)


def test_a_connection_that_is_known_to_be_gone_is_made_anew(
    database: Database, schemas: Schemas
) -> None:
    with closing(ReadyDatabase(database, schemas.layer("parcel"))) as ready:
        ready.prepare(1)
        with database.connect("loader") as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname ="
                " current_database() AND application_name = 'makan-loader'"
                " AND pid <> pg_backend_pid()"
            )
        with pytest.raises(psycopg.OperationalError):
            ready.look_up(ready._waiting[0])
        with ready.connect("loader") as one:
            assert one.execute("SELECT 1").fetchone() == (1,)


def test_what_keeps_them_from_being_made_is_told_where_one_is_asked_for(
    database: Database, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(ReadyDatabase(database, schemas.layer("parcel"))) as ready:
        monkeypatch.setattr(
            Database, "uri", lambda *_: psycopg.conninfo.make_conninfo(host="/nowhere", port=1)
        )
        ready.prepare(2)
        with pytest.raises(DatabaseError), ready.connect("loader"):
            pass
