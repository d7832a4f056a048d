"""Where tasks run: ``local`` processes, or a Dask cluster by its address. Results are the same.

A task is a function of a module and one argument, both of which can be pickled; what it makes goes
to files that its argument names. A worker that dies takes nothing with it but its task, which is
given to another one; a task that has cost three workers is not tried again.
"""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Protocol

from pipeline.errors import ResourceError, SettingsError
from pipeline.spread.lane import Lane, LostWorkerError

LOSSES = 3
_DASK = re.compile(r"(dask|tcp|tls)://[^/\s]+")
_LOCAL = re.compile(r"local(?::([1-9]\d{0,2}))?")

Watch = Callable[[int, int], None]
#: Of a stage that begins: who is told how many of its tasks are done, if anybody.
Watching = Callable[[str], Watch | None]


class Executor(Protocol):
    """Runs tasks."""

    def each[T, R](self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """The number of each task and its result, as they come; raises what a task raises."""
        ...


def of(text: str, jobs: int = 0) -> Executor:
    """The executor that ``text`` names: ``local``, ``local:4`` or ``dask://HOST:PORT``; ``jobs``
    processes at once locally, as many as there are processors if 0. SettingsError for another."""
    if _DASK.fullmatch(text):
        from pipeline.spread.cluster import Cluster

        return Cluster(re.sub("^dask:", "tcp:", text))
    local = _LOCAL.fullmatch(text)
    if local is None:
        raise SettingsError(
            f"there is no executor {text!r}", todo="Give local, local:4 or dask://HOST:PORT."
        )
    return Local(int(local[1] or jobs or os.cpu_count() or 1))


def gather[T, R](
    executor: Executor,
    work: Callable[[T], R],
    tasks: Sequence[T],
    watch: Watch | None = None,
) -> list[R]:
    """The results of all ``tasks`` in their order; ``watch`` is told how many of all are done."""
    found: dict[int, R] = {}
    if watch is not None:
        watch(0, len(tasks))
    with closing(executor.each(work, tasks)) as results:  # type: ignore[type-var]
        for number, result in results:
            found[number] = result
            if watch is not None:
                watch(len(found), len(tasks))
    return [found[number] for number in range(len(tasks))]


@dataclass(frozen=True, slots=True)
class Local:
    """Processes of this machine; a single one is this process itself.

    They are kept from stage to stage, for starting one takes a second; they end with this object.
    """

    processes: int
    _idle: list[Lane] = field(default_factory=list, compare=False, repr=False)

    def each[T, R](self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """As ``Executor`` says."""
        count = min(self.processes, len(tasks))
        if count <= 1:
            for number, task in enumerate(tasks):
                yield number, work(task)
            return
        lanes = [self._idle.pop() if self._idle else Lane() for _ in range(count)]
        try:
            yield from _driven(lanes, work, tasks)
        except BaseException:
            # Some are still at work.
            for lane in lanes:
                lane.end()
            raise
        self._idle.extend(lanes)


def _driven[T, R](
    lanes: list[Lane], work: Callable[[T], R], tasks: Sequence[T]
) -> Iterator[tuple[int, R]]:
    """Keeps every lane busy until all is done; ``lanes`` always holds those that are alive."""
    waiting, lost = deque(range(len(tasks))), Counter[int]()
    busy: dict[Lane, int] = {}
    while waiting or busy:
        for lane in lanes:
            if waiting and lane not in busy:
                busy[lane] = waiting.popleft()
                lane.give(work, tasks[busy[lane]])
        ready = connection.wait([lane.pipe for lane in busy])
        for lane in [lane for lane in busy if lane.pipe in ready]:
            number = busy.pop(lane)
            try:
                result: R = lane.taken()
            except LostWorkerError:
                lanes.remove(lane)
                lost[number] += 1
                if lost[number] == LOSSES:
                    raise lost_for_good(tasks[number]) from None
                lanes.append(Lane())
                waiting.appendleft(number)
            else:
                yield number, result


def lost_for_good(task: object) -> ResourceError:
    """What is said of a task that nobody survives."""
    return ResourceError(
        f"{LOSSES} workers died at the same task",
        where=str(task),
        todo="Look at their memory; the rest is kept, the same command goes on from there.",
    )
