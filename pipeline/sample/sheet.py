"""One drawn map sheet, as the drawing office has it: DXF R2000 with texts in Windows-1256.

Plots are closed polylines on one layer, their numbers within the block are texts on another, and
so it is with blocks and their codes; nothing says which number belongs to which plot, nor which
plot to which block, but that one lies inside the other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from ezdxf._options import options
from ezdxf.filemanagement import new
from ezdxf.layouts.layout import Modelspace

from pipeline.sample.arrays import Ints, objects, only_where
from pipeline.sample.arrivals import Arrival, legacy
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import text
from pipeline.sample.town import Town
from pipeline.sample.warp import ORIGIN

# A 1:500 sheet covers 400 m x 300 m, its corner a multiple of 100 m.
WIDTH_M, HEIGHT_M = 400.0, 300.0
FILE = "barg_500.dxf"
_TEXT_M = 1.5
_LAYERS = {
    "PARCEL": 7, "PARCEL_NO": 2, "BLOCK": 1, "BLOCK_NO": 3, "STREET": 8, "STREET_NAME": 4,
    "FRAME": 5,
}  # fmt: skip


def frame() -> shapely.Polygon:
    """The sheet that the fixture is on (EPSG:32639)."""
    west, south = (float(np.floor(at / 100) * 100) for at in (ORIGIN[0] - 200, ORIGIN[1] - 100))
    return shapely.box(west, south, west + WIDTH_M, south + HEIGHT_M)


def index(town: Town) -> Arrival:
    """The contractor's index: every 1:500 sheet that some plot is on; one of them is drawn."""
    west, south, _, _ = drawn = shapely.bounds(frame())
    corner = shapely.bounds(town.city.plots)[:, :2]
    cells = np.unique(np.floor((corner - (west, south)) / (WIDTH_M, HEIGHT_M)), axis=0)
    low = cells * (WIDTH_M, HEIGHT_M) + (west, south)
    shapes = shapely.box(low[:, 0], low[:, 1], low[:, 0] + WIDTH_M, low[:, 1] + HEIGHT_M)
    hundred = np.round(low / 100).astype(np.int64)
    own = (low == drawn[:2]).all(axis=1)
    listed = pd.DataFrame(
        {
            "SHEET": "500-" + text(hundred[:, 0]) + "-" + text(hundred[:, 1]),
            "MEGHYAS": 500,
            "VIRAYESH": "1398",
            "TARIKH": jalali_dates(town.city.rng("sheets"), (1397, 1398), len(low)),
            "FILE": only_where(own, objects(np.full(len(low), FILE, dtype=object))),
        }
    )
    found = "index_sheet.gpkg"
    return Arrival(
        "map_sheets", found, "GPKG", listed, objects(shapes), "Polygon", "index", safe=own
    )


def write(town: Town, path: Path) -> int:
    """Draws the plots of the fixture's district that lie on the sheet; returns their number."""
    options.write_fixed_meta_data_for_testing = True
    drawing = new("R2000", setup=False)
    drawing.encoding = "cp1256"
    for name, color in _LAYERS.items():
        drawing.layers.add(name, color=color)
    space = drawing.modelspace()
    city = town.city
    inside = shapely.contains(frame(), city.plots)
    inside &= town.areas.district[city.lot_cell] == town.areas.district[city.cells.home]
    chosen = np.flatnonzero(inside)
    labels = shapely.get_coordinates(shapely.point_on_surface(city.plots[chosen]))
    for lot, at in zip(chosen, np.round(labels, 2), strict=True):
        ring = shapely.get_coordinates(city.plots[lot])[:-1]
        space.add_lwpolyline(ring, close=True, dxfattribs={"layer": "PARCEL"})
        attributes = {"layer": "PARCEL_NO", "height": _TEXT_M, "insert": tuple(at)}
        space.add_text(str(city.lots.number[lot]), dxfattribs=attributes)
    _blocks(town, space, np.unique(city.lots.block[chosen]))
    _streets(town, space)
    space.add_lwpolyline(
        shapely.get_coordinates(frame())[:-1], close=True, dxfattribs={"layer": "FRAME"}
    )
    drawing.saveas(path)
    return len(chosen)


def _blocks(town: Town, space: Modelspace, chosen: Ints) -> None:
    """Blocks of drawn plots, whole even where they leave the sheet."""
    shapes = town.city.block_shapes[chosen]
    labels = shapely.get_coordinates(shapely.point_on_surface(shapes))
    codes = town.register.audit[chosen]
    for shape, at, code in zip(shapes, np.round(labels, 2), codes, strict=True):
        ring = shapely.get_coordinates(shape)[:-1]
        space.add_lwpolyline(ring, close=True, dxfattribs={"layer": "BLOCK"})
        attributes = {"layer": "BLOCK_NO", "height": 3 * _TEXT_M, "insert": tuple(at)}
        space.add_text(str(code), dxfattribs=attributes)


def _streets(town: Town, space: Modelspace) -> None:
    shapes = town.streets.shapes
    at = np.flatnonzero(shapely.contains(frame(), shapes))
    middle = shapely.get_coordinates(
        shapely.line_interpolate_point(shapes[at], 0.5, normalized=True)
    )
    names = legacy(town.names.fa[at])
    for shape, point, name in zip(shapes[at], np.round(middle, 2), names, strict=True):
        space.add_lwpolyline(shapely.get_coordinates(shape), dxfattribs={"layer": "STREET"})
        attributes = {"layer": "STREET_NAME", "height": 2 * _TEXT_M, "insert": tuple(point)}
        space.add_text(name, dxfattribs=attributes)
