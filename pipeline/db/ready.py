"""Ready: connections that are made, and have looked up what they will need, before they are used.

A new backend of PostgreSQL loads PostGIS at its first geometry, and reads of a table what it is at
its first query: 20 ms, for which a load waits unless it has them done beside what it imports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.db import queries
from pipeline.db.engine import Connection, Database, Role, translated
from pipeline.derive.columns import DATA, GEOMETRY, HISTORY

_ROLE: Role = "loader"


class ReadyDatabase(Database):
    """A database that has some of the loader's connections in hand; every other is made anew."""

    def __init__(self, database: Database, layer: LayerContract) -> None:
        """For loads into ``layer``; nothing is connected before ``prepare``."""
        super().__init__(database.settings)
        self._layer = layer
        self._waiting: deque[Connection] = deque()

    def prepare(self, count: int) -> None:
        """Makes ``count`` connections; whatever goes wrong goes wrong again where one is asked for,
        and is told there."""
        with suppress(psycopg.Error):
            for _ in range(count):
                made = psycopg.connect(self.uri(_ROLE), autocommit=True)
                self._waiting.append(made)
                self.look_up(made)

    def look_up(self, connection: Connection) -> None:
        """Has the backend of ``connection`` look up what a load into the layer needs."""
        layer = self._layer
        parts = {
            "target": sql.Identifier(DATA, layer.id),
            "history": sql.Identifier(HISTORY, layer.id),
            "geom": (
                sql.Identifier("t", GEOMETRY) if layer.geometry else sql.SQL("NULL::geometry")
            ),
        }
        connection.execute(sql.SQL(queries.load("stage")["look_up"]).format(**parts))

    @contextmanager
    def connect(self, role: Role, *, autocommit: bool = False) -> Iterator[Connection]:
        """As any database's, from hand where there is one."""
        ready = self._waiting.popleft() if role == _ROLE and self._waiting else None
        if ready is None or ready.closed:
            with super().connect(role, autocommit=autocommit) as connection:
                yield connection
            return
        ready.autocommit = autocommit
        with translated(private=self.is_private), ready:
            yield ready

    def close(self) -> None:
        """Closes what nobody has asked for."""
        while self._waiting:
            self._waiting.popleft().close()
