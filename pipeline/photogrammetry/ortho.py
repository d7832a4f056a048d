"""One frame to an orthophoto: each ground cell is looked up in the frame, a tile at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject
from rasterio.windows import Window

from pipeline import geo
from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import ArrivalError
from pipeline.photogrammetry.block import Frame
from pipeline.photogrammetry.collinear import Pose
from pipeline.photogrammetry.ground import Ground
from pipeline.photogrammetry.images import Image
from pipeline.rasters import crs as crses
from pipeline.rasters import opening, plain
from pipeline.rasters.georeference import Georeference
from pipeline.spread import store
from pipeline.terrain.grid import Floats, Grid, tiles

Pixels = NDArray[np.uint8]
Fine = NDArray[np.float32]
TILE = 1024
_LATTICE = 64  # cells between points whose coordinates are transformed
_AROUND = 3  # pixels that the kernel needs round a place
_IN_MEMORY = 300 * 2**20
_STRIP = 512


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one frame becomes: cells in the city's CRS, a contract for colours and mask."""

    grid: Grid
    city: City
    contract: RasterContract


def cells(frame: Frame, gsd_m: float, city: City) -> Grid:
    """The grid that the frame's footprint fills; edges at multiples of the cell."""
    if frame.footprint is None:
        raise ArrivalError("the ground below it is unknown", where=frame.name)
    return Grid.over(frame.footprint.bounds, gsd_m / city.metres_per_unit)


def rectify(frame: Frame, ground: Ground, sheet: Sheet, target: Path) -> None:
    """Writes the orthophoto of ``frame``; cells it does not show, or without height, are masked.

    Memory is bounded for a frame of any size. Raises ArrivalError for an image that cannot be
    used: of another size than its camera's, or not of 8 bits.
    """
    cv2.setNumThreads(1)
    image = frame.image
    if image is None:
        raise ArrivalError("its image is missing", where=frame.name)
    _must_fit(frame, image)
    grid, contract = sheet.grid, sheet.contract
    place = Georeference(grid.transform, sheet.city.crs)
    size = (grid.columns, grid.rows)
    with (
        _source(image, target) as source,
        plain.creating(target, contract, size, place, {"FRAME": frame.name}) as written,
    ):
        for tile in tiles(grid, TILE, 0):
            columns, rows = looked_up(frame.pose, ground, grid.part(tile), sheet.city.crs)
            values, valid = _resampled(source, columns, rows, len(contract.bands))
            if valid.any():
                first, end, left, right = tile.core
                window = Window(left, first, right - left, end - first)
                plain.write_window(written, window, values, valid, 0, contract.mask)


def _must_fit(frame: Frame, image: Image) -> None:
    camera = frame.pose.camera
    if (image.columns, image.rows) != (camera.columns, camera.rows):
        raise ArrivalError(
            f"the image has {image.columns} x {image.rows} pixels, its camera "
            f"{camera.columns} x {camera.rows}",
            where=image.name,
            todo="Give the camera file that belongs to these images.",
        )
    if image.dtype != "uint8":
        raise ArrivalError(
            f"is of {image.dtype}", where=image.name, todo="Ask for images of 8 bits a band."
        )


