"""The ground's height: an exact plane round the fixture, gentle hills further away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contourpy
import numpy as np
import pandas as pd
import shapely
from ezdxf._options import options
from ezdxf.filemanagement import new

from pipeline.sample import fixture
from pipeline.sample.arrays import Floats, Objects, objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import text
from pipeline.sample.town import Town
from pipeline.sample.warp import ORIGIN, ramp

CONTOUR_M = 0.5
_MOST_CELLS = 1000
_SHORTEST_M = 1.0
_KERB, _KERB_WIDTH_M, _KERB_STEP_M = "JADVAL", 14.0, 15.0


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


def contours(town: Town) -> Arrival:
    """Contours as an old survey has them: a Shapefile, heights in a column."""
    heights = grid(town)
    rows, columns = heights.heights.shape
    e = heights.west + (np.arange(columns) + 0.5) * heights.cell
    n = heights.north - (np.arange(rows) + 0.5) * heights.cell
    generator = contourpy.contour_generator(e, n, heights.heights, name="serial")
    lowest, highest = heights.heights.min(), heights.heights.max()
    levels = np.arange(np.ceil(lowest / CONTOUR_M), np.ceil(highest / CONTOUR_M)) * CONTOUR_M
    drawn: list[tuple[float, list[Any]]] = [(float(z), list(generator.lines(z))) for z in levels]
    found = [(z, np.round(line, 2)) for z, several in drawn for line in several]
    found = [(z, line) for z, line in found if _length(line) > _SHORTEST_M]
    level = np.array([z for z, _ in found])
    frame = pd.DataFrame(
        {
            "SHOMARE": "M-" + text(np.arange(1, len(found) + 1), 6),
            "ELEV": level,
            "SHAKHES": np.where(level % (5 * CONTOUR_M) == 0, 1, 0),
        }
    )
    # Two corners of the grid's cells may be one after rounding.
    lines = objects([shapely.LineString(line) for _, line in found])
    shapes = objects(shapely.remove_repeated_points(lines, 0.005))
    return Arrival("contours", "monhani.shp", "ESRI Shapefile", frame, shapes, "LineString")


def _length(line: Floats) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def spot_heights(town: Town) -> Arrival:
    """Spot heights at street corners: a GeoPackage, heights in the coordinates."""
    ends = shapely.get_coordinates(shapely.get_point(town.streets.shapes, 0))
    point = np.unique(ends, axis=0)
    z = np.round(height(point[:, 0], point[:, 1]), 2)
    rng = town.city.rng("spot heights")
    frame = pd.DataFrame(
        {
            "SHOMARE": "N-" + text(np.arange(1, len(point) + 1), 6),
            "TARIKH": jalali_dates(rng, (1400, 1402), len(point)),
        }
    )
    shapes = _points(np.column_stack([point, z]))
    name = "noghat_ertefai"
    return Arrival("spot_heights", f"{name}.gpkg", "GPKG", frame, shapes, "Point", name, high=True)


def write_breaklines(town: Town, path: Path) -> int:
    """Kerbs of main streets as 3D polylines of a drawing; returns how many."""
    options.write_fixed_meta_data_for_testing = True
    drawing = new("R2000", setup=False)
    drawing.layers.add(_KERB, color=8)
    space = drawing.modelspace()
    wide = town.names.width >= _KERB_WIDTH_M
    wide &= town.streets.lines.cell[town.streets.line] < 0
    axes, half = town.streets.shapes[wide], town.names.width[wide] / 2
    sides = [shapely.offset_curve(axes, side * half, join_style="mitre") for side in (1, -1)]
    kerbs = shapely.segmentize(np.concatenate(sides), _KERB_STEP_M)
    kerbs = kerbs[(shapely.get_type_id(kerbs) == 1) & ~shapely.is_empty(kerbs)]
    for kerb in kerbs:
        point = np.round(shapely.get_coordinates(kerb), 2)
        z = np.round(height(point[:, 0], point[:, 1]), 2)
        space.add_polyline3d(np.column_stack([point, z]), dxfattribs={"layer": _KERB})
    drawing.saveas(path)
    return len(kerbs)


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
