"""What a raster says at a point: bilinear between the four nearest pixel centres."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rasterio.windows import Window

from pipeline.rasters.opening import Dataset

_DECIMALS = 3
#: A value for each band, None where there is none.
Values = tuple[float | None, ...]


def value_at(dataset: Dataset, x: float, y: float) -> Values | None:
    """Every band at a point of the raster's CRS, bilinear between the four nearest pixel centres.

    None outside the raster; a band is None where the pixel the point lies in has no value.
    """
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    column, row = ~dataset.transform @ (x, y)
    if not (0 <= column < dataset.width and 0 <= row < dataset.height):
        return None
    left, right, across = _neighbours(column, dataset.width)
    top, bottom, down = _neighbours(row, dataset.height)
    window = Window(left, top, right - left + 1, bottom - top + 1)
    found = dataset.read(window=window, masked=True)
    weights = np.outer([1 - down, down][: found.shape[1]], [1 - across, across][: found.shape[2]])
    own = (int(row) - top, int(column) - left)
    return tuple(_weighed(band, weights, own) for band in found)


def _neighbours(place: float, count: int) -> tuple[int, int, float]:
    """The two pixels whose centres are on either side of ``place``, and the second's weight."""
    first = math.floor(place - 0.5)
    if first < 0:
        return 0, 0, 0.0
    if first + 1 >= count:
        return count - 1, count - 1, 0.0
    return first, first + 1, place - 0.5 - first


def _weighed(band: Any, weights: Any, own: tuple[int, int]) -> float | None:
    known = ~np.ma.getmaskarray(band)
    if not known[own]:
        return None
    shares = weights * known
    return round(float((band.data.astype(np.float64) * shares).sum() / shares.sum()), _DECIMALS)
