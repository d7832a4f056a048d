"""Files that are whole or not there, and whether the machine is why something failed, whatever a
library made of it in its own words."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ResourceError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_LET = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO}
_SAID = ("No space left", "File too large", "disk is full")
_LITTLE = 2**24


def is_full(error: BaseException, *folders: Path) -> bool:
    """Whether ``error`` came of a disk without room. A library that only says that it could not
    write is believed where one of ``folders``, in which it wrote, has none left."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return True
        if any(words in str(cause) for words in _SAID):
            return True
    ours = type(error).__module__ == "builtins" and not isinstance(error, OSError)
    return not ours and any(_free(folder) < _LITTLE for folder in folders)


def of_the_machine(error: BaseException, *folders: Path) -> ResourceError | None:
    """What ``error`` says of the machine, where it is that: no room, no right to write, no more
    files to be opened."""
    if is_full(error, *folders):
        full = next((str(one) for one in folders if _free(one) < _LITTLE), None)
        return ResourceError(
            "the disk is full",
            where=_place(error) or full,
            todo="Free some space and run the command again.",
        )
    if isinstance(error, OSError) and error.errno in _NOT_LET:
        return ResourceError(f"{error.strerror}", where=_place(error))
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str | None:
    name = error.filename if isinstance(error, OSError) else None
    return str(name) if name else None


def _free(folder: Path) -> float:
    """Bytes left where ``folder`` is; as many as one likes where it is not there."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return float("inf")


def publish(path: Path, place: Path) -> None:
    """Moves a finished file to where it stays: wholly or not at all, also when power fails."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    path.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(place: Path, text: str) -> None:
    """Writes a small file wholly or not at all."""
    write_bytes(place, text.encode())


def write_bytes(place: Path, content: bytes, *, mode: int = 0o666) -> None:
    """The same of bytes; ``mode`` is who may read it, less what the process's mask takes."""
    begun = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        begun.touch(mode=mode)
        begun.write_bytes(content)
        publish(begun, place)
    finally:
        begun.unlink(missing_ok=True)
