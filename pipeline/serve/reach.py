"""Boxes from the CRS of a grid to that of the city, and back."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.contracts.city import City
from pipeline.derive.grids import Boxes, Grid
from pipeline.serve import crs
from pipeline.serve.crs import Bounds

_EDGE_POINTS = 20


def moved(boxes: Boxes, source: int, target: int) -> Boxes:
    """The boxes round ``boxes`` (n, 4) in another SRID; looked at in nine places."""
    if source == target or not len(boxes):
        return boxes
    steps = np.linspace(0.0, 1.0, 3)
    xs = boxes[:, [0]] + (boxes[:, [2]] - boxes[:, [0]]) * np.tile(steps, 3)
    ys = boxes[:, [1]] + (boxes[:, [3]] - boxes[:, [1]]) * np.repeat(steps, 3)
    x, y = crs.transformer(source, target).transform(xs, ys)
    return np.column_stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)])


def stored(grid: Grid, bounds: Bounds, city: City) -> tuple[Bounds, float] | None:
    """``bounds`` of ``grid`` as a box in the city's CRS, cut where no feature can be, and units of
    that CRS in one of the grid's; None where the city is not."""
    box = shapely.box(*bounds).intersection(shapely.box(*crs.domain(city, grid.srid)))
    if box.is_empty or box.area == 0:
        return None
    cut: Bounds = box.bounds
    if grid.srid == city.srid:
        return cut, 1.0
    bent = crs.transform(crs.ring(cut, _EDGE_POINTS), grid.srid, city.srid).bounds
    return bent, (bent[2] - bent[0]) / (cut[2] - cut[0])
