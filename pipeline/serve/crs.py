"""Coordinate reference systems a client may ask for, and how coordinates get from one to another.

PostGIS transforms features (integer SRIDs: the text forms rebuild the PROJ pipeline for each row);
here only what arrives in a request is transformed: boxes and geometries of filters.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from pipeline.contracts.city import City
from pipeline.serve.errors import bad

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
_CURIE = re.compile(r"\[(?:EPSG:([0-9]{1,6})|OGC:CRS84)\]")
_WGS84, _WEB_MERCATOR = 4326, 3857
_METRES_PER_DEGREE = 111_320.0
_EDGE_POINTS, _STEP_M = 100, 100.0
_POLYGON = struct.Struct("<BIIII10d")
_RING = struct.Struct("<BIIII")
_POLYGON_WITH_SRID = 0x20000003

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Crs:
    """A CRS by its URI; ``flipped`` when its first axis points north, so y is written first."""

    uri: str
    srid: int
    flipped: bool
    metres_per_unit: float

    def digits(self, precision_m: float) -> int:
        """Decimals that keep a coordinate within ``precision_m`` of what is stored."""
        return max(0, math.ceil(math.log10(0.5 * self.metres_per_unit / precision_m)))


def _of_epsg(srid: int) -> Crs:
    found = CRS.from_epsg(srid)
    unit = _METRES_PER_DEGREE
    if not found.is_geographic:
        unit = float(found.axis_info[0].unit_conversion_factor)
    return Crs(f"{_EPSG}{srid}", srid, found.axis_info[0].direction == "north", unit)


@cache
def _supported(srid: int) -> dict[str, Crs]:
    found = [Crs(CRS84, _WGS84, flipped=False, metres_per_unit=_METRES_PER_DEGREE)]
    found += [_of_epsg(code) for code in dict.fromkeys((_WGS84, srid, _WEB_MERCATOR))]
    return {crs.uri: crs for crs in found}


def supported(city: City) -> dict[str, Crs]:
    """The CRSs every collection of ``city`` can be had in, by URI; the first is the default."""
    return _supported(city.srid)


def named(city: City, uri: str, parameter: str) -> Crs:
    """The CRS called ``uri``, or so by a safe CURIE, as OGC API - Maps has it; 400 names the ones
    there are."""
    if found := _CURIE.fullmatch(uri):
        uri = f"{_EPSG}{found[1]}" if found[1] else CRS84
    try:
        return supported(city)[uri]
    except KeyError:
        known = ", ".join(supported(city))
        raise bad(f"{parameter}: {uri!r} is not offered; there are {known}") from None


def stored(city: City) -> Crs:
    """The CRS the city's data are stored in."""
    return supported(city)[city.crs_uri]


@cache
def transformer(source: int, target: int) -> Transformer:
    """From x, y in ``source`` to x, y in ``target``, whatever their axis order."""
    return Transformer.from_crs(source, target, always_xy=True)


def transform(geometry: BaseGeometry, source: int, target: int) -> BaseGeometry:
    """``geometry`` from one SRID to another, x before y in both."""
    if source == target:
        return geometry
    across = transformer(source, target)

    def move(points: Any) -> Any:
        return np.column_stack(across.transform(points[:, 0], points[:, 1]))

    moved: BaseGeometry = shapely.transform(geometry, move)
    return moved


def rectangle(bounds: Bounds, srid: int) -> str:
    """The rectangle as EWKB in hexadecimal digits, which PostGIS reads fastest."""
    xmin, ymin, xmax, ymax = bounds
    corners = (xmin, ymin, xmax, ymin, xmax, ymax, xmin, ymax, xmin, ymin)
    return _POLYGON.pack(1, _POLYGON_WITH_SRID, srid, 1, 5, *corners).hex()


def within(bounds: Bounds, srid: int) -> str:
    """A rectangle for ``geometry @ rectangle`` in which nothing lies that is not in ``bounds``.

    PostGIS compares boxes by ``@`` in single precision, each rounded outwards: of northings that is
    a quarter of a metre. Rounded inwards first, it takes nothing from beyond the edge; nothing at
    all where too little is left of it.
    """
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    up, down = low.astype(np.float32), high.astype(np.float32)
    up = np.where(up < low, np.nextafter(up, np.float32(np.inf)), up)
    down = np.where(down > high, np.nextafter(down, np.float32(-np.inf)), down)
    if (up < down).all():
        return rectangle((float(up[0]), float(up[1]), float(down[0]), float(down[1])), srid)
    return ewkb(shapely.Polygon(), srid)


