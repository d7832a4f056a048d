"""The checked copy: what was read, made uniform, so that the COG is of exactly what was checked.

Tiles of 512, the contract's bands and type, north up, invalid pixels in the mask (or nodata),
the georeference that was resolved. A temporary file, removed when the COG stands.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

from pipeline.contracts.raster import RasterContract
from pipeline.rasters import crs as crses
from pipeline.rasters.disk import writing
from pipeline.rasters.georeference import Georeference
from pipeline.rasters.header import Header, is_rotated
from pipeline.rasters.opening import CACHE_BYTES, FAULTS, Dataset
from pipeline.rasters.reading import Valid, Values
from pipeline.rasters.scan import TILE, Sink, windows

# Fast compression that costs little to read. No NUM_THREADS: GDAL's compression threads do not
# report that the disk is full.
_FORMAT = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": TILE,
    "blockysize": TILE,
    "compress": "ZSTD",
    "zstd_level": 1,
    "BIGTIFF": "IF_SAFER",
}
_ENVIRONMENT = {
    "GDAL_TIFF_INTERNAL_MASK": True,
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_PAM_ENABLED": "NO",
}


@contextmanager
def creating(
    path: Path,
    contract: RasterContract,
    size: tuple[int, int],
    place: Georeference,
    tags: dict[str, str],
) -> Iterator[Dataset]:
    """A new file of ``size`` (width, height) for ``contract`` at ``place``, open for writing."""
    profile = _FORMAT | {
        "width": size[0],
        "height": size[1],
        "count": len(contract.bands),
        "dtype": contract.dtype,
        "nodata": contract.nodata,
        "crs": crses.for_gdal(place.crs),
        "transform": place.transform,
    }
    if contract.dtype == "uint8" and len(contract.bands) == 3:
        profile["photometric"] = "RGB"
    with rasterio.Env(**_ENVIRONMENT), ExitStack() as stack:
        with writing(path):
            dataset = rasterio.open(path, "w", **profile)
        stack.push(partial(_close, dataset, path))
        dataset.update_tags(**tags)
        _name_bands(dataset, contract)
        yield dataset


def _name_bands(dataset: Dataset, contract: RasterContract) -> None:
    for number, band in enumerate(contract.bands, start=1):
        dataset.set_band_description(number, band)
        if contract.unit:
            dataset.set_band_unit(number, contract.unit)


def _close(dataset: Dataset, path: Path, kind: type[BaseException] | None, *_: object) -> None:
    """Closes the copy and proves that all of it reached the disk, unless work ended in an error."""
    if kind is not None:
        with suppress(*FAULTS):
            dataset.close()
        return
    with writing(path):
        dataset.close()
        with rasterio.open(path, driver="GTiff") as written:
            _must_be_whole(written, path)


def _must_be_whole(written: Dataset, path: Path) -> None:
    """GDAL reports some failed writes to nobody; then a tile has no place, or one past the end."""
    size = path.stat().st_size
    for row, column in (index for index, _ in written.block_windows(1)):
        place = [
            int(written.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1) or 0)
            for what in ("OFFSET", "SIZE")
        ]
        if not all(place) or sum(place) > size:
            raise OSError(errno.ENOSPC, "a tile was not written")


def count_valid(path: Path) -> int:
    """How many pixels of a finished copy are valid; raises one of FAULTS if it is damaged."""
    with rasterio.open(path, driver="GTiff") as dataset:
        masks = (
            dataset.read_masks(1, window=window)
            for window in windows(dataset.width, dataset.height, tiled=True)
        )
        return sum(int(np.count_nonzero(mask)) for mask in masks)


def upright(place: Georeference, header: Header) -> tuple[Georeference, tuple[bool, bool]]:
    """``place`` with north up and east right, and whether rows and columns change their order.

    A rotated raster stays as it is: it must be resampled.
    """
    transform = place.transform
    if is_rotated(transform):
        return place, (False, False)
    rows, columns = transform.e > 0, transform.a < 0
    turned = transform
    if rows:
        turned = turned @ Affine.translation(0, header.height) @ Affine.scale(1, -1)
    if columns:
        turned = turned @ Affine.translation(header.width, 0) @ Affine.scale(-1, 1)
    return Georeference(turned, place.crs, place.vertical), (rows, columns)


def writer(
    target: Dataset, contract: RasterContract, header: Header, turns: tuple[bool, bool]
) -> Sink:
    """A sink that writes each window to ``target``; ``turns``: rows and columns to be turned."""
    invalid = 0 if contract.nodata is None else contract.nodata

    def write(window: Window, values: Values, valid: Valid) -> None:
        values, valid, window = _turned(values, valid, window, header, turns)
        write_window(target, window, values, valid, invalid, contract.mask)

    return write


def write_window(
    target: Dataset,
    window: Window,
    values: Values,
    valid: Valid,
    invalid: float,
    masked: bool,
) -> None:
    """Writes one window, invalid pixels as ``invalid`` and, if ``masked``, in the mask too."""
    typed = values.astype(target.dtypes[0], copy=False)
    if not valid.all():
        typed = np.where(valid, typed, typed.dtype.type(invalid))
    with writing(Path(target.name)):
        target.write(typed, window=window)
        if masked:
            target.write_mask(valid.astype(np.uint8) * 255, window=window)


def _turned(
    values: Values, valid: Valid, window: Window, header: Header, turns: tuple[bool, bool]
) -> tuple[Values, Valid, Window]:
    rows, columns = turns
    row, column = window.row_off, window.col_off
    if rows:
        values, valid = values[:, ::-1, :], valid[::-1, :]
        row = header.height - row - window.height
    if columns:
        values, valid = values[:, :, ::-1], valid[:, ::-1]
        column = header.width - column - window.width
    return values, valid, Window(column, row, window.width, window.height)
