"""Keeps facts and small scales fresh after edits: a process beside servers, or `makan derive`.

An edit wakes it when it is committed. What is behind stands in the ledger, so nothing is lost with
a process that dies: the next one looks first. Of several that would follow one does.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from threading import Event

import psycopg

from pipeline.answers.workforce import die_with_parent
from pipeline.contracts import audience
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.errors import MakanError
from pipeline.settings import Settings

log = logging.getLogger(__name__)
_NICE = 5
#: It looks that often without being woken, and comes back that much later after a failure.
_LOOK_S, _AWAY_S = 2.0, 2.0
#: Edits that follow each other so closely are looked at together.
_TOGETHER_S = 0.1
_TOLD_AFTER = 5


class Refresher:
    """Derives what hangs on layers that were written, by the login ``role``."""

    def __init__(self, database: Database, schemas: Schemas, role: str) -> None:
        """Nothing is connected yet."""
        self._database, self._schemas, self._role = database, schemas, role
        self._failed = 0

    def run(self, ending: Event) -> None:
        """Until ``ending`` is set. A database that is away, or busy deriving, is waited for."""
        named = queries.load("facts")
        while not ending.is_set():
            try:
                with self._database.connect(self._role, autocommit=True) as connection:
                    while not ending.is_set() and not connection.execute(named["alone"]).fetchone():
                        ending.wait(_LOOK_S)
                    connection.execute("LISTEN makan_edit")
                    while not ending.is_set():
                        self.catch_up(connection)
                        for _ in connection.notifies(timeout=_LOOK_S, stop_after=1):
                            time.sleep(_TOGETHER_S)
            except (MakanError, psycopg.Error) as error:
                self._failed += 1
                if self._failed == _TOLD_AFTER:
                    log.warning("facts are behind their layers: %s", error)
                ending.wait(_AWAY_S)

    def catch_up(self, connection: Connection) -> None:
        """Works out what edits have touched; raises what the database or the derivation raises."""
        rows = connection.execute(queries.load("facts")["edited"]).fetchall()
        layers = {str(row[0]) for row in rows}
        if layers:
            # A quarter of a second to import, and most servers never write.
            from pipeline.joins import derive as joins
            from pipeline.tiling.refresh import refresh

            database, schemas, role = self._database, self._schemas, self._role
            joins.derive(database, schemas, layers=layers, first=False, role=role)
            refresh(database, schemas, layers=layers, first=False, role=role)
        self._failed = 0


def role(settings: Settings) -> str | None:
    """The login by which a server of ``settings`` may follow: that of the audience that writes,
    whichever it serves itself. None where servers are given logins of their own, and not this."""
    if settings.database_url and settings.reader_url and not settings.writer_url:
        return None
    return next((one.writer for one in audience.table().values() if one.writer), None)


def follow(settings: Settings, schemas: Schemas) -> None:
    """The process beside a server: keeps facts fresh until it is told to end."""
    die_with_parent()
    os.nice(_NICE)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if name := role(settings):
        Refresher(Database(settings), schemas, name).run(told_to_end())


def told_to_end() -> Event:
    """Set when this process is told to end."""
    ending = Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(name, lambda *_: ending.set())
    return ending
