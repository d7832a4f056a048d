"""The map of a document: vector lines and labels over a sheet, for the template to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import shapely
from shapely import affinity

from pipeline.documents.sheet import Sheet
from pipeline.geo import Geometries

_LEAST_LABEL_MM2 = 25.0
_LEAST_EDGE_MM = 6.0
_LEAST_STREET_MM = 25.0
_CORNER_OFF_MM, _EDGE_OFF_MM = 2.4, 2.2
_APART_MM = 3.0
# How wide a letter of a label is, and how high a line.
_LETTER_MM, _LINE_MM = 1.25, 2.6
# Where the scale bar and the north arrow are: mm from the lower left and the upper right corner.
_BAR_WIDE, _BAR_HIGH, _NORTH_WIDE, _NORTH_HIGH = 16.0, 13.0, 17.0, 18.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text whose middle is at ``x``, ``y`` mm, turned by ``angle`` degrees clockwise."""

    kind: str
    x: float
    y: float
    text: str
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """``lines``: kind of thing -> SVG path, in mm; ``fills``: of what is filled."""

    sheet: Sheet
    lines: dict[str, str]
    labels: list[Label] = field(default_factory=list)
    fills: dict[str, str] = field(default_factory=dict)

    @property
    def across(self) -> list[tuple[float, str]]:
        """Round eastings along the lower border, as (mm, text)."""
        west = self.sheet.bounds[0]
        return [(round((x - west) * self.sheet.mm, 3), f"{x:.0f}") for x in self.sheet.ticks()[0]]

    @property
    def up(self) -> list[tuple[float, str]]:
        """Round northings along the left border, as (mm, text)."""
        north = self.sheet.bounds[3]
        return [(round((north - y) * self.sheet.mm, 3), f"{y:.0f}") for y in self.sheet.ticks()[1]]

    @property
    def bar(self) -> tuple[float, float]:
        """The scale bar: metres, and millimetres on paper."""
        metres = self.sheet.bar_m()
        return metres, metres * 1000 / self.sheet.scale


def drawn(around: dict[str, Any], size: tuple[float, float], language: str, land: int) -> Drawing:
    """The drawing of the ``surroundings`` of a parcel, ``size`` mm; the first ``land`` parts of a
    code name the land (0: all of it)."""
    sheet = Sheet(around["x"], around["y"], around["scale"], around["unit_m"], *size)
    parcels = around["parcels"]
    shapes = shapes_of(parcels)
    own = np.array([one["own"] for one in parcels], dtype=bool)
    roads = around["roads"]
    edges = np.array([one["kind"] == "edge" for one in roads], dtype=bool)
    ways = shapes_of(roads)
    lines = {
        "neighbour": sheet.path(shapes[~own]),
        "footprint": sheet.path(shapes_of(around["buildings"])),
        "zone": sheet.path(shapes_of(around["zones"])),
        "axis": sheet.path(ways[~edges]),
        "bar": sheet.path(ways[edges]),
        "bevel": sheet.path(shapes_of(around["bevels"])),
        "own": sheet.path(shapes[own]),
    }
    labels: list[Label] = [
        *_own(sheet, shapes[own]),
        *_cuts(sheet, around["bevels"], shapes[own]),
        *street_labels(sheet, around["streets"], language),
        *_neighbours(sheet, shapes[~own], [p for p in parcels if not p["own"]], land),
    ]
    seen = [label for label in labels if not covered(sheet, label)]
    return Drawing(sheet, lines, apart(seen))


def apart(labels: list[Label]) -> list[Label]:
    """Those that lie on none before them: at small scales codes would lie on one another."""
    kept: list[Label] = []
    taken: list[Any] = []
    for label in labels:
        half = len(label.text) * _LETTER_MM / 2, _LINE_MM / 2
        box = shapely.box(
            label.x - half[0], label.y - half[1], label.x + half[0], label.y + half[1]
        )
        place = affinity.rotate(box, label.angle, origin=(label.x, label.y))
        if not shapely.intersects(place, np.array(taken, dtype=object)).any():
            kept.append(label)
            taken.append(place)
    return kept


def shapes_of(rows: Sequence[dict[str, Any]]) -> Geometries:
    """The shapes of ``rows``, those that have one."""
    texts = [orjson.dumps(one["geom"]).decode() if one["geom"] else None for one in rows]
    found: Geometries = shapely.from_geojson(np.array(texts, dtype=object))
    return found[~shapely.is_missing(found)] if len(rows) else found.astype(object)


def seen_on(sheet: Sheet, shape: Any) -> Any:
    """What of ``shape`` the sheet shows."""
    return shapely.intersection(shape, shapely.box(*sheet.bounds))


