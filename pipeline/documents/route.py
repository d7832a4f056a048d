"""The maps of a delivery: numbered stops, the way and its start over the parcels that are met.

A delivery in several blocks has a map of all of it, where blocks stand for their stops, and one of
each block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import shapely

from pipeline.documents.drawing import (
    Drawing,
    Label,
    covered,
    seen_on,
    shapes_of,
    short,
    street_labels,
    towards,
)
from pipeline.documents.sheet import Sheet
from pipeline.geo import Floats, Geometries

_CHARACTER_MM, _LINE_MM = 1.3, 2.6
_STOP_MM, _INWARD_MM = 4.2, 2.7
_ARROW_MM, _ARROWS_APART_MM = 2.0, 32.0
_START_MM = 1.5


def drawn(
    around: dict[str, Any], size: tuple[float, float], language: str, land: int
) -> list[Drawing]:
    """The maps of the ``surroundings`` of a delivery, each ``size`` mm; the first ``land`` parts of
    a code name the land (0: all of it)."""
    return [_one(one, around["unit_m"], size, language, land) for one in around["maps"]]


def _one(
    around: dict[str, Any], unit_m: float, size: tuple[float, float], language: str, land: int
) -> Drawing:
    sheet = Sheet(around["x"], around["y"], around["scale"], unit_m, *size)
    parcels = around["parcels"]
    shapes = shapes_of(parcels)
    own = np.array([one["own"] for one in parcels], dtype=bool)
    ways = [_clockwise(line) for line in shapes_of(around["ways"])]
    lines = {
        "neighbour": sheet.path(shapes[~own]),
        "footprint": sheet.path(shapes_of(around["buildings"])),
        "member": sheet.path(shapes[own]),
        "leap": sheet.path(_leaps(ways)),
        "way": sheet.path(np.array(ways, dtype=object)),
    }
    marks = {"member": sheet.path(shapes[own]), "arrow": _arrows(sheet, ways)}
    marks["start"] = _starts(sheet, ways[:1])
    labels = list(street_labels(sheet, around["streets"], language))
    if around["block"] is None and len(ways) > 1:
        labels += _blocks(sheet, around)
    else:
        labels += _codes(sheet, shapes[own], [one for one in parcels if one["own"]], land)
        labels = [label for label in labels if not covered(sheet, label)]
        labels += _stops(sheet, around["stops"])
    return Drawing(sheet, lines, labels, marks)


def _clockwise(ring: Any) -> Any:
    """The way round from its north-west corner, clockwise."""
    nodes = shapely.get_coordinates(ring)[:-1]
    if shapely.is_ccw(ring):
        nodes = nodes[::-1]
    first = int(np.argmax(nodes[:, 1] - nodes[:, 0]))
    return shapely.LineString(np.roll(nodes, -first, axis=0)[[*range(len(nodes)), 0]])


def _leaps(ways: list[Any]) -> Geometries:
    """From the start of each block to that of the next."""
    starts = [shapely.get_coordinates(way)[0] for way in ways]
    found = [shapely.LineString(pair) for pair in pairwise(starts)]
    return np.array(found, dtype=object)


def _arrows(sheet: Sheet, ways: list[Any]) -> str:
    """Heads along the ways, some centimetres apart, as one SVG path."""
    return "".join(_head(*two) for way in ways for two in _steps(sheet, way))


def _steps(sheet: Sheet, way: Any) -> Iterator[tuple[Floats, Floats]]:
    """Places along ``way`` on the sheet, each with one a little before it."""
    length = way.length * sheet.mm
    number = max(4, round(length / _ARROWS_APART_MM))
    for place in (np.arange(number) + 0.5) / number * way.length:
        points = shapely.line_interpolate_point(way, [place - 0.2 / sheet.mm, place])
        before, at = sheet.place(shapely.get_coordinates(points))
        yield before, at


def _head(before: Floats, at: Floats) -> str:
    along = (at - before) / (math.dist(before, at) or 1) * _ARROW_MM
    side = np.array([-along[1], along[0]]) / 2
    tip, left, right = at + along / 2, at - along / 2 + side, at - along / 2 - side
    return "M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in (tip, left, right)) + "Z"


def _starts(sheet: Sheet, ways: list[Any]) -> str:
    """A disc where the delivery starts."""
    r, found = _START_MM, ""
    for way in ways:
        x, y = sheet.place(shapely.get_coordinates(way)[:1])[0].tolist()
        found += f"M{x - r:g},{y:g}a{r},{r} 0 1 0 {2 * r:g},0a{r},{r} 0 1 0 {-2 * r:g},0Z"
    return found


def _blocks(sheet: Sheet, around: dict[str, Any]) -> list[Label]:
    """The code of each block in the middle of its way."""
    found = []
    for row, way in zip(around["ways"], shapes_of(around["ways"]), strict=True):
        x, y = sheet.place(shapely.get_coordinates(way.centroid))[0].tolist()
        found.append(Label("block", x, y, row["block"]))
    return found


def _codes(
    sheet: Sheet, shapes: Geometries, rows: list[dict[str, Any]], land: int
) -> Iterator[Label]:
    """The code of each parcel of the delivery: as much of it as there is room for."""
    for shape, row in zip(shapes, rows, strict=True):
        seen = seen_on(sheet, shape)
        if seen.is_empty:
            continue
        west, south, east, north = np.array(seen.bounds) * sheet.mm
        code = short(row["parcel_code"], land)
        within = code.removeprefix(f"{row['block']}-")
        whole = east - west > len(code) * _CHARACTER_MM and north - south > 4 * _LINE_MM
        ((x, y),) = sheet.place(shapely.get_coordinates(shapely.point_on_surface(seen))).tolist()
        yield Label("code", x, y, code if whole else within)


def _stops(sheet: Sheet, rows: list[dict[str, Any]]) -> list[Label]:
    """Each stop, by its number, just inside of its parcel's front; further in where another is."""
    found: list[Label] = []
    if not rows:
        return found
    fronts = sheet.place(np.array([(one["e"], one["n"]) for one in rows], dtype=float))
    inners = sheet.place(np.array([one["inner"] for one in rows], dtype=float))
    for row, front, inner in zip(rows, fronts, inners, strict=True):
        places = [front + towards(front, inner, _INWARD_MM + step * _STOP_MM) for step in range(4)]
        free = (
            place
            for place in places
            if all(math.dist(place, (one.x, one.y)) >= _STOP_MM for one in found)
        )
        x, y = next(free, places[0]).tolist()
        found.append(Label("stop", x, y, str(row["place"])))
    return found
