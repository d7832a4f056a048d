"""What is counted while a raster streams by: statistics, where it is valid, and its border."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rasterio.features
import shapely
import shapely.affinity
import shapely.geometry
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry import MultiPolygon

from pipeline.rasters.reading import Valid, Values

_COARSE = 512  # cells along the longer side of the grid that the footprint is drawn from
_COLLAR_SHARE = 0.3  # one even side of a square is 0.25, and may be ground


class Colors:
    """Statistics of bytes, exact, from a histogram of each band."""

    def __init__(self, bands: int) -> None:
        self.histogram = np.zeros((bands, 256), dtype=np.int64)

    def add(self, values: Values, valid: Valid) -> None:
        """Counts the valid pixels of a window."""
        whole = bool(valid.all())
        for number, band in enumerate(values):
            taken = (band if whole else band[valid]).ravel()
            self.histogram[number] += np.bincount(taken, minlength=256)

    def summary(self) -> list[dict[str, float]]:
        """min, max, mean, std and the 2 % and 98 % points of each band."""
        return [_of_histogram(counts) for counts in self.histogram if counts.any()]


def _of_histogram(counts: NDArray[np.int64]) -> dict[str, float]:
    levels = np.arange(counts.size)
    total = int(counts.sum())
    mean = float((levels * counts).sum() / total)
    below = counts.cumsum()
    return {
        "min": float(levels[counts > 0][0]),
        "max": float(levels[counts > 0][-1]),
        "mean": round(mean, 3),
        "std": round(float(np.sqrt(((levels - mean) ** 2 * counts).sum() / total)), 3),
        "p2": float(np.searchsorted(below, 0.02 * total)),
        "p98": float(np.searchsorted(below, 0.98 * total)),
    }


class Measures:
    """Statistics of measured values, in their unit; sums are kept about the first mean, so that
    a small spread about a large height keeps its digits."""

    def __init__(self, bands: int) -> None:
        self.count = 0
        self.low = np.full(bands, np.inf)
        self.high = np.full(bands, -np.inf)
        self.origin: NDArray[np.float64] | None = None
        self.sums = np.zeros(bands)
        self.squares = np.zeros(bands)

    def add(self, values: Values, valid: Valid) -> None:
        """Counts the valid pixels of a window."""
        taken = values[:, valid].astype(np.float64)
        if not taken.shape[1]:
            return
        if self.origin is None:
            self.origin = taken.mean(axis=1)
        apart = taken - self.origin[:, np.newaxis]
        self.count += taken.shape[1]
        self.low = np.minimum(self.low, taken.min(axis=1))
        self.high = np.maximum(self.high, taken.max(axis=1))
        self.sums += apart.sum(axis=1)
        self.squares += (apart**2).sum(axis=1)

    def summary(self) -> list[dict[str, float]]:
        """min, max, mean and std of each band."""
        if self.origin is None:
            return []
        means = self.sums / self.count
        deviations = np.sqrt(np.maximum(self.squares / self.count - means**2, 0))
        rows = zip(self.low, self.high, means + self.origin, deviations, strict=True)
        names = ("min", "max", "mean", "std")
        return [dict(zip(names, (round(float(v), 3) for v in row), strict=True)) for row in rows]


@dataclass
class Tally:
    """Everything counted over a raster of ``width`` x ``height`` pixels."""

    width: int
    height: int
    statistics: Colors | Measures
    valid: int = 0
    coarse: NDArray[np.bool_] = field(init=False)
    border: list[NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cell = -(-max(self.width, self.height) // _COARSE)
        shape = (-(-self.height // self.cell), -(-self.width // self.cell))
        self.coarse = np.zeros(shape, dtype=np.bool_)

    def add(self, window: Window, values: Values, valid: Valid) -> None:
        """Counts a window; windows come once each, in any order."""
        self.valid += int(np.count_nonzero(valid))
        with np.errstate(invalid="ignore", over="ignore"):  # an infinite value is found later
            self.statistics.add(values, valid)
        self._coarsen(window, valid)
        self._keep_border(window, values)

    def _coarsen(self, window: Window, valid: Valid) -> None:
        rows, first_row = _starts(window.row_off, window.height, self.cell)
        columns, first_column = _starts(window.col_off, window.width, self.cell)
        cells = np.logical_or.reduceat(np.logical_or.reduceat(valid, rows, axis=0), columns, axis=1)
        height, width = cells.shape
        part = self.coarse[first_row : first_row + height, first_column : first_column + width]
        np.logical_or(part, cells, out=part)

    def _keep_border(self, window: Window, values: Values) -> None:
        edges = (
            (window.row_off == 0, values[:, 0, :]),
            (window.row_off + window.height == self.height, values[:, -1, :]),
            (window.col_off == 0, values[:, :, 0]),
            (window.col_off + window.width == self.width, values[:, :, -1]),
        )
        # Copies: a view would keep its whole window in memory.
        self.border += [edge.copy() for outer, edge in edges if outer]

    @property
    def valid_share(self) -> float:
        """Valid pixels of all, 0 to 1."""
        return self.valid / (self.width * self.height)

    def collar(self) -> tuple[str, float] | None:
        """The one value a large part of the border has in every band, and which part; or None."""
        pixels = np.concatenate(self.border, axis=1)
        values, counts = np.unique(pixels, axis=1, return_counts=True)
        most = int(counts.argmax())
        share = float(counts[most] / counts.sum())
        if share < _COLLAR_SHARE:
            return None
        return ", ".join(f"{value:g}" for value in values[:, most]), share

    def footprint(self, transform: Affine) -> MultiPolygon:
        """Where there are valid pixels, in the CRS of ``transform``; true to one coarse cell."""
        shapes = rasterio.features.shapes(
            self.coarse.astype(np.uint8), mask=self.coarse, transform=Affine.scale(self.cell)
        )
        parts = [shapely.geometry.shape(shape) for shape, _ in shapes]
        # The last cells may reach over the edge of the raster.
        drawn = shapely.box(0, 0, self.width, self.height).intersection(shapely.union_all(parts))
        drawn = drawn.simplify(self.cell)
        a, b, c, d, e, f = transform[:6]
        placed = shapely.affinity.affine_transform(drawn, (a, b, d, e, c, f))
        return multipolygon(placed)


def multipolygon(geometry: Any) -> MultiPolygon:
    """The polygons of any geometry as one valid MultiPolygon."""
    parts = shapely.get_parts(shapely.make_valid(geometry))
    return MultiPolygon([part for part in parts if part.geom_type == "Polygon"])


def _starts(offset: int, length: int, cell: int) -> tuple[NDArray[np.intp], int]:
    """Where coarse cells begin inside a window, and the number of the first one."""
    first = offset // cell
    last = (offset + length - 1) // cell
    starts = np.arange(first, last + 1) * cell - offset
    return np.maximum(starts, 0).astype(np.intp), first
