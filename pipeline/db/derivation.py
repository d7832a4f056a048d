"""Derivation: what is worked out from layers in one snapshot, and says so itself if that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg

from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.errors import MakanError


@contextmanager
def derivation(
    database: Database, role: str, group: str, names: Sequence[str]
) -> Iterator[Connection]:
    """A transaction of the login ``role`` in which all is of one moment.

    If anything goes wrong nothing has changed, and ``names`` are marked as stale with the reason by
    the query ``trouble`` of ``group``: what stands is not wrong silently.
    """
    try:
        with database.connect(role) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection
    except BaseException as error:
        said = str(error) if isinstance(error, MakanError) else type(error).__name__
        values = {"names": list(names), "trouble": said}
        # Without a database the ledger tells the same: its runs are later than those worked from.
        with suppress(MakanError, psycopg.Error), database.connect(role) as connection:
            connection.execute(queries.load(group)["trouble"], values)
        raise
