"""Writing files that are whole or not there, and saying in one line why that failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import disk
from pipeline.disk import publish as publish
from pipeline.disk import write_bytes as write_bytes
from pipeline.disk import write_text as write_text
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
