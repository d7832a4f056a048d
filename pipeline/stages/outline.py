"""Outline: what is wrong with how a geometry is drawn though it may be valid, by the column.

Repeated points, spikes and narrow areas are found on coordinates and measures alone; rings are
taken apart only where something was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.geo import TYPES, Floats, Geometries, Mask

Numbers = npt.NDArray[np.int64]

# Points closer together than this are one point (domain rule T1).
REPEATED_M = 0.001
# An outline that turns back upon itself by less than this is a spike.
SPIKE_DEGREES = 1.0
_TANGENT = float(np.tan(np.radians(SPIKE_DEGREES)))
_COLLECTION = 7


@dataclass(frozen=True)
class Seen:
    """What one look at all coordinates of a batch shows: which rows deserve a second look."""

    repeated: Mask
    turning: Mask


def look(geometries: Geometries, least: float) -> Seen:
    """Rows that may have points within ``least`` of each other, or an outline that turns back."""
    repeated = np.zeros(len(geometries), dtype=bool)
    turning = repeated.copy()
    xy, row = shapely.get_coordinates(geometries, return_index=True)
    if len(xy) < 2:
        return Seen(repeated, turning)
    # A column at a time: over both at once numpy takes three times as long.
    step = np.diff(xy[:, 0]), np.diff(xy[:, 1])
    within = row[1:] == row[:-1]
    short = within & (step[0] * step[0] + step[1] * step[1] < least * least)
    repeated[row[1:][short]] = True
    back = _turns_back(*(one[:-1] for one in step), *(one[1:] for one in step))
    turning[row[1:-1][back & within[:-1] & within[1:]]] = True
    first = np.flatnonzero(np.append(True, ~within))
    last = np.append(first[1:] - 1, len(xy) - 1)
    # Several rings: each has a corner at its own start.
    turning[row[first[(xy[first] != xy[last]).any(axis=1)]]] = True
    long = last - first > 1
    first, last = first[long], last[long]
    back = _turns_back(*(one[last - 1] for one in step), *(one[first] for one in step))
    turning[row[first[back]]] = True
    return Seen(repeated, turning)


def _turns_back(x: Floats, y: Floats, next_x: Floats, next_y: Floats) -> Mask:
    """Where a step turns back in the next one."""
    cross, dot = x * next_y - y * next_x, x * next_x + y * next_y
    return np.asarray((dot < 0) & (np.abs(cross) < -dot * _TANGENT))


def without_repeated(geometries: Geometries, least: float) -> tuple[Geometries, Numbers]:
    """The geometries without points that repeat the one before, and how many each has lost."""
    try:
        made = np.asarray(shapely.remove_repeated_points(geometries, least))
    except shapely.GEOSException:  # a ring that would vanish; its row stays as it is
        made = np.array([_shortened(one, least) for one in geometries], dtype=object)
    lost = shapely.get_num_coordinates(geometries) - shapely.get_num_coordinates(made)
    return made, np.asarray(lost, dtype=np.int64)


def _shortened(geometry: shapely.Geometry, least: float) -> shapely.Geometry:
    try:
        return shapely.remove_repeated_points(geometry, least)
    except shapely.GEOSException:
        return geometry


def spikes(areas: Geometries) -> Floats:
    """The sharpest corner of each area's outlines, in degrees; 180 where none turns back."""
    parts, part_row = shapely.get_parts(areas, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    sharpest = np.full(len(areas), 180.0)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    if not len(xy):
        return sharpest
    step = np.roll(xy, -1, axis=0) - xy
    ends = np.append(ring[1:] != ring[:-1], True)
    first = np.flatnonzero(np.append(True, ends[:-1]))
    before = np.roll(step, 1, axis=0)
    # A ring's last point is its first: the step into it is the one before.
    before[first] = step[np.flatnonzero(ends) - 1]
    cross = np.abs(before[:, 0] * step[:, 1] - before[:, 1] * step[:, 0])
    angle = np.degrees(np.arctan2(cross, -(before * step).sum(axis=1)))
    still = ends | ~before.any(axis=1) | ~step.any(axis=1)
    np.minimum.at(sharpest, part_row[ring_part[ring[~still]]], angle[~still])
    return sharpest


def widths(area: Floats, perimeter: Floats) -> Floats:
    """How wide an area is: the short side of the rectangle with its area and perimeter.

    What is rounder than any rectangle is as wide as the square of its area.
    """
    quarter = perimeter / 4
    with np.errstate(invalid="ignore"):
        root = np.sqrt(np.maximum(quarter * quarter - area, 0.0))
        return np.asarray(np.where(root > 0, area / (quarter + root), np.sqrt(area)))


def single_lines(geometries: Geometries) -> Geometries:
    """The one line that each row is; None where it is something else."""
    kind, parts = shapely.get_type_id(geometries), shapely.get_num_geometries(geometries)
    lines = np.full(len(geometries), None, dtype=object)
    plain = (kind == TYPES["LineString"]) & ~shapely.is_empty(geometries)
    lines[plain] = geometries[plain]
    alone = (kind == TYPES["MultiLineString"]) & (parts == 1)
    lines[alone] = shapely.get_geometry(geometries[alone], 0)
    return lines


def ends_of(lines: Geometries) -> Floats:
    """First and last point of each line: x, y, x, y."""
    first = shapely.get_coordinates(shapely.get_point(lines, 0))
    last = shapely.get_coordinates(shapely.get_point(lines, -1))
    return np.hstack([first, last])


def as_areas(lines: Geometries) -> Geometries:
    """The area that each line bounds; its last point becomes its first."""
    coordinates, index = shapely.get_coordinates(lines, return_index=True)
    ends = np.flatnonzero(np.append(index[1:] != index[:-1], True))
    starts = np.append(0, ends[:-1] + 1)
    coordinates[ends] = coordinates[starts]
    return np.asarray(shapely.polygons(shapely.linearrings(coordinates, indices=index)))


def is_collection(geometries: Geometries) -> Mask:
    """Where a row is a mixture of geometries."""
    return np.asarray(shapely.get_type_id(geometries) == _COLLECTION)


def parts_of(collection: shapely.Geometry, dimension: int) -> tuple[shapely.Geometry | None, int]:
    """The parts of ``dimension`` as one geometry, and how many others there are."""
    parts = _flat(collection)
    fit = [one for one in parts if shapely.get_dimensions(one) == dimension]
    if not fit:
        return None, len(parts)
    make: Any = (shapely.MultiPoint, shapely.MultiLineString, shapely.MultiPolygon)[dimension]
    return (fit[0] if len(fit) == 1 else make(fit)), len(parts) - len(fit)


def _flat(geometry: shapely.Geometry) -> list[shapely.Geometry]:
    """All single parts that are not empty, however deeply they are nested."""
    flat: list[shapely.Geometry] = []
    left = [geometry]
    while left:
        one = left.pop()
        parts = (
            list(shapely.get_parts(one)) if shapely.get_type_id(one) >= TYPES["MultiPoint"] else []
        )
        left += reversed(parts)
        if not parts and not shapely.is_empty(one):
            flat.append(one)
    return flat


def with_empty_parts(geometries: Geometries) -> Mask:
    """Where a multi-part geometry has a part that is empty."""
    several = np.flatnonzero(shapely.get_num_geometries(geometries) > 1)
    found = np.zeros(len(geometries), dtype=bool)
    parts, row = shapely.get_parts(geometries[several], return_index=True)
    found[several[row[shapely.is_empty(parts)]]] = True
    return found


def without_empty_parts(geometries: Geometries) -> Geometries:
    """The same multi-part geometries, of the parts that are not empty."""
    return np.array(
        [type(one)([part for part in one.geoms if not part.is_empty]) for one in geometries],
        dtype=object,
    )
