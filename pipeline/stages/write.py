"""Write: Arrow tables to PostgreSQL by binary COPY, in the background of reading and judging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import adbc_driver_postgresql.dbapi
import pyarrow as pa
from adbc_driver_manager import Error

from pipeline.db.engine import Database, unreachable
from pipeline.errors import MakanError, ResourceError

_NO_ROOM = ("53100", "53200")


class Writer:
    """One connection for COPY, and one thread that uses it."""

    def __init__(self, database: Database) -> None:
        """Nothing is connected before ``open``."""
        self.private = database.is_private
        self._uri = database.uri("loader")
        self._pending: Future[None] | None = None

    @contextmanager
    def open(self) -> Iterator[Writer]:
        """Connects; at the end no write is under way any more."""
        try:
            connection = adbc_driver_postgresql.dbapi.connect(self._uri)
        except Error as error:
            raise self._told(error) from None
        with (
            connection as self._copy,
            ThreadPoolExecutor(1, thread_name_prefix="makan-write") as self._thread,
        ):
            yield self

    def copy(self, schema: str, name: str, table: pa.Table) -> None:
        """Appends ``table`` to ``schema.name`` and commits; raises MakanError for the server's."""
        if not table.num_rows:
            return
        try:
            with self._copy.cursor() as cursor:
                cursor.adbc_ingest(name, table, mode="append", db_schema_name=schema)
            self._copy.commit()
        except Error as error:
            raise self._told(error) from None

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

    def _told(self, error: Error) -> MakanError | Error:
        """The server's troubles in our words; anything else is a fault of ours and stays."""
        state = error.sqlstate or ""
        if state in _NO_ROOM:
            return ResourceError(
                "the database server is out of room",
                todo="Free disk space and run the command again; nothing was half-loaded.",
            )
        gone = isinstance(error, adbc_driver_postgresql.dbapi.OperationalError)
        if gone and (not state or state.startswith(("08", "57P", "28"))):
            return unreachable(error, private=self.private)
        return error
