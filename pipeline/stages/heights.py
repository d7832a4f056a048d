"""Heights that arrive in the coordinates: of a contour the one that all its points have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely

from pipeline import geo
from pipeline.contracts.layer import Geometry
from pipeline.geo import Floats, Geometries, Mask
from pipeline.stages.batch import Found, Raw
from pipeline.stages.context import Context

# Two points of one contour differ by no more than the rounding of a file.
_LEVEL_M = 0.001


@dataclass(frozen=True)
class Levels:
    """The lowest and the highest point of each row, nan where a row has no heights."""

    low: Floats
    high: Floats

    @property
    def slanted(self) -> Mask:
        """Where a row has no one height."""
        return np.asarray(self.high - self.low > _LEVEL_M)

    def values(self) -> pa.Array:
        """The height of each row, null where it has none or several."""
        return pa.array(np.where(self.slanted, np.nan, self.low), from_pandas=True)

    def found(self, raw: Raw, name: str) -> Found:
        """geometry.slanted where a row has several heights; they were for the field ``name``."""
        found, where = Found(), self.slanted
        pairs = zip(self.low[where], self.high[where], strict=True)
        details = [f"{low:g} … {high:g}" for low, high in pairs]
        found.mark("geometry.slanted", raw.lines[where], field_name=name, details=details)
        return found


def levels(raw: Raw) -> Levels:
    """Of all rows of a batch; measures (m) are no heights."""
    count = len(raw.lines)
    if raw.wkb is None:
        return Levels(np.full(count, np.nan), np.full(count, np.nan))
    return of(geo.from_wkb(raw.wkb.to_numpy(zero_copy_only=False)))


def of(shapes: Geometries) -> Levels:
    """The lowest and the highest point of each shape."""
    points, row = shapely.get_coordinates(shapes, include_z=True, return_index=True)
    low, high = np.full(len(shapes), np.inf), np.full(len(shapes), -np.inf)
    known = np.isfinite(points[:, 2])
    np.minimum.at(low, row[known], points[known, 2])
    np.maximum.at(high, row[known], points[known, 2])
    nothing = low > high
    low[nothing] = high[nothing] = np.nan
    return Levels(low, high)


def without(shapes: Geometries, wanted: Geometry) -> Mask:
    """Rows of a layer that keeps heights in which a point has none."""
    if not wanted.is_high:
        return np.zeros(len(shapes), dtype=bool)
    points, row = shapely.get_coordinates(shapes, include_z=True, return_index=True)
    lacking = np.zeros(len(shapes), dtype=bool)
    lacking[row[~np.isfinite(points[:, 2])]] = True
    return lacking


def unlikely(shapes: Geometries, context: Context) -> tuple[Mask, list[str]]:
    """Rows with a point that is not between the city's heights, and its height in words."""
    wanted, limits = context.layer.geometry, context.city.heights
    if wanted is None or not wanted.is_high or context.layer.relief is None:
        return np.zeros(len(shapes), dtype=bool), []
    found = of(shapes)
    bad = (found.low < limits.min) | (found.high > limits.max)
    worst = np.where(found.low < limits.min, found.low, found.high)
    return bad, [f"{one:g}" for one in worst[bad]]
