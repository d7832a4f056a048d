"""Which servers run over a home, and telling them that there is something new to serve.

Each server holds a lock on a file of its own, so a file that a killed one left behind never leads
to a process that merely has its number.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path


def _folder(home: Path) -> Path:
    return home / "run"


def announce(home: Path) -> Callable[[], None]:
    """Writes that this process serves; the answer takes that back. A server that cannot write it
    serves all the same, and has to be restarted to see what is new."""
    path = _folder(home) / f"serve-{os.getpid()}.pid"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, str(os.getpid()).encode())
    except OSError:
        return lambda: None

    def withdraw() -> None:
        path.unlink(missing_ok=True)
        os.close(descriptor)

    return withdraw


def tell(home: Path) -> int:
    """Tells every server over ``home`` to publish anew and to replace its workers; how many."""
    told = 0
    for process in _processes(home):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGHUP)
            told += 1
    return told


def _processes(home: Path) -> Iterator[int]:
    for path in sorted(_folder(home).glob("serve-*.pid")):
        with suppress(OSError, ValueError), path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield int(file.read())
            else:
                path.unlink(missing_ok=True)
