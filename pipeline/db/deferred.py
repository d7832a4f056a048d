"""Deferred: the indexes that a bulk load leaves to be made when its rows are there.

A layer is whole without them. So they are made after the commit, several at once, which one
transaction could not; and whatever a killed load left unmade the next one makes first.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pipeline.db import queries
from pipeline.db.engine import Connection, Database

_AT_ONCE = 2


def make(database: Database, connection: Connection, layer: str | None = None) -> None:
    """Makes what is left to be made for ``layer``, or for every layer.

    ``connection`` is the loader's, in autocommit. Of two that call it at once one waits.
    """
    named = queries.load("fill")
    rows = connection.execute(named["deferred"], {"layer": layer}).fetchall()
    if not rows:
        return

    def one(place: object) -> None:
        with database.connect("loader", autocommit=True) as own:
            own.execute(named["make_deferred"], {"place": place})

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="makan-index") as threads:
        list(threads.map(one, [place for (place,) in rows]))
