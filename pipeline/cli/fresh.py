"""After a change of layers: the facts that hang on them are worked out again, where there are any.

What works them out takes a quarter of a second to import, so it is only asked for when needed.
"""

from __future__ import annotations

from pipeline.cli import options
from pipeline.db import queries
from pipeline.db.engine import Database
from pipeline.errors import MakanError
from pipeline.settings import Settings


def keep_fresh(settings: Settings, layers: set[str], *, first: bool) -> None:
    """After a change of ``layers``: what was loaded stands, whatever becomes of the facts.

    Facts that were never worked out wait for ``makan derive``, unless ``first``.
    """
    console, database = options.console(), Database(settings)
    try:
        if not first and not _any_derived(database):
            return
        from pipeline.cli.derive import told
        from pipeline.joins import derive as joins

        found = joins.derive(database, options.schemas(settings), layers=layers, first=first)
    except MakanError as error:
        console.print(f"facts are stale: {error}", markup=False, soft_wrap=True)
        return
    for one in found:
        console.print(told(one), markup=False, soft_wrap=True)


def _any_derived(database: Database) -> bool:
    with database.connect("loader") as connection:
        row = connection.execute(queries.load("facts")["any_derived"]).fetchone()
    return bool(row and row[0])
