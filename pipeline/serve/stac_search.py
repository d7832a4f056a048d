"""What a STAC search asks for, and which items are meant: all of its conditions at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import shapely

from pipeline.serve import period
from pipeline.serve.errors import bad
from pipeline.serve.stac_items import Holding, Item

NAMES = ("bbox", "datetime", "ids", "collections", "intersects", "limit", "offset")
_LIMIT, _MOST = 10, 1_000
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Search:
    """The conditions; None for one that is not given."""

    box: Box | None = None
    shape: shapely.Geometry | None = None
    begin: datetime | None = None
    end: datetime | None = None
    timed: bool = False
    ids: frozenset[str] | None = None
    collections: frozenset[str] | None = None
    limit: int = _LIMIT
    offset: int = 0


def of_query(given: Mapping[str, str]) -> Search:
    """Of the parameters of a GET: lists with commas, ``intersects`` as GeoJSON."""
    values: dict[str, Any] = dict(given)
    for name in ("bbox", "ids", "collections"):
        if name in values:
            values[name] = values[name].split(",")
    if "intersects" in values:
        try:
            values["intersects"] = orjson.loads(values["intersects"])
        except ValueError:
            raise bad("intersects: give a GeoJSON geometry") from None
    return of_body(values)


def of_body(given: Mapping[str, Any]) -> Search:
    """Of the body of a POST; 400 for what is unknown or cannot be."""
    for name in given:
        if name not in NAMES:
            raise bad(f"unknown member {name!r}; known are {', '.join(NAMES)}")
    if "bbox" in given and "intersects" in given:
        raise bad("give either bbox or intersects, not both")
    begin, end = period.interval(_text(given, "datetime")) if "datetime" in given else (None, None)
    return Search(
        _box(given["bbox"]) if "bbox" in given else None,
        _shape(given["intersects"]) if "intersects" in given else None,
        begin, end, "datetime" in given,
        _names(given, "ids"), _names(given, "collections"),
        _whole(given, "limit", _LIMIT, 1, _MOST), _whole(given, "offset", 0, 0, 10**9),
    )  # fmt: skip


def _text(given: Mapping[str, Any], name: str) -> str:
    if not isinstance(given[name], str):
        raise bad(f"{name}: give a text")
    return str(given[name])


def _names(given: Mapping[str, Any], name: str) -> frozenset[str] | None:
    found = given.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise bad(f"{name}: give a list of texts")
    return frozenset(found)


def _whole(given: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    found = given.get(name, default)
    try:
        number = int(found) if not isinstance(found, bool) else -1
    except (TypeError, ValueError):
        number = -1
    if str(found) != str(number) or not least <= number <= most:
        raise bad(f"{name}: give a whole number from {least} to {most}")
    return number


def _box(found: Any) -> Box:
    try:
        numbers = [float(value) for value in found]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 6:
        del numbers[5], numbers[2]
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or numbers[1] > numbers[3]:
        raise bad("bbox: give west,south,east,north in degrees")
    return (numbers[0], numbers[1], numbers[2], numbers[3])


def _shape(found: Any) -> shapely.Geometry:
    try:
        shape = shapely.from_geojson(orjson.dumps(found))
    except (shapely.errors.GEOSException, TypeError):
        shape = None
    if shape is None or shape.is_empty:
        raise bad("intersects: give a GeoJSON geometry")
    return shape if shape.is_valid else shapely.make_valid(shape)


def found(holdings: Sequence[Holding], search: Search) -> list[Item]:
    """All items that are meant, collection by collection; ``limit`` is not looked at."""
    items: list[Item] = []
    for holding in holdings:
        if search.collections is None or holding.id in search.collections:
            items += [holding.items[number] for number in _numbers(holding, search)]
    return items


def _numbers(holding: Holding, search: Search) -> list[int]:
    kept = np.ones(len(holding.items), dtype=np.bool_)
    if search.ids is not None:
        named = [holding.numbers[name] for name in search.ids if name in holding.numbers]
        kept &= np.isin(np.arange(len(kept)), named)
    area = _area(search)
    if area is not None and len(kept):
        kept &= np.isin(np.arange(len(kept)), holding.tree.query(area, predicate="intersects"))
    if search.timed and len(kept):
        if search.begin is not None:
            kept &= holding.times[:, 1] >= _naive(search.begin)
        if search.end is not None:
            kept &= holding.times[:, 0] <= _naive(search.end)
    return [int(number) for number in np.flatnonzero(kept)]


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")


def _area(search: Search) -> shapely.Geometry | None:
    if search.box is None:
        return search.shape
    west, south, east, north = search.box
    if west <= east:
        return shapely.box(west, south, east, north)
    # Over the 180th meridian.
    halves = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    return shapely.MultiPolygon(halves)
