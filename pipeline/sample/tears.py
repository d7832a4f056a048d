"""Ways to tear the fabric: rows that are good alone and wrong beside others, with a list of them.

Every kind is planted in blocks of its own, so that one fault never hides another.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from pipeline.sample import faults, network, tears_relief
from pipeline.sample.arrays import Bools, Floats, Ints
from pipeline.sample.arrivals import Arrival
from pipeline.sample.corners import chamfered
from pipeline.sample.dirt import Planted
from pipeline.sample.town import Town

OVERLAP_M, SLIVER_M, HOLE_M, SHIFT_M = 0.3, 0.05, 1.0, 2.0
BEYOND_M, AWAY_M, ASIDE_M = 0.5, 25.0, 0.4
_LEAST_EDGE_M, _WITHIN_M = 3.0, 1.0
_KINDS = 8
_NUMBER = 900

Row = tuple[int, str, str, str, str]
"""Place of the row, key of the finding, its code, the rule's id, and what was done."""


def plant(arrival: Arrival, town: Town, count: int) -> list[Planted]:
    """Up to ``count`` faults of every kind that this arrival can carry, all in unspoilt rows.

    Their rows, and those beside which they are wrong, are safe from other faults afterwards.
    """
    tearing, beside = _TEARS.get(arrival.feed), _BESIDE.get(arrival.feed)
    if not count:
        return []
    made = tearing(arrival, town, count) if tearing else []
    kept = beside(town, count) if beside else np.zeros(len(arrival.frame), dtype=np.bool_)
    kept[[row for row, *_ in made]] = True
    arrival.safe = arrival.safe | kept
    return [
        Planted(arrival.file, arrival.feed, row + 1, key, code, rule, text)
        for row, key, code, rule, text in made
    ]


def _torn_blocks(town: Town, count: int) -> Bools:
    """Blocks in or beside which a fault of any kind is planted."""
    torn = np.zeros(len(town.city.blocks), dtype=np.bool_)
    for kind in range(_KINDS):
        torn[_blocks(town, kind, count)] = True
    return torn


def _torn_plots(town: Town, count: int) -> Bools:
    return np.asarray(_torn_blocks(town, count)[town.city.lots.block])


def _blocks(town: Town, kind: int, count: int) -> Ints:
    """Blocks for one kind of fault: never the fixture's two, and never the same for two kinds."""
    number = np.arange(2, len(town.city.blocks))
    plots = np.bincount(town.city.lots.block, minlength=len(town.city.blocks))
    fit = number[(number % _KINDS == kind) & (plots[number] > 1)]
    return np.asarray(fit[:count], dtype=np.int64)


def _pair(town: Town, block: int) -> tuple[int, int] | None:
    """Two plots of the block that share an edge."""
    lots = np.flatnonzero(town.city.lots.block == block)
    first = lots[0]
    shapes = town.city.plots[lots[1:]]
    shared = shapely.length(shapely.intersection(town.city.plots[first], shapes))
    at = int(np.argmax(shared))
    return (int(first), int(lots[1 + at])) if shared[at] > _LEAST_EDGE_M else None


def _reshape(arrival: Arrival, row: int, shape: shapely.Geometry) -> None:
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries")
    arrival.shapes = arrival.shapes.copy()
    arrival.shapes[row] = shape


def _moved(shape: shapely.Geometry, by: Floats) -> shapely.Geometry:
    moved: shapely.Geometry = shapely.transform(shape, lambda points: points + by)
    return moved


def _plots(arrival: Arrival, town: Town, count: int) -> list[Row]:
    made: list[Row] = []
    plots, audit = town.city.plots, town.register.audit
    own = arrival.frame.columns
    for kind, change in enumerate((_overlapping, _short, _holed)):
        for block in _blocks(town, kind, count):
            pair = _pair(town, int(block))
            if pair is None:
                continue
            one, two = pair
            shape, code, rule, text = change(plots[one], plots[two])
            _reshape(arrival, one, shape)
            measured = [name for name in own if name.startswith("MAS_")]
            faults.emptied(arrival, measured, np.array([one]))
            on_block = rule == "filled"
            key = audit[block] if on_block else str(arrival.frame[own[0]].iloc[one])
            made.append((one, key, code, rule, text))
    return made + _codes(arrival, town, count)


def _overlapping(
    one: shapely.Geometry, two: shapely.Geometry
) -> tuple[shapely.Geometry, str, str, str]:
    shape = shapely.union(one, shapely.intersection(two, shapely.buffer(one, OVERLAP_M)))
    return shape, "fabric.overlap", "apart", f"reaches {OVERLAP_M} m into the next plot"


def _short(one: shapely.Geometry, two: shapely.Geometry) -> tuple[shapely.Geometry, str, str, str]:
    shape = shapely.difference(one, shapely.buffer(two, SLIVER_M))
    return shape, "fabric.sliver", "filled", f"ends {SLIVER_M} m before the next plot"


def _holed(one: shapely.Geometry, _: shapely.Geometry) -> tuple[shapely.Geometry, str, str, str]:
    hole = shapely.buffer(shapely.point_on_surface(one), HOLE_M / 2, cap_style="square")
    return shapely.difference(one, hole), "fabric.gap", "filled", f"a hole of {HOLE_M} m"


