"""Ways to spoil contours and spot heights: each is good alone and wrong beside the others."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.sample import faults, terrain
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.town import Town

_BEYOND_M, _ODD_M, _KEPT_SHARE = 1.5, 0.2, 0.6
_INSIDE_M = 60.0
_RAISED_M = 4.0
Row = tuple[int, str, str, str, str]


def contours(arrival: Arrival, _: Town, count: int) -> list[Row]:
    """Contours that cross another, end in the middle of the map, or are off the interval."""
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries")
    arrival.shapes = arrival.shapes.copy()
    longest = np.argsort(-shapely.length(arrival.shapes), kind="stable")
    free = longest[~arrival.safe[longest]]
    cut = free[_ends_inside(arrival.shapes, free)][:count]
    rest = np.setdiff1d(free, cut)
    off, crossing = rest[0::2][:count], rest[1::2][:count]
    made = _cut(arrival, cut) + _off(arrival, off)
    return made + _crossed(arrival, crossing, cut)


def spot_heights(arrival: Arrival, town: Town, count: int) -> list[Row]:
    """Spots that lie far above the contours around them, such as roofs taken for the ground."""
    xyz = shapely.get_coordinates(_lines(arrival), include_z=True)
    drawn = shapely.multilinestrings(_lines(terrain.contours(town)))
    inside = shapely.contains(shapely.convex_hull(drawn), shapely.points(xyz[:, :2]))
    inside &= ~arrival.safe
    rows = town.city.rng("raised spots").permutation(np.flatnonzero(inside))[:count]
    xyz[rows, 2] = np.round(xyz[rows, 2] + _RAISED_M, 2)
    arrival.shapes = objects(shapely.points(xyz))
    text = f"raised by {_RAISED_M} m"
    return [_told(arrival, row, "fabric.not_between", "between", text) for row in rows.tolist()]


def _ends_inside(lines: Objects, rows: Ints) -> Bools:
    """Rows that end in the middle of the map when they are cut."""
    inner = shapely.buffer(shapely.convex_hull(shapely.multilinestrings(lines)), -_INSIDE_M)
    ends = [shapely.get_coordinates(lines[row])[_kept(lines[row]) - 1] for row in rows]
    return np.asarray(shapely.contains(inner, shapely.points(np.array(ends))))


def _kept(line: shapely.Geometry) -> int:
    return max(2, int(shapely.get_num_coordinates(line) * _KEPT_SHARE))


def _told(arrival: Arrival, row: int, code: str, rule: str, text: str) -> Row:
    return row, str(arrival.frame["SHOMARE"].iloc[row]), code, rule, text


def _lines(arrival: Arrival) -> Objects:
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries")
    return arrival.shapes


def _cut(arrival: Arrival, rows: Ints) -> list[Row]:
    made = []
    for row in rows.tolist():
        line = _lines(arrival)[row]
        _lines(arrival)[row] = shapely.LineString(shapely.get_coordinates(line)[: _kept(line)])
        made.append(_told(arrival, row, "fabric.loose_end", "goes_on", "ends in the middle"))
    return made


def _off(arrival: Arrival, rows: Ints) -> list[Row]:
    made = []
    for row in rows.tolist():
        height = round(float(arrival.frame["ELEV"].iloc[row]) + _ODD_M, 2)
        faults.put(arrival, "ELEV", np.array([row]), [height])
        made.append(_told(arrival, row, "fabric.odd_level", "on_interval", f"ELEV = {height}"))
    return made


def _crossed(arrival: Arrival, rows: Ints, cut: Ints) -> list[Row]:
    """A point of the line is pulled over the next line of another height that is whole."""
    made = []
    height = arrival.frame["ELEV"].to_numpy(dtype=np.float64)
    for row in rows.tolist():
        others: Bools = height != height[row]
        others[cut] = False
        lines = _lines(arrival)
        way = _shortest(lines[row], lines[others])
        step = way[1] - way[0]
        tip = way[1] + step / np.hypot(*step) * _BEYOND_M
        line = shapely.get_coordinates(lines[row])
        at = int(np.argmin(np.hypot(*(line - way[0]).T)))
        bent = np.vstack([line[: at + 1], np.round(tip, 2), line[at + 1 :]])
        lines[row] = shapely.LineString(bent)
        made.append(_told(arrival, row, "fabric.crossing", "apart", "pulled over the next one"))
    return made


def _shortest(line: shapely.Geometry, others: Objects) -> Floats:
    """From a corner in the middle of the line to the nearest of the others, not to an end of it."""
    corners = np.asarray(shapely.points(shapely.get_coordinates(line)))
    middle = corners[len(corners) // 3 : -(len(corners) // 3) or None]
    apart = shapely.distance(middle[:, None], others[None, :])
    ends = shapely.get_point(others, 0), shapely.get_point(others, -1)
    for end in ends:
        apart[apart > shapely.distance(middle[:, None], end[None, :]) - _BEYOND_M] = np.inf
    apart[apart == 0] = np.inf
    one, other = np.unravel_index(int(np.argmin(apart)), apart.shape)
    way = shapely.shortest_line(middle[one], others[other])
    return np.asarray(shapely.get_coordinates(way))
