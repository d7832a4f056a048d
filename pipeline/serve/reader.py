"""Asks the database, as the role reader, on behalf of requests.

Nothing waits without a bound: a connection two seconds, an answer as long as a statement may run.
A query whose client has gone is cancelled. A connection that broke (the server was restarted) is
replaced once without the client noticing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool

from pipeline.db.engine import Database
from pipeline.serve.query import Statement

Row = tuple[Any, ...]
Gone = Callable[[], Awaitable[bool]]
_CONNECTION_S = 2.0
_UNWATCHED_S = 0.25
_WATCH_EVERY_S = 0.5


class _Text(Loader):
    """Text as the bytes it came as: features are passed on, not looked into."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


async def _configure(connection: AsyncConnection[Row]) -> None:
    connection.adapters.register_loader("text", _Text)
    await connection.execute("SET TIME ZONE 'UTC'")


class Reader:
    """A pool of read-only connections of one worker."""

    def __init__(self, database: Database, *, size: int) -> None:
        """For at most ``size`` queries at once; nothing is connected yet."""
        self._limit_s = database.settings.statement_timeout_s
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            database.uri("reader"),
            min_size=1,
            max_size=size,
            timeout=_CONNECTION_S,
            open=False,
            configure=_configure,
            kwargs={"autocommit": True},
        )

    async def open(self) -> None:
        """Connects; raises PoolTimeout when the database does not answer."""
        await self._pool.open(wait=True, timeout=2 * _CONNECTION_S)

    async def close(self) -> None:
        """Lets every connection go."""
        await self._pool.close(timeout=1.0)

    async def row(self, statement: Statement, gone: Gone | None = None) -> Row | None:
        """The first row; what psycopg raises becomes an answer in ``errors.of``."""
        async with asyncio.timeout(self._limit_s):
            if gone is None:
                return await self._ask(statement)
            return await self._watched(statement, gone)

    async def _watched(self, statement: Statement, gone: Gone) -> Row | None:
        """Looks whether the client is still there, but only when it takes long."""
        task = asyncio.ensure_future(self._ask(statement))
        try:
            await asyncio.wait((task,), timeout=_UNWATCHED_S)
            while not task.done():
                if await gone():
                    raise TimeoutError("the client has gone")
                await asyncio.wait((task,), timeout=_WATCH_EVERY_S)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=1.0)

    async def _ask(self, statement: Statement) -> Row | None:
        try:
            return await self._once(statement)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if isinstance(error, psycopg.errors.QueryCanceled) or error.sqlstate == "53100":
                raise
            # The connections of before a restart are all dead: drop them, then ask once more.
            await self._pool.check()
            return await self._once(statement)

    async def _once(self, statement: Statement) -> Row | None:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement.sql, statement.values)
            return await cursor.fetchone()
