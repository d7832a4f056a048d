"""What follows from heights, a window at a time: hillshade, slope, heights as colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.windows import Window

from pipeline.contracts.raster import Encoding
from pipeline.errors import ArrivalError
from pipeline.rasters import heights
from pipeline.rasters.opening import FAULTS, reason
from pipeline.terrain.grid import Floats, Grid, Heights, Tile

_SUN_AZIMUTH, _SUN_HEIGHT = np.radians(315.0), np.radians(45.0)
_DEFLATE = Encoding(compress="DEFLATE", predictor=2)
_FLOATS = Encoding(compress="DEFLATE", predictor=3)
# Means of colours that mean heights are heights of nowhere.
_COLOURS = Encoding(compress="DEFLATE", predictor=2, resampling="nearest")

Made = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Product:
    """How one derived raster is made: ``make`` takes heights (rows, columns) with NaN where there
    are none and the cell in metres, and gives bands of the same rows and columns."""

    make: Callable[[Heights, float], Made]
    dtype: str
    bands: tuple[str, ...]
    nodata: float | None
    encoding: Encoding


def hillshade(z: Heights, cell_m: float) -> Made:
    """Light from the north-west at 45 degrees, 1 to 255; 0 where there is no height."""
    right, down = _slopes(z, cell_m)
    north = -down
    steep = np.sqrt(1 + right**2 + north**2)
    toward = right * np.sin(_SUN_AZIMUTH) + north * np.cos(_SUN_AZIMUTH)
    light = (np.sin(_SUN_HEIGHT) - np.cos(_SUN_HEIGHT) * toward) / steep
    shade = np.clip(1 + 254 * np.clip(light, 0, 1), 1, 255)
    return np.where(np.isfinite(z), np.rint(np.nan_to_num(shade)), 0).astype(np.uint8)[None]


def slope(z: Heights, cell_m: float) -> Made:
    """Degrees of the steepest fall, after Horn (3 x 3 cells)."""
    right, down = _slopes(z, cell_m)
    degrees = np.degrees(np.arctan(np.hypot(right, down)))
    return np.where(np.isfinite(z), degrees, np.nan).astype(np.float32)[None]


def terrain_rgb(z: Heights, _: float) -> Made:
    """Heights as colours (``rasters.heights``)."""
    return heights.mapbox(z)


def _slopes(z: Heights, cell_m: float) -> tuple[Floats, Floats]:
    """Rise per metre to the right and down, after Horn; a missing neighbour counts as level."""
    wide = np.pad(z, 1, mode="reflect", reflect_type="odd") if min(z.shape) > 1 else np.pad(z, 1)
    rows, columns = z.shape

    def at(row: int, column: int) -> Floats:
        part = wide[1 + row : 1 + row + rows, 1 + column : 1 + column + columns]
        return np.where(np.isfinite(part), part, z).astype(np.float64)

    east = at(-1, 1) + 2 * at(0, 1) + at(1, 1)
    west = at(-1, -1) + 2 * at(0, -1) + at(1, -1)
    south = at(1, -1) + 2 * at(1, 0) + at(1, 1)
    north = at(-1, -1) + 2 * at(-1, 0) + at(-1, 1)
    return (east - west) / (8 * cell_m), (south - north) / (8 * cell_m)


PRODUCTS = {
    "hillshade": Product(hillshade, "uint8", ("light",), 0, _DEFLATE),
    "slope": Product(slope, "float32", ("degrees",), -9999.0, _FLOATS),
    "terrain-rgb": Product(
        terrain_rgb, "uint8", ("red", "green", "blue", "opacity"), None, _COLOURS
    ),
}


@dataclass(frozen=True, slots=True)
class Model:
    """An open elevation model in a projected CRS, read a window at a time."""

    dataset: Any
    grid: Grid
    crs: CRS
    cell_m: float

    def read(self, tile: Tile) -> Heights:
        """Heights of a tile with its margin, NaN where there are none."""
        window = Window(tile.left, tile.top, tile.right - tile.left, tile.bottom - tile.top)
        values = self.dataset.read(1, window=window).astype(np.float32)
        known = self.dataset.read_masks(1, window=window) > 0
        return np.where(known, values, np.float32(np.nan))


@contextmanager
def opened(path: Path) -> Iterator[Model]:
    """The elevation model in ``path``; ArrivalError where it is none that can be derived from."""
    try:
        dataset = rasterio.open(path)
    except FAULTS as error:
        raise ArrivalError(f"cannot be read: {reason(error, path)}", where=path.name) from None
    with dataset:
        crs = CRS.from_wkt(dataset.crs.to_wkt()) if dataset.crs else None
        transform = dataset.transform
        square = abs(transform.a + transform.e) < 1e-6 * transform.a and not transform.b
        if dataset.count != 1 or crs is None or crs.is_geographic or not square:
            raise ArrivalError(
                "is no elevation model of square cells in a projected CRS",
                where=path.name,
                todo="Load it first (`makan raster load --as dem`): what is served is one.",
            )
        grid = Grid(transform.c, transform.f, transform.a, dataset.height, dataset.width)
        yield Model(dataset, grid, crs, transform.a * crs.axis_info[0].unit_conversion_factor)