def ewkb(shape: BaseGeometry, srid: int) -> str:
    """``shape`` as EWKB in hexadecimal digits."""
    text: str = shapely.to_wkb(shapely.set_srid(shape, srid), hex=True, include_srid=True)
    return text


@dataclass(frozen=True, slots=True)
class Bent:
    """What a rectangle has become in another CRS: points along its edge, as many on each side,
    against the clock from its lower left corner. Plain arrays: every request with a box has one."""

    x: Any
    y: Any

    @property
    def bounds(self) -> Bounds:
        """The rectangle round it."""
        x, y = self.x, self.y
        return (float(x.min()), float(y.min()), float(x.max()), float(y.max()))

    @property
    def inner(self) -> Bounds:
        """A rectangle wholly inside it; its first corner where there is none."""
        side = len(self.x) // 4
        x, y = self.x, self.y
        west, east = max(x[0], x[3 * side :].max()), x[side : 2 * side + 1].min()
        south, north = y[: side + 1].max(), y[2 * side : 3 * side + 1].min()
        if west < east and south < north:
            return (float(west), float(south), float(east), float(north))
        return (float(x[0]), float(y[0]), float(x[0]), float(y[0]))

    def ewkb(self, srid: int) -> str:
        """The polygon as EWKB in hexadecimal digits."""
        points = np.column_stack((np.append(self.x, self.x[0]), np.append(self.y, self.y[0])))
        head = _RING.pack(1, _POLYGON_WITH_SRID, srid, 1, len(points))
        return (head + points.astype("<f8", copy=False).tobytes()).hex()


def bent(box: Bounds, source: Crs, target: int) -> Bent:
    """A box of ``source`` in another SRID, with as many points on its edges as its size needs."""
    if source.srid == target:
        return moved_ring(box, source.srid, target, 1)
    length = max(box[2] - box[0], box[3] - box[1]) * source.metres_per_unit
    points = min(_EDGE_POINTS, int(length / _STEP_M) + 1)
    return moved_ring(box, source.srid, target, points)


def moved_ring(bounds: Bounds, source: int, target: int, points: int) -> Bent:
    """The rectangle with ``points`` on each edge in another SRID."""
    (xmin, ymin, xmax, ymax), (right, up) = bounds, _unit_ring(points)
    # Exact at both ends, so that corners are where the box says.
    x, y = xmin * (1.0 - right) + xmax * right, ymin * (1.0 - up) + ymax * up
    if source != target:
        x, y = transformer(source, target).transform(x, y)
    return Bent(x, y)


@cache
def _unit_ring(points: int) -> tuple[Any, Any]:
    steps, ones = np.linspace(0.0, 1.0, points, endpoint=False), np.ones(points)
    right = np.concatenate([steps, ones, 1.0 - steps, 0.0 * ones])
    return right, np.concatenate([0.0 * ones, steps, ones, 1.0 - steps])


def ring(bounds: Bounds, points: int = _EDGE_POINTS) -> BaseGeometry:
    """The rectangle with ``points`` on each edge, so that it stays itself when it is bent."""
    found = moved_ring(bounds, 0, 0, points)
    return shapely.Polygon(np.column_stack([found.x, found.y]))


def domain(city: City, srid: int) -> Bounds:
    """The city's extent in ``srid`` with a margin. The database lets no feature lie outside.

    What a client asks for beyond is cut off before it is transformed, for far away from its zone a
    projection gives infinite or folded coordinates.
    """
    return _domain(city.extent.bounds, city.srid, srid)


@cache
def _domain(extent: Bounds, source: int, target: int) -> Bounds:
    moved = transform(ring(extent), source, target)
    xmin, ymin, xmax, ymax = moved.bounds
    margin_x, margin_y = (xmax - xmin) / 50, (ymax - ymin) / 50
    return (xmin - margin_x, ymin - margin_y, xmax + margin_x, ymax + margin_y)
