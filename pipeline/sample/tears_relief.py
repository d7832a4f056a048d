"""Ways to spoil contours so that each is good alone and wrong beside the others."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.sample import faults
from pipeline.sample.arrays import Bools, Ints, Objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.town import Town

_BEYOND_M, _ODD_M, _KEPT_SHARE = 1.5, 0.2, 0.6
Row = tuple[int, str, str, str, str]


def contours(arrival: Arrival, _: Town, count: int) -> list[Row]:
    """Contours that cross another, end in the middle of the map, or are off the interval."""
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries")
    arrival.shapes = arrival.shapes.copy()
    longest = np.argsort(-shapely.length(arrival.shapes), kind="stable")
    free = longest[~arrival.safe[longest]]
    kinds = (free[0::3][:count], free[1::3][:count], free[2::3][:count])
    made = _cut(arrival, kinds[0]) + _off(arrival, kinds[1])
    return made + _crossed(arrival, kinds[2], kinds[0])


def _told(arrival: Arrival, row: int, code: str, rule: str, text: str) -> Row:
    return row, str(arrival.frame["SHOMARE"].iloc[row]), code, rule, text


def _lines(arrival: Arrival) -> Objects:
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries")
    return arrival.shapes


def _cut(arrival: Arrival, rows: Ints) -> list[Row]:
    made = []
    for row in rows.tolist():
        line = shapely.get_coordinates(_lines(arrival)[row])
        kept = line[: max(2, int(len(line) * _KEPT_SHARE))]
        _lines(arrival)[row] = shapely.LineString(kept)
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
        lines = _lines(arrival)
        other: Bools = height != height[row]
        other[cut] = False
        apart = np.where(other, shapely.distance(lines, lines[row]), np.inf)
        # One that is crossed by another spoilt line already is no place for a second fault.
        next_one = lines[np.argmin(np.where(apart > 0, apart, np.inf))]
        near = shapely.get_coordinates(shapely.shortest_line(lines[row], next_one))
        step = near[1] - near[0]
        tip = near[1] + step / np.hypot(*step) * _BEYOND_M
        line = shapely.get_coordinates(lines[row])
        at = int(np.argmin(np.hypot(*(line - near[0]).T)))
        bent = np.vstack([line[: at + 1], np.round(tip, 2), line[at:]])
        lines[row] = shapely.LineString(bent)
        made.append(_told(arrival, row, "fabric.crossing", "apart", "pulled over the next one"))
    return made
