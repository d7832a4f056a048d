"""Tasks for the tests, importable by the processes that work them off."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArrivalError


@dataclass(frozen=True)
class Dig:
    """Squares ``number``; notes who did it. ``deadly`` times the process is killed before."""

    folder: Path
    number: int
    deadly: int = 0

    def __str__(self) -> str:
        return f"hole {self.number}"


def dig(task: Dig) -> int:
    """The square of the number."""
    (task.folder / f"{task.number}-{os.getpid()}-{os.urandom(4).hex()}").touch()
    if len(list(task.folder.glob(f"{task.number}-*"))) <= task.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number**2


def stumble(task: Dig) -> int:
    """Finds fault with the third."""
    if task.number == 3:
        raise ArrivalError("is a stone", where="hole 3", todo="Dig elsewhere.")
    return task.number
