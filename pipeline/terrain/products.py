"""Rasters and contours of an elevation model, tile by tile, by processes or machines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import contourpy
import cv2
import numpy as np
import rasterio
import shapely
from pyproj import CRS
from rasterio.windows import Window

from pipeline.geo import Geometries
from pipeline.rasters import cog, disk
from pipeline.rasters.cog import Cog
from pipeline.spread import once, store
from pipeline.terrain.derived import PRODUCTS, Model, opened
from pipeline.terrain.grid import Floats, Grid, Heights, Tile, tiles
from pipeline.terrain.tasks import ALONE, Spread

_SIDE = 2048


@dataclass(frozen=True, slots=True)
class Derivation:
    """A ``tile`` of a product of the ``model``, whose content is ``key``; ``interval`` in metres
    for contours, which have no ``product``; ``steeper`` than it is, for the shade of even ground.
    """

    model: str
    key: str
    tile: Tile
    work: str
    product: str | None = None
    interval: float = 0.0
    steeper: float = 1.0

    def __str__(self) -> str:
        first, _, left, _ = self.tile.core
        return f"{self.product or 'contours'} at row {first}, column {left}"

    def place(self) -> str:
        """Where the tile of the very same model stands."""
        key = once.digest(self.key, self.tile, self.product, self.interval, self.steeper)
        return once.place(self.work, "derived", key, ".npz")


def drawn(task: Derivation) -> str:
    """The place of the tile's pixels, or of its contours."""
    place = task.place()
    once.made(place, lambda path: _draw(task, path))
    return place


def _draw(task: Derivation, path: Path) -> None:
    cv2.setNumThreads(1)
    with opened(store.local(task.model)) as model:
        found = _lines(task, model) if task.product is None else _pixels(task, model)
    with path.open("wb") as stream:
        np.savez(stream, **found)


def _pixels(task: Derivation, model: Model) -> dict[str, Any]:
    product = PRODUCTS[task.product or ""]
    made = product.make(model.read(task.tile), model.cell_m / task.steeper)[:, *task.tile.inner]
    if product.nodata is not None:
        made = np.where(np.isfinite(made), made, product.nodata).astype(product.dtype)
    return {"pixels": made}


def _lines(task: Derivation, model: Model) -> dict[str, Any]:
    """The points of all lines, where each line begins among them, and their heights."""
    found = list(_contours(model.read(task.tile), model.grid.part(task.tile), task.interval))
    points = [line for _, line in found]
    return {
        "points": np.concatenate([*points, np.empty((0, 2))]),
        "lengths": np.array([len(line) for line in points], dtype=np.int64),
        "levels": np.array([z for z, _ in found], dtype=np.float64),
    }


def _contours(z: Heights, grid: Grid, interval: float) -> Iterator[tuple[float, Floats]]:
    if not np.isfinite(z).any() or min(z.shape) < 2:
        return
    x = grid.west + (np.arange(grid.columns) + 0.5) * grid.cell
    y = grid.north - (np.arange(grid.rows) + 0.5) * grid.cell
    generator = contourpy.contour_generator(x, y, np.ma.masked_invalid(z), name="serial")
    low, high = np.nanmin(z) / interval, np.nanmax(z) / interval
    for level in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        lines: Any = generator.lines(level * interval)
        yield from ((level * interval, line) for line in lines if len(line) > 1)


def derive(
    source: str | Path,
    target: Path,
    name: str,
    spread: Spread = ALONE,
    work: str | None = None,
    steeper: float = 1.0,
) -> Cog:
    """Writes the product ``name`` of the model at ``source`` (path or address) as a COG.

    ``work`` is a folder that all workers of ``spread`` reach by its path or address, kept
    afterwards. They must reach ``source`` too, if ``work`` is a path; to an address it is brought.
    """
    with _working(target, work) as (folder, scratch):
        copy = scratch / "plain.tif"
        with opened(store.local(store.of_path(source))) as model, disk.writing(copy):
            key, place = _reached(source, folder)
            given = [
                Derivation(place, key, tile, folder, name, 0, steeper)
                for tile in tiles(model.grid, _SIDE, 1)
            ]
            places = spread.gather(name, drawn, given)
            _write(model, name, given, places, copy)
        made = cog.write(copy, scratch / "cog.tif", PRODUCTS[name].encoding)
        disk.publish(made.path, target)
    return cog.describe(target)


@contextmanager
def _working(target: Path, work: str | None) -> Iterator[tuple[str, Path]]:
    """Where tiles are left, by path or address, and a folder for what is only ours."""
    with TemporaryDirectory(dir=target.parent, prefix=".work-") as scratch:
        yield store.of_path(work or scratch), Path(scratch)


def _reached(source: str | Path, folder: str) -> tuple[str, str]:
    """What stands for the content of the model, and where workers read it."""
    place = store.of_path(source)
    key = store.fingerprint(place)
    if store.is_address(place) or not store.is_address(folder):
        return key, place
    there = once.place(folder, "model", key, Path(place).suffix)
    once.made(there, partial(_copied, place))
    return key, there


def _copied(place: str, copy: Path) -> None:
    shutil.copyfile(place, copy)


def _write(model: Model, name: str, given: list[Derivation], places: list[str], path: Path) -> None:
    grid, product = model.grid, PRODUCTS[name]
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
        for task, place in zip(given, places, strict=True):
            first, end, left, right = task.tile.core
            with np.load(store.local(place)) as made:
                window = Window(left, first, right - left, end - first)
                written.write(made["pixels"], window=window)


def contours(
    source: str | Path,
    interval: float,
    target: Path,
    spread: Spread = ALONE,
    work: str | None = None,
) -> tuple[Geometries, Floats, CRS]:
    """Lines of equal height at multiples of ``interval`` metres, their heights, and their CRS.

    Tiles stand in ``work``, or for a while beside ``target``.
    """
    local = store.local(store.of_path(source))
    with _working(target, work) as (folder, _), opened(local) as model:
        (key, place), crs = _reached(source, folder), model.crs
        given = [
            Derivation(place, key, tile, folder, None, interval) for tile in _joining(model.grid)
        ]
        places = spread.gather("contours", drawn, given)
        found = [piece for place in places for piece in _read(place)]
    by_level: dict[float, list[shapely.LineString]] = {}
    for z, line in found:
        by_level.setdefault(z, []).append(line)
    merged = [
        (z, shapely.line_merge(shapely.multilinestrings(lines)))
        for z, lines in sorted(by_level.items())
    ]
    parts = [(z, part) for z, lines in merged for part in shapely.get_parts(lines)]
    shapes = np.empty(len(parts), dtype=object)
    shapes[:] = [part for _, part in parts]
    return shapes, np.array([z for z, _ in parts]), crs


def _joining(grid: Grid) -> Iterator[Tile]:
    """Tiles with one more row and column, so that lines of neighbours meet."""
    for tile in tiles(grid, _SIDE, 0):
        end, right = min(tile.bottom + 1, grid.rows), min(tile.right + 1, grid.columns)
        yield Tile(tile.top, end, tile.left, right, tile.core)


def _read(place: str) -> Iterator[tuple[float, shapely.LineString]]:
    with np.load(store.local(place)) as made:
        levels, lengths, points = made["levels"], made["lengths"], made["points"]
    pieces = np.split(points, np.cumsum(lengths)[:-1]) if len(lengths) else []
    for z, line in zip(levels.tolist(), pieces, strict=True):
        yield z, shapely.LineString(line)