def looked_up(pose: Pose, ground: Ground, grid: Grid, crs: CRS) -> tuple[Fine, Fine]:
    """Where the cells of ``grid`` (in ``crs``) are in the frame: columns, rows; NaN if nowhere."""
    heights = _heights(ground, grid, crs)
    x, y = _coordinates(grid, crs, pose.crs)
    # From the projection centre single precision is a ten-thousandth of a pixel.
    dx, dy = (x - pose.centre[0]).astype(np.float32), (y - pose.centre[1]).astype(np.float32)
    dz = heights - np.float32(pose.centre[2])
    turn = pose.rotation.astype(np.float32)
    right, up, back = (dx * turn[0, k] + dy * turn[1, k] + dz * turn[2, k] for k in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(back < 0, -back, np.float32(np.nan))
        right /= depth
        up /= -depth
    camera = pose.camera
    if camera.is_distorted:
        flat = np.column_stack([right.ravel(), up.ravel()])
        found = camera.pixels(flat).astype(np.float32)
        return found[:, 0].reshape(right.shape), found[:, 1].reshape(right.shape)
    (fx, fy), matrix = camera.focal_pixels, camera.matrix
    columns = right * np.float32(fx) + np.float32(matrix[0, 2])
    return columns, up * np.float32(fy) + np.float32(matrix[1, 2])


def _heights(ground: Ground, grid: Grid, crs: CRS) -> Fine:
    """Heights of the cells' centres, bilinear in the model's own cells; NaN where there is none."""
    made = np.full((grid.rows, grid.columns), np.nan, np.float32)
    reproject(
        rasterio.band(ground.dataset, 1),
        made,
        dst_transform=grid.transform,
        dst_crs=crses.for_gdal(crs),
        src_crs=crses.for_gdal(ground.crs),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        tolerance=0.01,
    )
    return made


def _coordinates(grid: Grid, crs: CRS, target: CRS) -> tuple[Floats, Floats]:
    """Coordinates in ``target`` of the cells' centres: exact on a lattice, straight between."""
    column, row = _knots(grid.columns), _knots(grid.rows)
    east, north = np.meshgrid(
        grid.west + (column + 0.5) * grid.cell, grid.north - (row + 0.5) * grid.cell
    )
    if not geo.same_crs(crs, target):
        east, north = geo.transformer(crs, target).transform(east, north)
    return _between(np.asarray(east), column, row, grid), _between(
        np.asarray(north), column, row, grid
    )


def _knots(cells_along: int) -> Floats:
    count = max(-(-cells_along // _LATTICE), 1) + 1
    return np.linspace(0, max(cells_along - 1, 1), count)


def _between(values: Floats, column: Floats, row: Floats, grid: Grid) -> Floats:
    """``values`` at knots (row, column), at every cell of ``grid``."""
    c, wc = _shares(column, grid.columns)
    r, wr = _shares(row, grid.rows)
    wide = values[:, c] + (values[:, c + 1] - values[:, c]) * wc
    return np.asarray(wide[r] + (wide[r + 1] - wide[r]) * wr[:, None])


def _shares(knots: Floats, cells_along: int) -> tuple[NDArray[np.int64], Floats]:
    at = np.arange(cells_along)
    below = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    return below, (at - knots[below]) / (knots[below + 1] - knots[below])


def _resampled(
    source: Any, columns: Fine, rows: Fine, bands: int
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Values (bands, rows, columns) by cubic convolution, and which cells the frame shows."""
    with np.errstate(invalid="ignore"):
        valid = (columns > -0.5) & (columns < source.columns - 0.5)
        valid &= (rows > -0.5) & (rows < source.rows - 0.5)
    if not valid.any():
        return np.zeros((bands, *columns.shape), np.uint8), valid
    left = max(int(columns[valid].min()) - _AROUND, 0)
    top = max(int(rows[valid].min()) - _AROUND, 0)
    right = min(int(columns[valid].max()) + _AROUND + 2, source.columns)
    bottom = min(int(rows[valid].max()) + _AROUND + 2, source.rows)
    pixels = source.read(left, top, right, bottom, bands)
    made = cv2.remap(
        pixels,
        np.where(valid, columns - np.float32(left), -9),
        np.where(valid, rows - np.float32(top), -9),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.moveaxis(np.atleast_3d(made), -1, 0), valid


@dataclass(frozen=True, slots=True)
class _Source:
    """A frame's pixels: whole in memory, or as an open file of tiles."""

    columns: int
    rows: int
    dataset: Any
    whole: Pixels | None

    def read(self, left: int, top: int, right: int, bottom: int, bands: int) -> Pixels:
        """A window, (rows, columns, bands); a grey image gives each band alike."""
        if self.whole is not None:
            found = self.whole[top:bottom, left:right]
        else:
            window = Window(left, top, right - left, bottom - top)
            found = np.moveaxis(self.dataset.read(window=window), 0, -1)
        if found.shape[2] < bands:
            found = np.repeat(found[:, :, :1], bands, axis=2)
        return np.ascontiguousarray(found[:, :, :bands])


@contextmanager
def _source(image: Image, target: Path) -> Iterator[_Source]:
    """The frame, open: in memory where it is small, else copied into tiles to jump to."""
    path = store.local(image.place)
    driver = opening.driver_of(path) or "GTiff"
    size = image.columns * image.rows * image.bands
    with opening.arrival(path, driver) as dataset:
        if size <= _IN_MEMORY:
            whole = np.moveaxis(dataset.read(), 0, -1)
            yield _Source(image.columns, image.rows, dataset, whole)
            return
        copy = target.with_name(f"{target.name}.frame")
        _tiled(dataset, copy)
    try:
        with rasterio.Env(GDAL_CACHEMAX=opening.CACHE_BYTES), rasterio.open(copy) as tiled:
            yield _Source(image.columns, image.rows, tiled, None)
    finally:
        copy.unlink(missing_ok=True)


def _tiled(dataset: Any, copy: Path) -> None:
    profile = {"driver": "GTiff", "tiled": True, "width": dataset.width, "height": dataset.height}
    profile |= {"count": dataset.count, "dtype": dataset.dtypes[0], "BIGTIFF": "IF_SAFER"}
    with rasterio.open(copy, "w", blockxsize=512, blockysize=512, **profile) as written:
        for top in range(0, dataset.height, _STRIP):
            window = Window(0, top, dataset.width, min(_STRIP, dataset.height - top))
            written.write(dataset.read(window=window), window=window)
