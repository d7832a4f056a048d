"""What follows from heights: hillshade, slope, contours, heights as colours. A window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import contourpy
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.windows import Window

from pipeline.contracts.raster import Encoding
from pipeline.errors import ArrivalError
from pipeline.geo import Geometries
from pipeline.rasters import cog, disk, heights
from pipeline.rasters.cog import Cog
from pipeline.rasters.opening import FAULTS, reason
from pipeline.terrain.grid import Floats, Grid, Heights, Tile, tiles

_SIDE = 2048
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


def derive(source: Path, target: Path, name: str) -> Cog:
    """Writes the product ``name`` of the model in ``source`` as a COG."""
    product = PRODUCTS[name]
    with TemporaryDirectory(dir=target.parent, prefix=".work-") as folder:
        copy = Path(folder) / "plain.tif"
        with opened(source) as model, disk.writing(copy):
            _write(model, product, copy)
        made = cog.write(copy, Path(folder) / "cog.tif", product.encoding)
        disk.publish(made.path, target)
    return cog.describe(target)


def _write(model: Model, product: Product, path: Path) -> None:
    grid = model.grid
    profile = {
        "driver": "GTiff",
        "tiled": True,
        "width": grid.columns,
        "height": grid.rows,
        "count": len(product.bands),
        "dtype": product.dtype,
        "nodata": product.nodata,
        "crs": model.dataset.crs,
        "transform": grid.transform,
        "compress": "ZSTD",
        "BIGTIFF": "IF_SAFER",
    }
    if len(product.bands) == 4:
        profile |= {"photometric": "RGB", "ALPHA": "YES"}
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(path, "w", **profile) as written:
        for number, band in enumerate(product.bands, start=1):
            written.set_band_description(number, band)
        written.update_tags(AREA_OR_POINT="Area")
        for tile in tiles(grid, _SIDE, 1):
            made = product.make(model.read(tile), model.cell_m)[:, *tile.inner]
            if product.nodata is not None:
                made = np.where(np.isfinite(made), made, product.nodata).astype(product.dtype)
            first, end, left, right = tile.core
            written.write(made, window=Window(left, first, right - left, end - first))


def contours(source: Path, interval: float) -> tuple[Geometries, Floats, CRS]:
    """Lines of equal height at multiples of ``interval`` metres, their heights, and their CRS."""
    found: dict[float, list[Any]] = {}
    with opened(source) as model:
        for tile in tiles(model.grid, _SIDE, 0):
            # One more row and column, so that lines of neighbouring tiles meet.
            rows, columns = model.grid.rows, model.grid.columns
            end, right = min(tile.bottom + 1, rows), min(tile.right + 1, columns)
            wide = Tile(tile.top, end, tile.left, right, tile.core)
            for z, lines in _lines(model.read(wide), model.grid.part(wide), interval):
                found.setdefault(z, []).extend(lines)
        crs = model.crs
    merged = [(z, shapely.line_merge(shapely.multilinestrings(found[z]))) for z in sorted(found)]
    parts = [(z, part) for z, lines in merged for part in shapely.get_parts(lines)]
    shapes = np.empty(len(parts), dtype=object)
    shapes[:] = [part for _, part in parts]
    return shapes, np.array([z for z, _ in parts]), crs


def _lines(z: Heights, grid: Grid, interval: float) -> Iterator[tuple[float, list[Any]]]:
    if not np.isfinite(z).any() or min(z.shape) < 2:
        return
    x = grid.west + (np.arange(grid.columns) + 0.5) * grid.cell
    y = grid.north - (np.arange(grid.rows) + 0.5) * grid.cell
    drawn = contourpy.contour_generator(x, y, np.ma.masked_invalid(z), name="serial")
    low, high = np.nanmin(z) / interval, np.nanmax(z) / interval
    for level in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        lines: Any = drawn.lines(level * interval)
        parts = [shapely.LineString(line) for line in lines if len(line) > 1]
        if parts:
            yield level * interval, parts
