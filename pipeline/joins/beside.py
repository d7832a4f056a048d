"""Beside: facts worked out as a whole, each in a table that nobody reads until all are shown.

Readers find the old facts until the derivation is committed, and wait for nothing. The views over
facts are led to the new tables by one statement at its end, which takes their locks for a moment.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.facts import FACTS, KEPT

#: How long a moment is looked for in which nobody reads the facts; the statement itself waits half
#: a second, for which readers may have to wait behind it.
PATIENCE_S = 20.0
_PAUSE_S = 0.2


@dataclass
class Beside:
    """The facts that the connection's transaction has made beside those that are read."""

    connection: Connection
    made: dict[str, sql.Identifier] = field(default_factory=dict)

    def table(self, fact: str) -> sql.Identifier:
        """Where ``fact`` is as this transaction knows it."""
        return self.made.get(fact, sql.Identifier(FACTS, fact))

    def begin(self, fact: str) -> sql.Identifier:
        """An empty table for ``fact``, to be filled by a frozen COPY."""
        query = queries.load("facts")["beside"]
        row = self.connection.execute(query, {"fact": fact}).fetchone()
        self.made[fact] = sql.Identifier(KEPT, str(row[0]) if row else "")
        return self.made[fact]

    def show(self) -> bool:
        """Leads the views to what was made; the last thing that a transaction does. False: somebody
        reads them all the time, such as a backup, and nothing has changed."""
        query, until = queries.load("facts")["show"], time.monotonic() + PATIENCE_S
        while self.made:
            try:
                with self.connection.transaction():
                    self.connection.execute(query, {"facts": sorted(self.made)})
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if time.monotonic() > until:
                    return False
                time.sleep(_PAUSE_S)
            else:
                break
        return True
