"""Derivation: what is worked out from layers in one snapshot, and says so itself if that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg

from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.errors import DatabaseError, MakanError


@contextmanager
def derivation(
    database: Database, role: str, group: str, names: Sequence[str], lock: str
) -> Iterator[Connection]:
    """A transaction of the login ``role`` in which all is of one moment, the only one of those that
    ask for ``lock``; another is waited for before the moment is chosen.

    If anything goes wrong nothing has changed, and ``names`` are marked as stale with the reason by
    the query ``trouble`` of ``group``: what stands is not wrong silently. Raises DatabaseError
    where another one takes longer than the login waits; that is no trouble.
    """
    began = False
    try:
        with database.connect(role) as connection:
            _alone(connection, lock)
            began = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection
    except BaseException as error:
        if began:
            said = str(error) if isinstance(error, MakanError) else type(error).__name__
            _mark(database, role, group, {"names": list(names), "trouble": said}, lock)
        raise


def _alone(connection: Connection, lock: str) -> None:
    """Holds ``lock`` until the connection ends."""
    try:
        connection.execute(queries.load("ledger")["alone"], {"name": lock})
    except psycopg.errors.LockNotAvailable:
        raise DatabaseError(
            "the same is being derived by another command", todo="Run `makan derive` after it."
        ) from None
    connection.commit()


def _mark(database: Database, role: str, group: str, values: dict[str, object], lock: str) -> None:
    # Whoever derives meanwhile says itself how it went, and must not find rows that have changed.
    # Without a database the ledger tells the same: its runs are later than those worked from.
    named = queries.load("ledger")["alone_now"]
    with suppress(MakanError, psycopg.Error), database.connect(role) as connection:
        row = connection.execute(named, {"name": lock}).fetchone()
        if row and row[0]:
            connection.execute(queries.load(group)["trouble"], values)
