"""What is wrong with a survey before a surface is made of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from pipeline.fabric.between import ranges
from pipeline.findings import Finding
from pipeline.geo import Geometries
from pipeline.terrain.grid import Floats, Mask
from pipeline.terrain.survey import Survey

_SHOWN = 100
_ODD = 0.01  # of the interval


def check(survey: Survey, layer: str, reach: float) -> Iterator[Finding]:
    """Findings about contours and spots; ``reach`` is the distance that counts as joined."""
    if survey.interval:
        yield from _odd_levels(survey, layer)
    yield from _crossings(survey, layer)
    yield from _loose_ends(survey, layer, reach)
    yield from _not_between(survey, layer)


def _odd_levels(survey: Survey, layer: str) -> Iterator[Finding]:
    steps = survey.levels / survey.interval
    odd = np.abs(steps - np.round(steps)) > _ODD
    # Half the interval is the usual auxiliary contour of flat ground.
    odd &= np.abs(steps * 2 - np.round(steps * 2)) > _ODD
    for z in np.unique(survey.levels[odd])[:_SHOWN]:
        place = shapely.point_on_surface(survey.contours[odd & (survey.levels == z)][0])
        detail = f"{survey.interval:g}"
        yield Finding("terrain.odd_level", layer, value=f"{z:g}", detail=detail, geometry=place)


def _crossings(survey: Survey, layer: str) -> Iterator[Finding]:
    tree = shapely.STRtree(survey.contours)
    one, other = tree.query(survey.contours, predicate="intersects")
    differ = (one < other) & (survey.levels[one] != survey.levels[other])
    one, other = one[differ], other[differ]
    for a, b in list(zip(one, other, strict=True))[:_SHOWN]:
        place = shapely.point_on_surface(
            shapely.intersection(survey.contours[a], survey.contours[b])
        )
        heights = f"{survey.levels[a]:g} and {survey.levels[b]:g}"
        yield Finding("terrain.crossing", layer, value=heights, geometry=place)


def _loose_ends(survey: Survey, layer: str, reach: float) -> Iterator[Finding]:
    """Ends of open contours that neither meet one of the same height nor lie at the border."""
    open_lines = ~shapely.is_closed(survey.contours)
    if not open_lines.any():
        return
    lines, levels = survey.contours[open_lines], survey.levels[open_lines]
    ends = np.concatenate([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    heights = np.tile(levels, 2)
    loose = ~_meets(ends, heights, reach) & ~_at_border(ends, survey, reach)
    count = int(loose.sum())
    if count:
        detail = ", ".join(f"{x:.0f} {y:.0f}" for x, y in shapely.get_coordinates(ends[loose])[:3])
        place = shapely.MultiPoint(list(ends[loose][:_SHOWN]))
        yield Finding("terrain.loose_end", layer, value=str(count), detail=detail, geometry=place)


def _meets(ends: Geometries, heights: Floats, reach: float) -> Mask:
    one, other = shapely.STRtree(ends).query(ends, predicate="dwithin", distance=reach)
    same = (one != other) & (heights[one] == heights[other])
    return np.asarray(np.isin(np.arange(len(ends)), one[same]))


def _at_border(ends: Geometries, survey: Survey, reach: float) -> Mask:
    """At the border of the contours, or of their box: sheets are cut straight."""
    west, south, east, north = shapely.total_bounds(survey.contours)
    x, y = shapely.get_coordinates(ends).T
    near_box = np.minimum.reduce([x - west, east - x, y - south, north - y]) <= 10 * reach
    border = shapely.boundary(shapely.convex_hull(shapely.geometrycollections(survey.contours)))
    shapely.prepare(border)
    return np.asarray(near_box | shapely.dwithin(ends, border, 10 * reach))


def _not_between(survey: Survey, layer: str) -> Iterator[Finding]:
    """Spots that lie above or below the contours around them (rule T21)."""
    places, heights = survey.spots[:, :2], survey.spots[:, 2]
    found = ranges(places, heights, survey.contours, survey.levels)
    for at in np.flatnonzero(found.broken(heights))[:_SHOWN].tolist():
        detail = f"{found.low[at]:.2f} … {found.high[at]:.2f}"
        place = shapely.Point(places[at])
        value = f"{heights[at]:g}"
        yield Finding("terrain.spot_between", layer, value=value, detail=detail, geometry=place)
