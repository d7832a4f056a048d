"""Arrival: a file as the ledger names it, by its SHA-256.

To hash is the one part of a load that needs nothing else, so it is begun before anything else is
imported; this module must stay quick to import.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from pipeline.errors import ArrivalError

#: Which file, how long, and last written when, of each part.
type Looks = tuple[tuple[int, int, int], ...]

# What SQLite keeps beside a database while a program has it open.
_OPEN = ("-wal", "-journal")
# Few large blocks: between two of them other threads may keep a hashing one waiting.
_BLOCK = 2**24
#: What was begun, with what the file looked like then.
_BEGUN: dict[Path, tuple[os.stat_result, Future[Arrival]]] = {}


@dataclass(frozen=True, slots=True)
class Arrival:
    """The file of a run as the ledger names it."""

    path: Path
    sha256: str
    size: int
    looks: Looks = ()

    def refuse_changed(self) -> None:
        """Raises ArrivalError where the file is no longer what was hashed."""
        refuse_changed(self.path, self.looks)


def begin(words: Sequence[str]) -> tuple[Path, Future[Arrival]] | None:
    """Has the first of ``words`` that names a file hashed, so that it may be ready when asked;
    gives that file and what will be its arrival."""
    _BEGUN.clear()
    for path in map(Path, words):
        if path.is_file():
            future: Future[Arrival] = Future()
            _BEGUN[path] = path.stat(), future
            # A daemon: nobody waits for it if the command ends otherwise.
            Thread(target=_settle, args=(path, future), name="makan-hash", daemon=True).start()
            return path, future
    return None


def _settle(path: Path, future: Future[Arrival]) -> None:
    try:
        future.set_result(_hashed(path))
    except BaseException as error:  # noqa: BLE001 - it is raised where it is asked for
        future.set_exception(error)


def fingerprint(path: Path) -> Arrival:
    """``path`` with its SHA-256; for a Shapefile over all parts, so a changed .dbf counts, for a
    folder over all its files."""
    looked, begun = _BEGUN.pop(path, (None, None))
    if looked is not None and begun is not None and _is_as(path, looked):
        return begun.result()
    return _hashed(path)


def _is_as(path: Path, looked: os.stat_result) -> bool:
    """Whether a file is still what was looked at."""
    try:
        now = path.stat()
    except OSError:
        return False
    return (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
        looked.st_ino, looked.st_size, looked.st_mtime_ns, looked.st_ctime_ns,
    )  # fmt: skip


def _hashed(path: Path) -> Arrival:
    digest, size = hashlib.sha256(), 0
    looked = looks(path)
    refuse_strange(path)
    # One buffer for all: the system makes every page of a new one anew.
    block = memoryview(bytearray(_BLOCK))
    try:
        for part in parts(path):
            with part.open("rb", buffering=0) as stream:
                while got := stream.readinto(block):
                    digest.update(block[:got])
                    size += got
    except FileNotFoundError:
        raise ArrivalError("no such file", where=str(path), todo="Check the path.") from None
    except OSError as error:
        raise ArrivalError(f"cannot be read ({error.strerror})", where=str(path)) from None
    return Arrival(path, digest.hexdigest(), size, looked)


def refuse_strange(path: Path) -> None:
    """Raises ArrivalError for what is neither a file nor a folder (a pipe or a device may never
    end, or never begin), and for a name that no ledger can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise ArrivalError(
            "has a name that is not UTF-8", where=shown, todo="Give it another name."
        ) from None
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ArrivalError(
            "is a pipe or a device, no file", where=str(path), todo="Write it into a file first."
        )


def parts(path: Path) -> list[Path]:
    """The files that are one arrival, ``path`` first."""
    if path.is_dir():
        return sorted(one for one in path.rglob("*") if one.is_file())
    if path.suffix.lower() == ".shp":
        beside = path.parent.glob(f"{glob.escape(path.stem)}.*")
        return [path, *sorted(one for one in beside if one != path and one.is_file())]
    return [path, *unsettled(path)]


def unsettled(path: Path) -> list[Path]:
    """What stands beside a database that is open elsewhere, or was not closed: a part of it."""
    beside = (path.with_name(f"{path.name}{ending}") for ending in _OPEN)
    return [one for one in beside if one.is_file() and one.stat().st_size]


def looks(path: Path) -> Looks:
    """What tells whether a file has changed."""
    found: list[tuple[int, int, int]] = []
    with suppress(OSError):
        for part in parts(path):
            now = part.stat()
            found.append((now.st_ino, now.st_size, now.st_mtime_ns))
    return tuple(found)


def refuse_changed(path: Path, looked: Looks) -> None:
    """Raises ArrivalError where ``path`` no longer looks as it did when a load began."""
    if looks(path) != looked:
        raise ArrivalError(
            "changed while it was read",
            where=path.name,
            todo="Wait until it is written and closed, then load it again.",
        )
