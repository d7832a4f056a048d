"""One process of this machine that works tasks off, one after the other."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# Started anew, not forked: GDAL's and OpenCV's threads do not survive a fork.
_SPAWN = multiprocessing.get_context("spawn")


class LostWorkerError(Exception):
    """The process died before it had an answer."""


class Lane:
    """A process and the pipe to it; ``pipe`` is readable when there is an answer, or none ever."""

    def __init__(self) -> None:
        self.pipe, there = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(there,), daemon=True)
        self._process.start()
        # Held by the process alone, so that its death can be read here.
        there.close()

    @property
    def pid(self) -> int | None:
        """The process."""
        return self._process.pid

    def give(self, work: Callable[[Any], Any], task: Any) -> None:
        """Sets it to work; if it is dead already, ``taken`` will say so."""
        try:
            self.pipe.send((work, task))
        except (BrokenPipeError, ConnectionResetError):
            return

    def taken(self) -> Any:
        """The result; raises what the work raised, or LostWorkerError."""
        try:
            good, result = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.end()
            raise LostWorkerError from None
        if not good:
            raise result
        return result

    def end(self) -> None:
        """Ends the process, whatever it does."""
        if self.pipe.closed:
            return
        self._process.kill()
        self._process.join()
        self._process.close()
        self.pipe.close()

    def __del__(self) -> None:
        """Nobody will give it a task any more."""
        # Where the interpreter ends, its daemons do.
        if "pipe" in self.__dict__ and not sys.is_finalizing():
            self.end()


def _work(pipe: Connection[Any, Any]) -> None:
    """The process: until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who gives the tasks
    while True:
        try:
            work, task = pipe.recv()
        except EOFError:
            return
        answer: tuple[bool, Any]
        try:
            answer = True, work(task)
        except Exception as error:  # noqa: BLE001 - raised again at the other end
            answer = False, error
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return
