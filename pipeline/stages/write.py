"""Write: Arrow tables to PostgreSQL by binary COPY, in the background of reading and judging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import (
    INGEST_OPTION_MODE,
    INGEST_OPTION_MODE_APPEND,
    INGEST_OPTION_TARGET_TABLE,
    AdbcConnection,
    AdbcStatement,
    Error,
    OperationalError,
    StatementOptions,
)

from pipeline.db.engine import Database, unreachable
from pipeline.errors import MakanError, ResourceError

_NO_ROOM = ("53100", "53200")
_SCHEMA = StatementOptions.INGEST_TARGET_DB_SCHEMA.value


class Writer:
    """One connection for COPY, and one thread that uses it."""

    def __init__(self, database: Database) -> None:
        """Nothing is connected before ``open``."""
        self.private = database.is_private
        self._uri = database.uri("loader")
        self._pending: Future[None] | None = None

    @contextmanager
    def open(self) -> Iterator[Writer]:
        """Connects; at the end no write is under way any more.

        ADBC's own classes, not its DB-API: that one waits for pandas to be imported.
        """
        with ExitStack() as stack:
            try:
                database = stack.enter_context(adbc_driver_postgresql.connect(self._uri))
                self._copy = stack.enter_context(AdbcConnection(database))
            except Error as error:
                raise self._told(error) from None
            thread = ThreadPoolExecutor(1, thread_name_prefix="makan-write")
            self._thread = stack.enter_context(thread)
            yield self

    def copy(self, schema: str, name: str, table: pa.Table) -> None:
        """Appends ``table`` to ``schema.name`` and commits; raises MakanError for the server's."""
        if not table.num_rows:
            return
        options = {
            INGEST_OPTION_TARGET_TABLE: name,
            INGEST_OPTION_MODE: INGEST_OPTION_MODE_APPEND,
            _SCHEMA: schema,
        }
        try:
            with AdbcStatement(self._copy) as statement:
                statement.set_options(**options)
                statement.bind_stream(table)
                statement.execute_update()
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
        gone = isinstance(error, OperationalError)
        if gone and (not state or state.startswith(("08", "57P", "28"))):
            return unreachable(error, private=self.private)
        return error
