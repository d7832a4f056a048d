"""The ground's height: an exact plane round the fixture, gentle hills further away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contourpy
import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.transform import from_origin

from pipeline.sample import fixture
from pipeline.sample.arrays import Floats, Objects, objects
from pipeline.sample.arrivals import CRS, Arrival
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import text
from pipeline.sample.town import Town
from pipeline.sample.warp import ORIGIN, ramp

NODATA = -9999.0
_MOST_CELLS = 1000
_CONTOUR_M = 1.0


@dataclass(frozen=True)
class Grid:
    """A height grid: ``heights`` (rows, columns) in m, north row first; west and north edge and
    cell size in m, EPSG:32639."""

    heights: Floats
    west: float
    north: float
    cell: float


def height(east: Floats, north: Floats) -> Floats:
    """Height in m at points of EPSG:32639: between 900 and 960 m in the city.

    Within 320 m of the fixture it is 900 + 0.01 (E - 488600).
    """
    x, y = east - ORIGIN[0], north - ORIGIN[1]
    plane = fixture.PLANE_HEIGHT_M + fixture.PLANE_SLOPE * x
    hills = (
        926.0
        + 11.0 * np.sin(x / 2900.0 + 0.7) * np.cos(y / 3700.0 - 0.4)
        + 6.0 * np.sin(x / 1100.0 - y / 1500.0)
        + 2.0 * np.cos(x / 420.0 + 1.0) * np.sin(y / 510.0)
        + 0.3 * np.sin(x / 61.0) * np.sin(y / 53.0)
    )
    away = ramp(np.hypot(x, y), fixture.PLANE_RADIUS_M, 1900.0)
    return np.asarray(plane * (1.0 - away) + hills * away, dtype=np.float64)


def grid(town: Town) -> Grid:
    """Heights over the whole city in cells of 5 m, or larger so that no side has more than 1000."""
    west, south, east, north = shapely.total_bounds(town.city.block_shapes)
    size = max(5.0, float(np.ceil(max(east - west, north - south) / (_MOST_CELLS - 10))))
    west, north = np.floor(west / size) * size - size, np.ceil(north / size) * size + size
    columns, rows = int((east - west) / size) + 2, int((north - south) / size) + 2
    e = west + (np.arange(columns) + 0.5) * size
    n = north - (np.arange(rows) + 0.5) * size
    return Grid(height(*np.meshgrid(e, n)), float(west), float(north), size)


def write_dem(heights: Grid, path: Path) -> None:
    """The grid as a GeoTIFF of 32-bit floats."""
    rows, columns = heights.heights.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=columns,
        height=rows,
        count=1,
        dtype="float32",
        crs=CRS,
        transform=from_origin(heights.west, heights.north, heights.cell, heights.cell),
        nodata=NODATA,
        compress="deflate",
        predictor=3,
        tiled=True,
    ) as image:
        image.write(heights.heights.astype("float32"), 1)
        image.set_band_description(1, "height")


def contours(heights: Grid) -> Arrival:
    """Contours with their height in the coordinates, a Shapefile. No feed takes them yet."""
    rows, columns = heights.heights.shape
    e = heights.west + (np.arange(columns) + 0.5) * heights.cell
    n = heights.north - (np.arange(rows) + 0.5) * heights.cell
    lines = contourpy.contour_generator(e, n, heights.heights, name="serial")
    lowest, highest = heights.heights.min(), heights.heights.max()
    levels = np.arange(np.ceil(lowest), np.floor(highest) + 0.5, _CONTOUR_M)
    drawn: list[tuple[float, list[Any]]] = [(float(z), list(lines.lines(z))) for z in levels]
    found = [(z, line) for z, several in drawn for line in several if len(line) > 1]
    shapes = np.empty(len(found), dtype=object)
    shapes[:] = [
        shapely.LineString(np.column_stack([np.round(line, 2), np.full(len(line), z)]))
        for z, line in found
    ]
    level = np.array([z for z, _ in found])
    frame = pd.DataFrame({"ELEV": level, "SHAKHES": np.where(level % 5 == 0, 1, 0)})
    return Arrival("", "monhani.shp", "ESRI Shapefile", frame, shapes, "LineString Z")


def spot_heights(town: Town) -> Arrival:
    """Spot heights at street corners, a CSV. No feed takes them yet."""
    ends = shapely.get_coordinates(shapely.get_point(town.streets.shapes, 0))
    point = np.unique(ends, axis=0)
    z = height(point[:, 0], point[:, 1])
    frame = pd.DataFrame({"NO": np.arange(1, len(point) + 1), "H": np.round(z, 2)})
    return Arrival("", "noghat_ertefai.csv", "CSV", frame, _points(point), "Point", xy=("X", "Y"))


def _points(coordinates: Floats) -> Objects:
    return objects(shapely.points(coordinates))


_ORDERS = {1: (0.004, 0.008), 2: (0.010, 0.020), 3: (0.030, 0.050)}
_MONUMENTS = np.array(["ستون بتنی", "بلوک بتنی", "گل میخ", "پشت بام"], dtype=object)
_STATES = np.array(["سالم", "سالم", "سالم", "آسیب دیده", "از بین رفته"], dtype=object)


def control_points(town: Town) -> Arrival:
    """Permanent points at corners of main streets, a CSV with heights and their precision."""
    rng, cells = town.city.rng("control points"), town.city.cells
    built = np.unique(town.city.blocks.cell)
    at = np.union1d(built[:3], built[rng.random(len(built)) < 0.25])
    place = town.city.ground.place(cells.west[at] + 1.5, cells.south[at] + 1.5)
    n = len(at)
    order = rng.choice(list(_ORDERS), n, p=[0.2, 0.4, 0.4])
    sigma = np.array([_ORDERS[int(value)] for value in order])
    levelled = rng.random(n) < 0.8
    z = height(place[:, 0], place[:, 1]) + np.where(levelled, 0.0, -2.6)
    frame = pd.DataFrame(
        {
            "NAM": "QM-" + text(np.arange(1, n + 1), 4),
            "NOE": np.where(rng.random(n) < 0.75, "کنترل", "چک").astype(object),
            "DARAJE": order,
            "H": np.round(z, 3),
            "NOE_H": np.where(levelled, "ترازیابی", "بیضوی").astype(object),
            "MABNA": np.where(levelled, "IRHS1998", "WGS84").astype(object),
            "SIGMA_E": sigma[:, 0],
            "SIGMA_N": sigma[:, 0],
            "SIGMA_H": sigma[:, 1],
            "EPOCH": np.round(rng.uniform(2019.0, 2023.0, n), 2),
            "SAKHT": _MONUMENTS[rng.integers(0, len(_MONUMENTS), n)],
            "VAZIAT": _STATES[rng.integers(0, len(_STATES), n)],
            "TARIKH": jalali_dates(rng, (1398, 1402), n),
            "KROKI": "https://example.org/kroki/QM-" + text(np.arange(1, n + 1), 4) + ".jpg",
        }
    )
    return Arrival(
        "control_points",
        "noghat_kontrol.csv",
        "CSV",
        frame,
        _points(place),
        "Point",
        xy=("X", "Y"),
        decimals=3,
    )
