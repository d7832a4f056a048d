"""The ground under frames: an elevation model, asked at points in the frames' own CRS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from pyproj import CRS
from rasterio.windows import Window

from pipeline import geo
from pipeline.errors import ArrivalError
from pipeline.rasters import crs as crses
from pipeline.rasters.opening import FAULTS, reason
from pipeline.terrain.grid import Floats

_MARGIN = 3
_MOST = 4096  # cells on a side are read at once; larger areas are read more coarsely


@dataclass(frozen=True, slots=True)
class Ground:
    """An open elevation model; ``crs`` is its horizontal CRS, ``mean`` its mean height in m."""

    dataset: Any
    crs: CRS
    mean: float

    def heights(self, x: Floats, y: Floats, crs: CRS) -> Floats:
        """Heights (NaN where none) at points of any shape in ``crs``, bilinear."""
        if not geo.same_crs(crs, self.crs):
            x, y = geo.transformer(crs, self.crs).transform(x, y)
        column, row = ~self.dataset.transform @ (np.asarray(x), np.asarray(y))
        return self._sampled(np.asarray(column), np.asarray(row))

    def _sampled(self, column: Floats, row: Floats) -> Floats:
        left, top = int(np.floor(np.nanmin(column))), int(np.floor(np.nanmin(row)))
        right, bottom = int(np.ceil(np.nanmax(column))), int(np.ceil(np.nanmax(row)))
        left, top = max(left - _MARGIN, 0), max(top - _MARGIN, 0)
        right = min(right + _MARGIN, self.dataset.width)
        bottom = min(bottom + _MARGIN, self.dataset.height)
        if left >= right or top >= bottom:
            return np.full(column.shape, np.nan)
        window = Window(left, top, right - left, bottom - top)
        shape = (min(bottom - top, _MOST), min(right - left, _MOST))
        z = self.dataset.read(1, window=window, out_shape=shape).astype(np.float32)
        known = self.dataset.read_masks(1, window=window, out_shape=shape) > 0
        z[~known] = np.nan
        across = (column - left) * (shape[1] / window.width) - 0.5
        down = (row - top) * (shape[0] / window.height) - 0.5
        flat = (across.reshape(1, -1), down.reshape(1, -1)) if across.ndim < 2 else (across, down)
        return _bilinear(z, *flat).reshape(column.shape)


def _bilinear(z: Any, column: Floats, row: Floats) -> Floats:
    """``z`` at fractions of cells; NaN outside, and next to NaN. Weights in double precision,
    which OpenCV's remap has only to a 32nd of a cell."""
    rows, columns = z.shape
    inside = (column >= -0.5) & (column <= columns - 0.5) & (row >= -0.5) & (row <= rows - 0.5)
    column = np.clip(np.nan_to_num(column), 0, columns - 1)
    row = np.clip(np.nan_to_num(row), 0, rows - 1)
    c = np.minimum(column.astype(np.int64), max(columns - 2, 0))
    r = np.minimum(row.astype(np.int64), max(rows - 2, 0))
    right, down = column - c, row - r
    c1, r1 = np.minimum(c + 1, columns - 1), np.minimum(r + 1, rows - 1)
    upper = z[r, c] + (z[r, c1] - z[r, c]) * right
    lower = z[r1, c] + (z[r1, c1] - z[r1, c]) * right
    return np.where(inside, upper + (lower - upper) * down, np.nan)


@contextmanager
def opened(path: Path) -> Iterator[Ground]:
    """The elevation model in ``path``; ArrivalError where it is none."""
    cv2.setNumThreads(1)
    try:
        dataset = rasterio.open(path)
    except FAULTS as error:
        raise ArrivalError(f"cannot be read: {reason(error, path)}", where=path.name) from None
    with dataset:
        crs = crses.horizontal(CRS.from_wkt(dataset.crs.to_wkt())) if dataset.crs else None
        if dataset.count != 1 or crs is None:
            raise ArrivalError("is no elevation model with a CRS", where=path.name)
        shape = (min(dataset.height, 256), min(dataset.width, 256))
        z = dataset.read(1, out_shape=shape).astype(np.float64)
        z[dataset.read_masks(1, out_shape=shape) == 0] = np.nan
        if not np.isfinite(z).any():
            raise ArrivalError("holds no height", where=path.name)
        yield Ground(dataset, crs, float(np.nanmean(z)))
