"""Reads every pixel of a raster once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from pipeline.rasters.header import Header
from pipeline.rasters.opening import FAULTS, Dataset
from pipeline.rasters.reading import Reading, Valid, Values
from pipeline.rasters.tally import Colors, Measures, Tally

TILE = 512
_TILES_A_SIDE = 4
_MOST_PIXELS = 16_000_000

Sink = Callable[[Window, Values, Valid], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Damage:
    """How many windows cannot be read, and the first of them with its reason."""

    windows: int
    first: str
    error: BaseException


def windows(width: int, height: int, *, tiled: bool) -> Iterator[Window]:
    """Windows that cover a raster once, aligned to our tiles of 512.

    Squares where the raster is tiled; else bands as wide as the raster, so that no strip is
    decoded twice, unless a band would be larger than 16 million pixels.
    """
    across = _TILES_A_SIDE * TILE
    if not tiled:
        across = min(-(-width // TILE) * TILE, _MOST_PIXELS // TILE // TILE * TILE)
    down = _TILES_A_SIDE * TILE if tiled or across * _TILES_A_SIDE * TILE < _MOST_PIXELS else TILE
    for row in range(0, height, down):
        for column in range(0, width, across):
            yield Window(column, row, min(across, width - column), min(down, height - row))


def scan(
    opened: tuple[Dataset, Dataset | None],
    header: Header,
    reading: Reading,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> tuple[Tally, Damage | None]:
    """Reads all windows of a raster (and its external mask), counts, and hands them to ``sink``.

    ``progress`` is told the pixels of each window and of the whole.

    ``sink`` gets the window, values (bands, rows, columns) in the type of the file, and which are
    valid. After damage is met nothing goes to ``sink`` any more, but reading goes on: the report
    says how much is damaged.
    """
    dataset, mask = opened
    kind = Colors if reading.dtype == "uint8" else Measures
    tally = Tally(header.width, header.height, kind(len(reading.bands)))
    first: tuple[str, BaseException] | None = None
    damaged = 0
    for window in windows(header.width, header.height, tiled=header.tiled):
        try:
            values = dataset.read(reading.bands, window=window)
            valid = reading.valid(dataset, mask, values, window)
        except FAULTS as error:
            damaged += 1
            first = first or (f"column {window.col_off}, row {window.row_off}", error)
            continue
        tally.add(window, values, valid)
        if sink is not None and first is None:
            sink(window, values, valid)
        if progress is not None:
            progress(window.width * window.height, header.pixels)
    return tally, Damage(damaged, *first) if first else None


def infinite(tally: Tally) -> bool:
    """Whether a valid pixel is infinite."""
    measures = tally.statistics
    if isinstance(measures, Colors) or not measures.count:
        return False
    return not bool(np.isfinite([measures.low, measures.high]).all())