def _neighbours(
    sheet: Sheet, shapes: Geometries, rows: list[dict[str, Any]], land: int
) -> list[Label]:
    found = []
    for shape, row in zip(shapes, rows, strict=True):
        seen = seen_on(sheet, shape)
        if seen.area * sheet.mm**2 < _LEAST_LABEL_MM2:
            continue
        ((x, y),) = sheet.place(shapely.get_coordinates(shapely.point_on_surface(seen))).tolist()
        found.append(Label("neighbour", x, y, short(row["parcel_code"], land)))
    return found


def short(code: str, land: int) -> str:
    """The parts of ``code`` that name the land, where nothing else is named."""
    parts = code.split("-")
    return "-".join(parts[:land]) if land and not any(p.strip("0") for p in parts[land:]) else code


def street_labels(sheet: Sheet, rows: list[dict[str, Any]], language: str) -> list[Label]:
    """Each name once, along its longest piece."""
    longest: dict[str, Any] = {}
    for row, shape in zip(rows, shapes_of(rows), strict=True):
        text = row["name"][language] or next(filter(None, row["name"].values()), None)
        for part in shapely.get_parts(shape):
            if text and part.length > longest.get(text, shapely.LineString()).length:
                longest[text] = part
    found = []
    for text, line in longest.items():
        if line.length * sheet.mm < _LEAST_STREET_MM:
            continue
        middle = shapely.line_interpolate_point(line, [0.4, 0.5, 0.6], normalized=True)
        (ax, ay), (x, y), (bx, by) = sheet.place(shapely.get_coordinates(middle)).tolist()
        found.append(Label("street", x, y, text, _upright(bx - ax, by - ay)))
    return found


def _own(sheet: Sheet, shapes: Geometries) -> list[Label]:
    """Corner letters outside the outer ring of the parcel, and lengths of its edges inside."""
    found: list[Label] = []
    for shape in shapely.get_parts(shapes):
        middle = sheet.place(shapely.get_coordinates(shape.centroid))[0]
        nodes = shapely.get_coordinates(shapely.get_exterior_ring(shape))
        placed = sheet.place(nodes)
        for (a, b), (xa, xb) in zip(pairwise(placed), pairwise(nodes), strict=True):
            along = math.dist(a, b)
            if along < _LEAST_EDGE_MM:
                continue
            half = (a + b) / 2
            x, y = (half + towards(half, middle, _EDGE_OFF_MM)).tolist()
            metres = math.dist(xa, xb) * sheet.unit_m
            angle = _upright(*(b - a).tolist())
            found.append(Label("length", x, y, f"{metres:.2f}", angle))
    return found


def _cuts(sheet: Sheet, rows: list[dict[str, Any]], shapes: Geometries) -> list[Label]:
    """The length of each corner of the parcel that is cut off, inside of the cut."""
    own = [row for row in rows if row["own"]]
    if not own or not len(shapes):
        return []
    middle = sheet.place(shapely.get_coordinates(shapely.centroid(shapes[0])))[0]
    found = []
    for row, line in zip(own, shapes_of(own), strict=True):
        a, b = sheet.place(shapely.get_coordinates(line)[[0, -1]])
        if math.dist(a, b) >= _LEAST_EDGE_MM:
            half = (a + b) / 2
            x, y = (half + towards(half, middle, _EDGE_OFF_MM)).tolist()
            angle = _upright(*(b - a).tolist())
            found.append(Label("length", x, y, f"{row['length_m']:.2f}", angle))
    return found


def corner_labels(drawing: Drawing, corners: list[dict[str, Any]]) -> list[Label]:
    """The letters of a corner table just outside of the parcel's corners, as many as there is room
    for; the table has them all."""
    if not corners:
        return []
    placed = drawing.sheet.place(np.array([(c["e"], c["n"]) for c in corners], dtype=float))
    middle = placed.mean(axis=0)
    found: list[Label] = []
    for spot, corner in zip(placed, corners, strict=True):
        x, y = (spot - towards(spot, middle, _CORNER_OFF_MM)).tolist()
        if all(math.dist((x, y), (one.x, one.y)) >= _APART_MM for one in found):
            found.append(Label("corner", x, y, str(corner["letter"])))
    return found


def covered(sheet: Sheet, label: Label) -> bool:
    """Whether the scale bar or the north arrow would lie over the middle of ``label``."""
    wide = _BAR_WIDE + sheet.bar_m() * 1000 / sheet.scale
    by_bar = label.x < wide and label.y > sheet.height - _BAR_HIGH
    return by_bar or (label.x > sheet.width - _NORTH_WIDE and label.y < _NORTH_HIGH)


def towards(spot: Any, middle: Any, by: float) -> Any:
    """The way of ``by`` mm from ``spot`` to ``middle``."""
    return (middle - spot) / (math.dist(spot, middle) or 1) * by


def _upright(dx: float, dy: float) -> float:
    """The angle of a line as text along it is read."""
    angle = math.degrees(math.atan2(dy, dx))
    if angle > 90:
        return round(angle - 180, 1)
    return round(angle + 180, 1) if angle <= -90 else round(angle, 1)
