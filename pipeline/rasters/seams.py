"""How neighbouring sheets fit: displacement and difference where they overlap, the step at their
seam where they only touch. Needs no ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from pipeline.errors import ArrivalError
from pipeline.rasters.coregister import CHIP, FEWEST, Span, shifts
from pipeline.rasters.opening import FAULTS, reason

_LONGEST = 2048  # pixels along a side at which differences are counted
_TOUCH = 0.5  # of a pixel


@dataclass(frozen=True, slots=True)
class Seam:
    """Of two sheets. Where they overlap: ``chips`` that were recognised in both, root mean square
    and median of their displacement in pixels of the first, ``difference`` of the values (root
    mean square, grey levels or metres). Where they only touch: ``step`` is the mean difference of
    values across the seam, ``usual`` that of neighbouring pixels on both sides of it."""

    one: str
    other: str
    overlap_px: int
    chips: int = 0
    rmse_px: float | None = None
    median_px: float | None = None
    difference: float | None = None
    step: float | None = None
    usual: float | None = None


def between(files: list[Path]) -> list[Seam]:
    """All pairs of ``files`` that overlap or touch; ArrivalError where one cannot be read."""
    boxes = [_box(path) for path in files]
    found = []
    for (one, a), (other, b) in combinations(zip(files, boxes, strict=True), 2):
        if a is None or b is None or a.crs != b.crs:
            continue
        seam = _seam(one, other, a, b)
        if seam is not None:
            found.append(seam)
    return found


@dataclass(frozen=True, slots=True)
class _Box:
    """The place of a sheet whose rows run east and west, CRS units, and its ``bands`` that hold
    values (from 1), not opacity."""

    crs: Any
    transform: Affine
    bounds: tuple[float, float, float, float]
    bands: tuple[int, ...]

    @property
    def pixel(self) -> float:
        return float(self.transform.a)


def _box(path: Path) -> _Box | None:
    try:
        with rasterio.open(path) as dataset:
            transform = dataset.transform
            if dataset.crs is None or transform.b or transform.d or transform.e >= 0:
                return None
            kinds = enumerate(dataset.colorinterp, start=1)
            bands = tuple(band for band, kind in kinds if kind != ColorInterp.alpha)
            return _Box(dataset.crs, transform, tuple(dataset.bounds), bands)
    except FAULTS as error:
        raise ArrivalError(f"cannot be read: {reason(error, path)}", where=path.name) from None


def _common(a: _Box, b: _Box) -> tuple[list[int], list[int]]:
    """The bands of both that are compared: as many as both have."""
    count = min(len(a.bands), len(b.bands))
    return list(a.bands[:count]), list(b.bands[:count])


def _seam(one: Path, other: Path, a: _Box, b: _Box) -> Seam | None:
    west, south = max(a.bounds[0], b.bounds[0]), max(a.bounds[1], b.bounds[1])
    east, north = min(a.bounds[2], b.bounds[2]), min(a.bounds[3], b.bounds[3])
    wide, high = (east - west) / a.pixel, (north - south) / a.pixel
    if min(wide, high) >= 1.0:
        return _overlapping((one, other), a, (west, south, east, north), _common(a, b))
    along = max(wide, high)
    if min(wide, high) > -_TOUCH and along >= 1.0 and abs(a.pixel - b.pixel) < 1e-6 * a.pixel:
        return _touching(one, other, a, b, upright=wide < high)
    return None


def _overlapping(
    pair: tuple[Path, Path],
    a: _Box,
    box: tuple[float, float, float, float],
    bands: tuple[list[int], list[int]],
) -> Seam | None:
    """Both on the pixels of the first, in the ``bands`` of each that are compared."""
    one, other = pair
    west, _, _, north = box
    left = round((west - a.bounds[0]) / a.pixel)
    top = round((a.bounds[3] - north) / a.pixel)
    columns, rows = int((box[2] - west) / a.pixel), int((north - box[1]) / a.pixel)
    place = a.transform @ Affine.translation(left, top)
    with rasterio.open(one) as first, rasterio.open(other) as second:
        grid = {"crs": a.crs, "transform": place, "width": columns, "height": rows}
        with (
            WarpedVRT(first, resampling=Resampling.nearest, **_masked(first), **grid) as x,
            WarpedVRT(second, resampling=Resampling.cubic, **_masked(second), **grid) as y,
        ):
            sides = ((x, bands[0]), (y, bands[1]))
            difference, count = _difference(sides, columns, rows)
            if not count:
                return None
            moved = np.empty((0, 2))
            if min(columns, rows) >= CHIP:
                readers = [_reader(*side) for side in sides]
                moved = shifts(readers[0], readers[1], (0, rows, 0, columns))
    if len(moved) < FEWEST:
        return Seam(one.name, other.name, count, len(moved), difference=difference)
    length = np.hypot(*moved.T)
    rmse, median = float(np.sqrt((length**2).mean())), float(np.median(length))
    return Seam(one.name, other.name, count, len(moved), round(rmse, 3), round(median, 3),
                difference)  # fmt: skip


def _masked(dataset: Any) -> dict[str, bool]:
    """A warped raster keeps a mask only as opacity."""
    flags = dataset.mask_flag_enums[0]
    return {"add_alpha": True} if flags == [MaskFlags.per_dataset] else {}


def _reader(dataset: Any, bands: list[int]) -> Any:
    def read(span: Span) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        top, end, left, right = span
        window = Window(left, top, right - left, end - top)
        known = dataset.read_masks(1, window=window) > 0
        return dataset.read(bands, window=window).astype(np.float32), known

    return read


def _difference(
    sides: tuple[tuple[Any, list[int]], ...], columns: int, rows: int
) -> tuple[float | None, int]:
    """Root mean square where both are known, and of how many pixels of full size."""
    coarser = max(-(-max(columns, rows) // _LONGEST), 1)
    shape = (-(-rows // coarser), -(-columns // coarser))
    masks = [dataset.read_masks(1, out_shape=shape) > 0 for dataset, _ in sides]
    known = masks[0] & masks[1]
    if not known.any():
        return None, 0
    values = [
        dataset.read(bands, out_shape=(len(bands), *shape), resampling=Resampling.average).astype(
            np.float64
        )
        for dataset, bands in sides
    ]
    apart = (values[0] - values[1])[:, known]
    return round(float(np.sqrt((apart**2).mean())), 3), int(known.sum()) * coarser**2


def _touching(one: Path, other: Path, a: _Box, b: _Box, *, upright: bool) -> Seam | None:
    """The step from the last row or column of one to the first of the other."""
    axis = 0 if upright else 1
    first, second = (one, other), (a, b)
    if (a.bounds[axis] > b.bounds[axis]) == upright:
        first, second = first[::-1], second[::-1]
    sides = [_edge(path, box, second, upright, last=n == 0) for n, (path, box) in
             enumerate(zip(first, second, strict=True))]  # fmt: skip
    count = min(side[0].shape[1] for side in sides)
    (inner, before), (after, beyond) = (
        (values[:, :count], values_next[:, :count]) for values, values_next in sides
    )
    known = np.isfinite(np.stack([inner, before, after, beyond])).all(axis=(0, 1))
    if not known.any():
        return None
    step = np.abs(before - after)[:, known].mean()
    usual = (np.abs(inner - before)[:, known].mean() + np.abs(after - beyond)[:, known].mean()) / 2
    return Seam(one.name, other.name, 0, step=round(float(step), 3), usual=round(float(usual), 3))


def _edge(
    path: Path, box: _Box, both: tuple[_Box, ...], upright: bool, *, last: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two lines (bands, n) nearest to the seam, from the first to the second sheet."""
    axis = 1 if upright else 0
    low = max(one.bounds[axis] for one in both)
    high = min(one.bounds[axis + 2] for one in both)
    with rasterio.open(path) as dataset:
        if upright:
            start, count = (
                round((box.bounds[3] - high) / box.pixel),
                round((high - low) / box.pixel),
            )
            at = dataset.width - 2 if last else 0
            window = Window(at, start, 2, count)
        else:
            start, count = round((low - box.bounds[0]) / box.pixel), round((high - low) / box.pixel)
            at = dataset.height - 2 if last else 0
            window = Window(start, at, count, 2)
        bands = list(box.bands[: min(len(one.bands) for one in both)])
        values = dataset.read(bands, window=window).astype(np.float64)
        values[:, dataset.read_masks(1, window=window) == 0] = np.nan
    lines = values if upright else values.transpose(0, 2, 1)
    return lines[:, :, 0], lines[:, :, 1]


def told(seam: Seam) -> Iterator[str]:
    """The figures in words."""
    if seam.rmse_px is not None:
        yield f"displaced by {seam.rmse_px:.2f} px RMS, median {seam.median_px:.2f} ({seam.chips})"
    elif seam.overlap_px:
        yield "too little in common to tell a displacement"
    if seam.difference is not None:
        yield f"values {seam.difference:.2f} apart"
    if seam.step is not None:
        yield f"step {seam.step:.2f} across the seam, {seam.usual:.2f} beside it"