def _codes(arrival: Arrival, town: Town, count: int) -> list[Row]:
    """Plots that name another block, in a field of their own and in their code."""
    audit, made = town.register.audit, list[Row]()
    code, block_code = arrival.frame.columns[:2]
    for kind, column, rule in ((3, block_code, "says_its_block"), (4, code, "code_of_block")):
        for number, block in enumerate(_blocks(town, kind, count)):
            row = int(np.flatnonzero(town.city.lots.block == block)[0])
            other = str(audit[1 - len(audit) + number])
            value = f"{other}-{_NUMBER + number}-0-0-0" if kind == 4 else other
            faults.put(arrival, column, np.array([row]), [value])
            key = str(arrival.frame[code].iloc[row])
            made.append((row, key, "fabric.code", rule, f"{column} = {value}"))
    return made


def _shifted_blocks(arrival: Arrival, town: Town, count: int) -> list[Row]:
    made: list[Row] = []
    for block in _blocks(town, 5, count):
        shape = town.city.block_shapes[block]
        _reshape(arrival, int(block), _moved(shape, np.array([SHIFT_M, 0.0])))
        key, text = str(town.register.audit[block]), f"moved {SHIFT_M} m to the east"
        made.append((int(block), key, "fabric.gap", "filled", text))
    return made


def _beyond(arrival: Arrival, town: Town, count: int) -> list[Row]:
    """Buildings that reach over the middle of an edge into the next plot."""
    made: list[Row] = []
    city, houses = town.city, town.houses
    for block in _blocks(town, 6, count):
        pair = _pair(town, int(block))
        rows = np.flatnonzero(houses.lot == pair[0]) if pair else np.zeros(0, dtype=np.int64)
        if pair is None or not len(rows):
            continue
        row = int(rows[0])
        edge = shapely.intersection(city.plots[pair[0]], city.plots[pair[1]])
        middle = shapely.line_interpolate_point(shapely.line_merge(edge), 0.5, normalized=True)
        shape = shapely.union(houses.shapes[row], shapely.buffer(middle, BEYOND_M, quad_segs=4))
        _reshape(arrival, row, shape)
        key = str(arrival.frame[arrival.frame.columns[1]].iloc[row])
        text = f"reaches {BEYOND_M} m into the next plot"
        made.append((row, key, "fabric.encroachment", "in_parcel", text))
    return made


def _far(arrival: Arrival, town: Town, count: int) -> list[Row]:
    """Points far from the plot they name."""
    made: list[Row] = []
    named = arrival.frame["KOD_NOSAZI"].to_numpy(dtype=object)
    for block in _blocks(town, 7, count):
        lot = int(np.flatnonzero(town.city.lots.block == block)[0])
        rows = np.flatnonzero(named == town.register.property[lot])
        if not len(rows) or arrival.shapes is None:
            continue
        row = int(rows[0])
        x, _ = shapely.get_coordinates(arrival.shapes[row])[0]
        north = town.city.plots[lot].bounds[3] + AWAY_M
        _reshape(arrival, row, shapely.Point(round(x, 2), round(north, 2)))
        text = f"{AWAY_M} m north of its plot"
        made.append((row, str(arrival.frame.iloc[row, 0]), "fabric.far", "at_parcel", text))
    return made


def _aside(arrival: Arrival, _: Town, count: int) -> list[Row]:
    """Road edges drawn beside where they should be."""
    made: list[Row] = []
    if arrival.shapes is None:
        return made
    side = arrival.frame["SAMT"].notna().to_numpy() & ~arrival.safe
    for at in np.flatnonzero(side)[:: max(1, int(side.sum()) // count)][:count]:
        row = int(at)
        line = arrival.shapes[row]
        (x0, y0), (x1, y1) = shapely.get_coordinates(line)[:2]
        normal = np.array([y0 - y1, x1 - x0]) / np.hypot(x1 - x0, y1 - y0) * ASIDE_M
        _reshape(arrival, row, _moved(line, normal))
        key = "|".join(str(arrival.frame.iloc[row, number]) for number in (0, 1))
        made.append((row, key, "fabric.not_parallel", "parallel", f"{ASIDE_M} m aside"))
    return made


def _off_corner(arrival: Arrival, town: Town, count: int) -> list[Row]:
    """Chamfers drawn in the middle of their plot, where they cut no corner off."""
    made: list[Row] = []
    if arrival.shapes is None:
        return made
    plots = town.city.plots[chamfered(town).lot]
    by = shapely.get_coordinates(shapely.centroid(plots))
    by = by - shapely.get_coordinates(shapely.centroid(arrival.shapes))
    moved = [_moved(shape, one) for shape, one in zip(arrival.shapes, by, strict=True)]
    inside = shapely.contains_properly(shapely.buffer(plots, -_WITHIN_M), moved) & ~arrival.safe
    for at in np.flatnonzero(inside)[:count]:
        row = int(at)
        _reshape(arrival, row, shapely.set_precision(moved[row], 0.001))
        key = "|".join(str(arrival.frame.iloc[row, number]) for number in (0, 1))
        made.append((row, key, "fabric.no_cut", "cuts_corner", "in the middle of its plot"))
    return made


_TEARS: dict[str, Callable[[Arrival, Town, int], list[Row]]] = {
    "parcels": _plots,
    "blocks": _shifted_blocks,
    "buildings": _beyond,
    "postcodes": _far,
    "plan_road_lines": _aside,
    "chamfers": _off_corner,
    "contours": tears_relief.contours,
    "spot_heights": tears_relief.spot_heights,
    "radio_links": network.torn,
}

_BESIDE: dict[str, Callable[[Town, int], Bools]] = {
    "parcels": _torn_plots,
    "blocks": _torn_blocks,
    "radio_masts": network.masts_of_torn,
}
