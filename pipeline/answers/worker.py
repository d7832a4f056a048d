"""Works at jobs: takes one at a time, says that it is at it, keeps the answer or why there is none.

A worker asks the database with the login of its audience, so that a job is told nothing that a
question at once would not be. It has two connections: one that answers, which is cancelled when the
job is dismissed, and one that speaks with the list of jobs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from contextlib import AsyncExitStack, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection

from pipeline.answers import bundles
from pipeline.answers.ask import Answerer, Ask
from pipeline.answers.bundles import Binder
from pipeline.answers.jobs import Claimed, Jobs, packed
from pipeline.answers.problems import problem_of
from pipeline.answers.registrar import Registrar
from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError

log = logging.getLogger(__name__)

_Connection = AsyncConnection[tuple[Any, ...]]
_BEAT_S = 1.0
_IDLE_S = 2.0
_AWAY_S = 2.0
_MOST_ATTEMPTS = 3
_TOLD_AFTER = 10


class Worker:
    """One worker of one audience's jobs."""

    def __init__(
        self,
        database: Database,
        schemas: Schemas,
        audience: Audience,
        binder: Binder | None = None,
    ) -> None:
        """Nothing is connected yet. Without a ``binder`` jobs have answers, and no files."""
        self._binder = binder
        self._database, self._schemas, self._audience = database, schemas, audience
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._progress = 0

    async def run(self, stop: asyncio.Event, *, until_idle: bool = False) -> int:
        """Works until ``stop`` is set, or there is no job; how many were done. A database that
        is away is waited for."""
        done = failed = 0
        if self._binder:
            self._binder.sweep(self._database.settings.job_keep_days)
        while not stop.is_set():
            try:
                done += await self._work(stop, until_idle=until_idle)
                failed = 0
            except (psycopg.OperationalError, psycopg.InterfaceError, DatabaseError) as error:
                failed += 1
                if failed == _TOLD_AFTER:
                    log.warning("jobs wait: the database is away (%s)", type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _AWAY_S)
            if until_idle:
                break
        return done

    async def _work(self, stop: asyncio.Event, *, until_idle: bool) -> int:
        done = 0
        limit = self._database.settings.job_timeout_s
        async with AsyncExitStack() as stack:
            asked = await stack.enter_async_context(await self._connect(limit, write=False))
            control = await stack.enter_async_context(await self._connect(10, write=True))
            await control.execute("LISTEN makan_job")
            ask = _asking(control)
            jobs = Jobs(self._audience, ask, ask, keep_days=self._database.settings.job_keep_days)
            answerer = self._answerer(_asking(asked))
            await jobs.sweep()
            while not stop.is_set():
                job = await jobs.claim(self.name)
                if job is not None:
                    await self._do(job, jobs, answerer, _asking(control), stop)
                    done += 1
                elif until_idle:
                    break
                else:
                    await _woken(control)
                    await jobs.sweep()
        return done

    def _answerer(self, ask: Ask) -> Answerer:
        settings = self._database.settings
        registrar = Registrar(settings, self._schemas, self._audience, ask)
        return Answerer(self._schemas, self._audience, ask, settings.home, registrar)

    async def _connect(self, limit_s: int, *, write: bool) -> _Connection:
        connection = await AsyncConnection.connect(
            self._database.uri(self._audience.role), autocommit=True
        )
        settings = {
            "statement_timeout": f"{limit_s}s",
            "default_transaction_read_only": "off" if write else "on",
            "timezone": "UTC",
            # What a worker asked that was killed does not run on; PostgreSQL 13 has no such thing.
            "client_connection_check_interval": "2s",
        }
        known = "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = %s"
        for name, value in settings.items():
            await connection.execute(known, (value, name))
        return connection

    async def _do(
        self, job: Claimed, jobs: Jobs, answerer: Answerer, write: Ask, stop: asyncio.Event
    ) -> None:
        if job.attempts > _MOST_ATTEMPTS:
            said = f"{_MOST_ATTEMPTS} workers died of this job; it is not tried again"
            await jobs.fail(job.id, self.name, {"status": 500, "code": "Failed", "detail": said})
            return
        self._progress = 0
        task = asyncio.create_task(self._answered(job, answerer, write))
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=_BEAT_S)
                if not task.done() and stop.is_set():
                    await jobs.release(job.id, self.name)
                    return
                if not task.done() and not await jobs.beat(job.id, self.name, self._progress, None):
                    await _cancelled(task)
                    if self._binder:
                        bundles.drop(self._binder.home, job.id)
                    return
            await self._keep(job, jobs, task)
        finally:
            await _cancelled(task)

    async def _answered(self, job: Claimed, answerer: Answerer, write: Ask) -> bytes:
        async with asyncio.timeout(self._database.settings.job_timeout_s):
            answer = await answerer.answer(job.process, job.inputs, tell=self._tell)
        process = answerer.processes[job.process]
        if process.bundle and self._binder:
            # As long as there are documents to be made: each of them has its own limit.
            told = (answer, job.inputs, answerer, write, self._tell)
            answer = await self._binder.bound(job.id, process, *told)
        return await asyncio.to_thread(packed, answer)

    def _tell(self, percent: int) -> None:
        self._progress = percent

    async def _keep(self, job: Claimed, jobs: Jobs, task: asyncio.Task[bytes]) -> None:
        error = task.exception()
        if error is None:
            await jobs.succeed(job.id, self.name, task.result())
            return
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not isinstance(
            error, psycopg.errors.QueryCanceled
        ):
            raise error  # the database went away: the job will be taken again
        problem = problem_of(error)
        if problem["status"] == 500:
            log.error("the job %s failed", job.id, exc_info=error)
        await jobs.fail(job.id, self.name, problem)


def _asking(connection: _Connection) -> Ask:
    async def ask(query: bytes, values: dict[str, Any]) -> tuple[Any, ...] | None:
        return await (await connection.execute(query, values, binary=True)).fetchone()

    return ask


async def _woken(control: _Connection) -> None:
    """Waits until there may be a job, or it is time to look all the same."""
    async for _ in control.notifies(timeout=_IDLE_S, stop_after=1):
        pass


async def _cancelled(task: asyncio.Task[bytes]) -> None:
    """Ends the work; the driver cancels what the database is at."""
    if not task.done():
        task.cancel()
    with suppress(BaseException):
        await task
