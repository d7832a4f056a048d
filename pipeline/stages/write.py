"""Write: Arrow tables to PostgreSQL by binary COPY, in the background of reading and judging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.db.bulk import copy_table
from pipeline.db.engine import Database
from pipeline.errors import GuardError


@contextmanager
def refused() -> Iterator[None]:
    """Checked rows meet every constraint of their own; what is left is a clash with rows of other
    feeds, or constraints that contracts have outrun."""
    try:
        yield
    except psycopg.IntegrityError as error:
        # Of a clash it says between which keys; of a broken check, all that stands in the row.
        clash = not isinstance(error, psycopg.errors.CheckViolation)
        said = f": {error.diag.message_detail}" if clash and error.diag.message_detail else ""
        raise GuardError(
            f"the published layer refuses the delivery ({error.diag.constraint_name}{said})",
            todo="Nothing was published. Run `makan db migrate`; look for the same value in rows "
            "of another feed.",
        ) from error


class Writer:
    """One connection that commits every table, and one thread that works in the background."""

    def __init__(self, database: Database) -> None:
        """Nothing is connected before ``open``."""
        self.database = database
        self._pending: Future[None] | None = None

    @contextmanager
    def open(self) -> Iterator[Writer]:
        """Connects; at the end no write is under way any more."""
        with (
            self.database.connect("loader", autocommit=True) as self.connection,
            ThreadPoolExecutor(1, thread_name_prefix="makan-write") as self._thread,
        ):
            yield self

    @contextmanager
    def settled(self) -> Iterator[None]:
        """At the end of the block no write is under way, however it ends.

        To be entered last: connections that writes use are closed afterwards, never under a COPY
        of another thread.
        """
        try:
            yield
        finally:
            with suppress(Exception):
                self.wait()

    def copy(self, schema: str, name: str, table: pa.Table) -> None:
        """Appends ``table`` to ``schema.name`` and commits."""
        copy_table(self.connection, sql.Identifier(schema, name), table)

    def later(self, work: Callable[[], None]) -> None:
        """Has ``work`` done in the background, after what was asked for before is done.

        So no more than two batches are held, and an error shows at the next call.
        """
        self.wait()
        self._pending = self._thread.submit(work)

    def wait(self) -> None:
        """Returns when everything is written; raises what went wrong."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
