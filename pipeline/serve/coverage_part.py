"""Which part of a raster a coverage request reads, and how finely it is answered."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from affine import Affine
from pygeoapi.provider.base import ProviderNoDataError, ProviderRequestEntityTooLargeError
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from pipeline import geo
from pipeline.serve.raster_source import Bounds, Dataset, crs_uri, refused


@dataclass(frozen=True, slots=True)
class Scaling:
    """How finely to answer: ``factor`` 2 halves both sides; ``size`` is (columns, rows).

    ``fit``: whatever part is asked for, as finely as this many values allow.
    """

    factor: float | None = None
    size: tuple[int, int] | None = None
    fit: int | None = None


SCALING: ContextVar[Scaling | None] = ContextVar("scaling", default=None)
#: The CRS that a request wants its answer in, as it names it.
OUTPUT: ContextVar[str | None] = ContextVar("output", default=None)


@contextmanager
def placed(dataset: Dataset, target: CRS, native: CRS) -> Iterator[Dataset]:
    """The raster in the CRS of the answer, resampled where that is another one (bilinear).

    Raises ProviderInvalidQueryError (400) where the raster is out of its reach.
    """
    if geo.same_crs(target, native):
        yield dataset
        return
    # A mask of the file is kept as one; alpha is what a warped raster has in its place.
    alpha = {"add_alpha": True} if dataset.nodata is None else {"nodata": dataset.nodata}
    try:
        warped = WarpedVRT(dataset, crs=target.to_wkt(), resampling=Resampling.bilinear, **alpha)
    except RasterioError:
        raise refused(f"crs: {crs_uri(target)} does not reach there") from None
    with warped:
        yield warped


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the raster: the window in pixels, and the size it is answered in."""

    window: Window
    columns: int
    rows: int

    def transform(self, dataset: Dataset) -> Affine:
        """Corners of answered pixels to coordinates."""
        across, down = self.window.width / self.columns, self.window.height / self.rows
        corner: Affine = dataset.window_transform(self.window)
        return corner @ Affine.scale(across, down)

    def strips(self, rows: int) -> Iterator[tuple[int, Part]]:
        """The part in strips of ``rows`` answered rows, with the first row of each."""
        down = self.window.height / self.rows
        for first in range(0, self.rows, rows):
            count = min(rows, self.rows - first)
            top = self.window.row_off + first * down
            strip = Window(self.window.col_off, top, self.window.width, count * down)
            yield first, Part(strip, self.columns, count)


def part_of(dataset: Dataset, box: Bounds | None, most: int) -> Part:
    """Which pixels to read, and how many to answer."""
    whole = Window(0, 0, dataset.width, dataset.height)
    window = whole if box is None else _window(dataset, box)
    scaling = SCALING.get() or Scaling(fit=most if box is None else None)
    columns, rows = _size(window, scaling)
    if columns * rows > most:
        told = (
            f"{columns} x {rows} values are too many, at most {most:,} are sent at once; "
            "ask for a smaller bbox, for scale-factor or scale-size, or for GeoTIFF"
        )
        raise ProviderRequestEntityTooLargeError(told)
    return Part(window, columns, rows)


def _size(window: Window, scaling: Scaling) -> tuple[int, int]:
    """Columns and rows of the answer."""
    if scaling.size:
        return scaling.size
    factor = scaling.factor or 1.0
    if scaling.fit:
        # Rounded up a little, because columns and rows are rounded on their own.
        factor = max(1.0, math.sqrt(window.width * window.height / scaling.fit) * 1.01)
    return max(1, int(window.width / factor)), max(1, int(window.height / factor))


def _window(dataset: Dataset, box: Bounds) -> Window:
    """The pixels that ``box`` touches; ProviderNoDataError where there are none."""
    inverse = ~dataset.transform
    left, top = inverse @ (box[0], box[3])
    right, bottom = inverse @ (box[2], box[1])
    # A box that ends on a pixel's edge, but for rounding, does not touch the pixel beyond.
    first_column, last_column = math.floor(left + 1e-6), math.ceil(right - 1e-6)
    first_row, last_row = math.floor(top + 1e-6), math.ceil(bottom - 1e-6)
    columns = slice(max(first_column, 0), min(max(last_column, first_column + 1), dataset.width))
    rows = slice(max(first_row, 0), min(max(last_row, first_row + 1), dataset.height))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        raise ProviderNoDataError
    width, height = columns.stop - columns.start, rows.stop - rows.start
    return Window(columns.start, rows.start, width, height)
