"""Asks the database, as the role of the audience, on behalf of requests.

Nothing waits without a bound: a connection two seconds, an answer as long as a statement may run.
A query whose client has gone is cancelled. A connection that broke (the server was restarted) is
replaced once without the client noticing.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Awaitable, Callable, Generator
from itertools import count
from typing import Any

import psycopg
from psycopg import AsyncConnection, waiting
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pipeline.db.engine import RECONNECT_S, Database
from pipeline.serve.clause import template
from pipeline.serve.query import Statement

Row = tuple[Any, ...]
Gone = Callable[[], Awaitable[bool]]
_CONNECTION_S = 2.0
_UNWATCHED_S = 0.25
_WATCH_EVERY_S = 0.5
_CANCEL_S = 0.5
_PIECE_MS = 1
_FEW = 3
_GATHER_S = 50e-6


class _Text(Loader):
    """Text as the bytes it came as: features are passed on, not looked into."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class _AsItCame(Loader):
    """The bytes where the driver has them, without a copy: SQL marks what is large by a cast to
    varchar, which costs nothing there."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Buffer:
        return data


_Waits = Generator[waiting.Wait, waiting.Ready | int, Any]


def _in_one_go(answer: _Waits, socket: int) -> _Waits:
    """``answer``, which waits itself for more of what has begun to come: that is a row which is
    ready, in pieces of 8 kB, and to go round the loop for each costs more than the pieces do."""
    try:
        wanted = next(answer)
        wanted = answer.send((yield wanted))
        poll = select.poll()
        poll.register(socket, select.POLLIN)
        for piece in count():
            if piece >= _FEW:
                # Whoever is woken by each piece costs both sides more still: now they gather.
                time.sleep(_GATHER_S)
            come = wanted == waiting.Wait.R and poll.poll(_PIECE_MS)
            wanted = answer.send(waiting.Ready.R if come else (yield wanted))
    except StopIteration as done:
        return done.value


class _Connection(AsyncConnection[Row]):
    """A connection on which long answers come in one go."""

    async def wait(self, gen: _Waits, *given: Any, **more: Any) -> Any:
        """As the connection does it."""
        return await super().wait(_in_one_go(gen, self.pgconn.socket), *given, **more)


async def _configure(connection: _Connection) -> None:
    connection.adapters.register_loader("text", _Text)
    connection.adapters.register_loader("varchar", _AsItCame)
    await connection.execute("SET TIME ZONE 'UTC'")


async def _configure_alone(connection: _Connection) -> None:
    await _configure(connection)
    await connection.execute(template("alone"))


async def _abandon(task: asyncio.Task[Row | None]) -> None:
    """Cancels the query. A server that hangs does not even hear that: it is not waited for."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    task.cancel()
    await asyncio.wait((task,), timeout=_CANCEL_S)


class Reader:
    """A pool of connections of one worker, which read unless said otherwise."""

    def __init__(self, database: Database, role: str, *, size: int, alone: bool = False) -> None:
        """For at most ``size`` queries of ``role`` at once; nothing is connected yet. ``alone``:
        each query is worked at by one process, so its rows come in the same order every time."""
        self._limit_s = database.settings.statement_timeout_s
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            database.uri(role),
            connection_class=_Connection,
            min_size=1,
            max_size=size,
            timeout=_CONNECTION_S,
            reconnect_timeout=RECONNECT_S,
            open=False,
            configure=_configure_alone if alone else _configure,
            kwargs={"autocommit": True},
        )

    async def open(self) -> bool:
        """Connects; False when the database does not answer: then what is asked later connects."""
        await self._pool.open()
        try:
            async with self._pool.connection(2 * _CONNECTION_S):
                return True
        except PoolTimeout:
            return False

    async def close(self) -> None:
        """Lets every connection go."""
        await self._pool.close(timeout=1.0)

    async def row(self, statement: Statement, gone: Gone | None = None) -> Row | None:
        """The first row; raises TimeoutError when it takes too long or the client has gone.

        Whether the client is still there is looked up only when the answer is slow to come.
        """
        loop = asyncio.get_running_loop()
        # It begins here and now: the question is on its way before anything else is done.
        task = asyncio.Task(self._ask(statement), loop=loop, eager_start=True)
        end = loop.time() + self._limit_s
        try:
            if not task.done():
                await asyncio.wait((task,), timeout=_UNWATCHED_S)
            while not task.done():
                left = end - asyncio.get_running_loop().time()
                if left <= 0 or (gone is not None and await gone()):
                    raise TimeoutError
                await asyncio.wait((task,), timeout=min(left, _WATCH_EVERY_S))
            return task.result()
        finally:
            if not task.done():
                await _abandon(task)

    async def write(self, statement: Statement) -> Row | None:
        """The first row of a statement that writes; it is tried once, as it may have been done."""
        async with (
            asyncio.timeout(self._limit_s),
            self._pool.connection() as connection,
            connection.transaction(),
        ):
            await connection.execute("SET TRANSACTION READ WRITE")
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement.sql, statement.values)
            return await cursor.fetchone()

    async def _ask(self, statement: Statement) -> Row | None:
        try:
            return await self._once(statement)
        except PoolTimeout:
            raise  # nobody answers: to wait once more would double the time until that is told
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if isinstance(error, psycopg.errors.QueryCanceled) or error.sqlstate == "53100":
                raise
            # The connections of before a restart are all dead: drop them, then ask once more.
            await self._pool.check()
            return await self._once(statement)

    async def _once(self, statement: Statement) -> Row | None:
        # What is prepared is, after some times, planned for any value.
        prepare = False if statement.anew else None
        connection = await self._pool.getconn()
        try:
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement.sql, statement.values, prepare=prepare)
            return await cursor.fetchone()
        finally:
            await self._pool.putconn(connection)
