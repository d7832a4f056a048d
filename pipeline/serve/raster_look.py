"""Looking at a raster layer: as it is now, or as sheets of another time show it.

Now is one COG (``raster_source``). Another time is put together of the sheets that were acquired
then, the newest on top, and only of those that the box meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS

from pipeline.contracts.raster import ServedRaster, ServedSheet
from pipeline.rasters import past
from pipeline.rasters.past import When
from pipeline.serve.raster_source import SERVING, Bounds, Dataset, Source, moved, no_such_time
from pipeline.serve.raster_view import View, view

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """``see(box, crs, size)`` gives the pixels; ``bounds`` (in ``crs``) is where there are any."""

    see: Callable[[Bounds, CRS, Size], View]
    bounds: Bounds
    crs: CRS


@contextmanager
def looking(source: Source, when: When | None = None) -> Iterator[Look]:
    """The layer now, or at the time ``when``; ProviderItemNotFoundError before the first load, and
    for a time of which nothing is."""
    with source.opened() as dataset:
        crs = CRS.from_wkt(dataset.crs.to_wkt())
        bounds: Bounds = tuple(dataset.bounds)
        served = source.served()
        parts = _of_time(served, when) if served and when else None
        if parts is None:
            yield Look(lambda box, target, size: view(dataset, box, target, size), bounds, crs)
            return
        yield Look(_Past(source.home, parts, dataset, crs).see, bounds, crs)


def _of_time(served: ServedRaster, when: When) -> list[ServedSheet] | None:
    try:
        return past.sheets(served, when)
    except past.NoSuchTimeError as error:
        raise no_such_time(error) from None


@dataclass(frozen=True, slots=True)
class _Past:
    """Sheets, the newest first; ``like`` tells the type and number of bands."""

    home: Path
    parts: list[ServedSheet]
    like: Dataset
    crs: CRS

    def see(self, box: Bounds, target: CRS, size: Size) -> View:
        """The box put together of its sheets."""
        columns, rows = size
        values = np.zeros((self.like.count, rows, columns), self.like.dtypes[0])
        known = np.zeros((rows, columns), dtype=np.bool_)
        west, south, east, north = moved(box, target, self.crs)
        for part in self.parts:
            left, bottom, right, top = part.bounds
            if left > east or right < west or bottom > north or top < south:
                continue
            with rasterio.Env(**SERVING), rasterio.open(self.home / part.path) as dataset:
                found = view(dataset, box, target, size)
            new = found.known & ~known
            values[:, new] = found.values[:, new]
            known |= new
            if known.all():
                break
        return View(values, known)
