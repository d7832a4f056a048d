"""Writing files that are whole or not there, and saying in one line why that failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import disk
from pipeline.errors import MakanError, ResourceError
from pipeline.rasters.opening import FAULTS, reason


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turns a failed write into one clear line; the caller removes what was begun."""
    try:
        yield
    except MakanError:
        raise
    except (OSError, *FAULTS) as error:
        if disk.is_full(error, target.parent):
            raise ResourceError(
                "the disk is full",
                where=str(target.parent),
                todo="Free some space and run the command again; nothing was half-loaded.",
            ) from error
        raise ResourceError(
            f"the raster cannot be written: {reason(error, target)}", where=str(target.parent)
        ) from error


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


def write_bytes(place: Path, content: bytes) -> None:
    """The same of bytes."""
    begun = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        begun.write_bytes(content)
        publish(begun, place)
    finally:
        begun.unlink(missing_ok=True)
