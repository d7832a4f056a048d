"""A raster layer as its sheets of another time show it: a series of orthophotos or of models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import rasterio
from rasterio.enums import MaskFlags
from rasterio.io import MemoryFile

from pipeline.contracts.raster import ServedRaster, ServedSheet
from pipeline.rasters import mosaic
from pipeline.rasters.mosaic import Form
from pipeline.rasters.opening import Dataset

_TOLD = 20
_MOST_PIXELS = 2**40  # of a mosaic that is never written


class NoSuchTimeError(Exception):
    """No sheet is of the time that was asked for; ``days`` are those of which there are."""

    def __init__(self, layer: str, days: list[str]) -> None:
        self.days = days
        more = f" and {len(days) - _TOLD} more" if len(days) > _TOLD else ""
        listed = ", ".join(days[-_TOLD:])
        super().__init__(f"nothing of {layer} is of that time; there are {listed}{more}")


@dataclass(frozen=True, slots=True)
class When:
    """A time by days (ISO), None where it is open. An instant means what was known by then."""

    begin: str | None
    end: str | None

    @classmethod
    def of(cls, begin: datetime | None, end: datetime | None) -> When:
        """From the ends of an interval; both the same for an instant."""
        first, last = (moment.date().isoformat() if moment else None for moment in (begin, end))
        return cls(None if begin == end else first, last)


def sheets(served: ServedRaster, when: When) -> list[ServedSheet] | None:
    """The sheets of that time, the newest first; None where nothing of the layer has a day, for
    then there is no other time than now. Raises NoSuchTimeError.

    Of a layer with days those sheets that have none are of no time.
    """
    dated = [part for part in served.parts if part.acquired is not None]
    if not dated:
        return None
    found = [
        part
        for part in dated
        if (when.begin is None or when.begin <= str(part.acquired))
        and (when.end is None or str(part.acquired) <= when.end)
    ]
    if not found:
        raise NoSuchTimeError(served.layer, sorted({str(part.acquired) for part in dated}))
    # What was loaded later is a correction of the same day.
    order = {id(part): number for number, part in enumerate(served.parts)}
    return sorted(found, key=lambda part: (str(part.acquired), order[id(part)]), reverse=True)


@contextmanager
def opened(home: Path, served: ServedRaster, when: When | None) -> Iterator[Dataset]:
    """The layer now, or as its sheets of another time show it, the newest on top, as one raster.

    Raises NoSuchTimeError.
    """
    found = None if when is None else sheets(served, when)
    paths = [served.path] if found is None else [part.path for part in found]
    if len(paths) == 1:
        with rasterio.open(home / paths[0], driver="GTiff") as dataset:
            yield dataset
        return
    text = _document(home, tuple(reversed(paths)), served.srid)
    with MemoryFile(text.encode(), ext=".vrt") as memory, memory.open() as dataset:
        yield dataset


@lru_cache(maxsize=64)
def _document(home: Path, paths: tuple[str, ...], srid: int) -> str:
    """Sheets laid over each other; a file of ours never changes."""
    with rasterio.open(home / paths[0], driver="GTiff") as like:
        bands = tuple(name or str(n) for n, name in enumerate(like.descriptions, start=1))
        masked = MaskFlags.per_dataset in like.mask_flag_enums[0] and like.nodata is None
        form = Form(like.dtypes[0], bands, like.nodata, masked, srid)
    tiles = [mosaic.tile((home / path).resolve()) for path in paths]
    return mosaic.document(tiles, mosaic.grid(tiles, _MOST_PIXELS), form)
