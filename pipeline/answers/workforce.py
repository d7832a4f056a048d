"""The processes that work at jobs: begun beside a server or by ``makan jobs work``, and begun again
when one dies. A process of their own, so that a long question keeps no short one waiting."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from pipeline.answers.bundles import Binder
from pipeline.answers.worker import Worker
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.settings import Settings

log = logging.getLogger(__name__)

#: Begins, in a worker, what makes the files of its jobs.
Begin = Callable[[Settings, Schemas], Binder]
#: What else a process beside a server does until it is told to end.
Beside = Callable[[Settings, Schemas], None]

_PR_SET_PDEATHSIG = 1
_NICE = 5
_LOOK_S = 1.0
_GRACE_S = 5.0
_fork = multiprocessing.get_context("fork")


def die_with_parent() -> None:
    """This process is told to end when its parent is killed outright (Linux)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return


class Workforce:
    """The process beside a server that looks after its workers."""

    def __init__(
        self,
        settings: Settings,
        close: Callable[[], None],
        binder: Begin,
        beside: tuple[Beside, ...] = (),
    ) -> None:
        """For the audience of ``settings``; ``close`` lets go in it of what the server alone
        holds, ``binder`` begins what makes the files of jobs; each ``beside`` has a process of its
        own. Nothing is begun yet."""
        self._settings, self._close, self._binder = settings, close, binder
        self._beside = beside
        self._process: BaseProcess | None = None

    def begin(self, schemas: Schemas) -> None:
        """Workers by ``schemas``; those of before give their jobs back, and end."""
        if self._process is not None:
            self._process.terminate()
        if self._settings.job_workers or self._beside:
            self._process = _fork.Process(target=self._run, args=(schemas,), name="makan-jobs")
            self._process.start()

    def _run(self, schemas: Schemas) -> None:
        self._close()
        supervise(self._settings, schemas, self._binder, self._beside)

    def end(self) -> None:
        """Lets the workers give their jobs back, and waits until they have ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(2 * _GRACE_S)


def supervise(
    settings: Settings, schemas: Schemas, binder: Begin, beside: tuple[Beside, ...] = ()
) -> None:
    """Keeps the workers, and what is ``beside``, at work until this process is told to end."""
    die_with_parent()
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True

    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(name, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    places = [partial(_work, settings, schemas, binder)] * settings.job_workers
    places += [partial(one, settings, schemas) for one in beside]
    workers: list[BaseProcess] = []
    while not ending:
        workers = [
            workers[place] if place < len(workers) and workers[place].is_alive() else _begun(does)
            for place, does in enumerate(places)
        ]
        connection.wait([worker.sentinel for worker in workers], timeout=_LOOK_S)
    _ended(workers)


def _ended(workers: list[BaseProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_GRACE_S)
        if worker.is_alive():
            worker.kill()


def _begun(does: Callable[[], None]) -> BaseProcess:
    process = _fork.Process(target=does, name="makan-worker")
    process.start()
    return process


def _work(settings: Settings, schemas: Schemas, binder: Begin) -> None:
    die_with_parent()
    os.nice(_NICE)
    made = binder(settings, schemas)
    try:
        asyncio.run(_until_told(settings, schemas, made))
    finally:
        made.close()


async def _until_told(settings: Settings, schemas: Schemas, binder: Binder) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    audience = schemas.audience(settings.audience)
    await Worker(Database(settings), schemas, audience, binder).run(stop)
