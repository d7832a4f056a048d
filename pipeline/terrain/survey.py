"""What was surveyed: heights along contours and breaklines, and at spots, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely

from pipeline.geo import Geometries
from pipeline.terrain.grid import Bounds, Floats, Grid, Mask

SPOT_WEIGHT = 10.0  # a surveyed point counts more than one sample of a drawn line


@dataclass(frozen=True, slots=True)
class Survey:
    """Heights in metres, positions in the units of the city's CRS.

    ``contours``: lines, with ``levels`` their heights. ``breaklines``: lines with z in their
    coordinates, or NaN where only their course is known. ``spots``: (n, 3).
    """

    contours: Geometries
    levels: Floats
    breaklines: Geometries
    spots: Floats

    @property
    def interval(self) -> float:
        """The contour interval: the usual step between levels; 0 where there are no two."""
        steps = np.diff(np.unique(np.round(self.levels, 3)))
        if not len(steps):
            return 0.0
        values, counts = np.unique(np.round(steps, 3), return_counts=True)
        return float(values[counts.argmax()])

    @property
    def bounds(self) -> Bounds:
        """The box of everything."""
        lines = shapely.total_bounds(np.concatenate([self.contours, self.breaklines]))
        boxes = [box for box in (lines, _box(self.spots)) if np.isfinite(box).all()]
        low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
        return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    @property
    def hull(self) -> shapely.Geometry:
        """The convex hull of everything: beyond it a height would be a guess."""
        points = shapely.multipoints(self.spots[:, :2])
        lines = shapely.geometrycollections(np.concatenate([self.contours, self.breaklines]))
        hulls = np.array([shapely.convex_hull(points), shapely.convex_hull(lines)], dtype=object)
        return shapely.convex_hull(shapely.union_all(hulls))

    def without_spots(self, withheld: Mask) -> Survey:
        """The same survey as if these spots had not been measured."""
        return replace(self, spots=self.spots[~withheld])


def _box(points: Floats) -> Floats:
    if not len(points):
        return np.full(4, np.nan)
    return np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])


@dataclass(frozen=True, slots=True)
class Segments:
    """Straight pieces of lines: ``ends`` (n, 6) x y z of both ends; ``drawn`` where a contour."""

    ends: Floats
    drawn: Mask

    @classmethod
    def of(cls, survey: Survey) -> Segments:
        """All segments of contours and breaklines."""
        contours = _segments(survey.contours, survey.levels)
        breaks = _segments(survey.breaklines, None)
        drawn = np.arange(len(contours) + len(breaks)) < len(contours)
        return cls(np.vstack([contours, breaks]), drawn)

    def near(self, grid: Grid) -> Segments:
        """Those whose box meets the grid."""
        west, south, east, north = grid.bounds
        x, y = self.ends[:, [0, 3]], self.ends[:, [1, 4]]
        meets = (x.max(axis=1) >= west) & (x.min(axis=1) <= east)
        meets &= (y.max(axis=1) >= south) & (y.min(axis=1) <= north)
        return Segments(self.ends[meets], self.drawn[meets])

    def samples(self, spacing: float) -> tuple[Floats, Mask]:
        """Points (m, 3) along them, at most ``spacing`` apart, and which are of contours."""
        one, other = self.ends[:, :3], self.ends[:, 3:]
        length = np.hypot(*(other - one)[:, :2].T)
        count = np.maximum(np.ceil(length / spacing).astype(np.int64), 1)
        segment = np.repeat(np.arange(len(count)), count)
        first = np.repeat(np.cumsum(count) - count, count)
        share = ((np.arange(len(segment)) - first) + 0.5) / count[segment]
        points = one[segment] + share[:, None] * (other - one)[segment]
        return points, self.drawn[segment]


def _segments(lines: Geometries, levels: Floats | None) -> Floats:
    if not len(lines):
        return np.empty((0, 6))
    points, line = shapely.get_coordinates(lines, include_z=True, return_index=True)
    if levels is not None:
        points[:, 2] = levels[line]
    same = line[1:] == line[:-1]
    return np.hstack([points[:-1][same], points[1:][same]])
