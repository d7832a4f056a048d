"""Ways to spoil geometries, as drawing and exporting do: nothing drawn, moved, crossed, shrunk."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import shapely

from pipeline.contracts.layer import Geometry
from pipeline.sample.arrays import Floats, Ints
from pipeline.sample.arrivals import Arrival
from pipeline.sample.faults import Spoil, Spoiler, always

_FAR_EAST_M, _FAR_EAST_DEG = 60_000.0, 3.0
_TINY_SHARE = 0.4


def _reshaped(change: Callable[[Any], Any]) -> Spoil:
    def spoil(arrival: Arrival, rows: Ints) -> None:
        if arrival.shapes is None:
            raise TypeError(f"{arrival.file} has no geometries to spoil")
        new = np.empty(len(rows), dtype=object)
        new[:] = [_as_high(change(shape), shape) for shape in arrival.shapes[rows]]
        arrival.shapes = arrival.shapes.copy()
        arrival.shapes[rows] = new

    return spoil


def _as_high(new: Any, old: Any) -> Any:
    """What was changed in the plane keeps its height."""
    if new is None or not shapely.has_z(old) or shapely.has_z(new):
        return new
    return shapely.force_3d(new, shapely.get_coordinates(old, include_z=True)[0, 2])


def _ring(shape: Any) -> Floats:
    """The open exterior ring of the (first) polygon."""
    return np.asarray(
        shapely.get_coordinates(shapely.get_exterior_ring(shapely.get_geometry(shape, 0)))
    )[:-1]


def _like(shape: Any, polygon: Any) -> Any:
    return shapely.MultiPolygon([polygon]) if shape.geom_type == "MultiPolygon" else polygon


def spike(shape: Any) -> Any:
    """The polygon with a spike of no width: invalid, its repair keeps the area."""
    ring = _ring(shape)
    tip = ring[0] + 0.4 * (ring[0] - ring.mean(axis=0))
    polygons = [shapely.Polygon([ring[0], tip, *ring]), *shapely.get_parts(shape)[1:]]
    return shapely.MultiPolygon(polygons) if shape.geom_type == "MultiPolygon" else polygons[0]


def bow_tie(shape: Any) -> Any:
    """A bow-tie over the polygon's extent: no repair keeps its area."""
    x0, y0, x1, y1 = shape.bounds
    low = y0 + 0.3 * (y1 - y0)
    return _like(shape, shapely.Polygon([(x0, y0), (x1, y1), (x1, low), (x0, y1)]))


def _moved(shape: Any, east: float) -> Any:
    return shapely.transform(shape, lambda points: points + np.array([east, 0.0]))


def _swapped(shape: Any) -> Any:
    return shapely.transform(shape, lambda points: points[:, ::-1])


def _tiny(min_area: float | None, min_length: float | None) -> Callable[[Any], Any]:
    def change(shape: Any) -> Any:
        x, y = shapely.get_coordinates(shapely.point_on_surface(shape))[0]
        if min_area is None:
            return shapely.LineString([(x, y), (x + _TINY_SHARE * (min_length or 0.0), y)])
        half = float(np.sqrt(_TINY_SHARE * min_area)) / 2
        return _like(shape, shapely.box(x - half, y - half, x + half, y + half))

    return change


def _strip(min_area: float, min_width: float) -> Callable[[Any], Any]:
    """An area that is large enough and half as wide as it should be."""

    def change(shape: Any) -> Any:
        x, y = shapely.get_coordinates(shapely.point_on_surface(shape))[0]
        length = 3 * min_area / (min_width / 2)
        return _like(shape, shapely.box(x, y, x + length, y + min_width / 2))

    return change


def thorn(shape: Any) -> Any:
    """The polygon with a spike that has a little width: valid, and hardly meant."""
    ring = _ring(shape)
    out = 0.4 * (ring[0] - ring.mean(axis=0))
    reach = 0.002 * float(np.hypot(*out))
    sides = [
        ring[0] + reach * (end - ring[0]) / np.hypot(*(end - ring[0]))
        for end in (ring[1], ring[-1])
    ]
    return _like(shape, shapely.Polygon([ring[0] + out, sides[0], *ring[1:], sides[1]]))


def _repeated(shape: Any) -> Any:
    """The first point twice."""
    if shape.geom_type.endswith("LineString"):
        points = shapely.get_coordinates(shapely.get_geometry(shape, 0))
        return shapely.LineString([points[0], *points])
    ring = _ring(shape)
    return _like(shape, shapely.Polygon([ring[0], *ring]))


def _infinite(shape: Any) -> Any:
    first = shapely.get_coordinates(shape)[0]
    return shapely.transform(shape, lambda xy: np.where((xy == first).all(1)[:, None], np.inf, xy))


def _mixed(shape: Any) -> Any:
    return shapely.GeometryCollection([shape, shapely.point_on_surface(shape)])


def _outline(shape: Any) -> Any:
    return shapely.LineString([*_ring(shape), _ring(shape)[0]])


def _with_empty_part(shape: Any) -> Any:
    text = shapely.to_wkt(_like(shape, shape) if shape.geom_type == "Polygon" else shape, 12)
    return shapely.from_wkt(f"{text.removesuffix(')')}, EMPTY)")


def _ring_wkb(points: Floats) -> bytes:
    """WKB of one ring as it stands, closed or not."""
    return struct.pack("<BIII", 1, 3, 1, len(points)) + points.astype("<f8").tobytes()


def _open_ring(gap: float) -> Callable[[Any], bytes]:
    """The outline ends a little before where it began."""

    def change(shape: Any) -> bytes:
        ring = _ring(shape)
        back = (ring[-1] - ring[0]) / np.hypot(*(ring[-1] - ring[0]))
        return _ring_wkb(np.vstack([ring, ring[0] + gap * back]))

    return change


def _too_few(shape: Any) -> bytes:
    """An area of two corners, or a line of one point."""
    if shape.geom_type.endswith("Polygon"):
        return _ring_wkb(_ring(shape)[[0, 1, 0]])
    return struct.pack("<BII", 1, 2, 1) + bytes(shapely.get_coordinates(shape)[0].tobytes())


def _broken(change: Callable[[Any], bytes]) -> Spoil:
    """Faults that no geometry library would make: only their WKB can be written."""

    def spoil(arrival: Arrival, rows: Ints) -> None:
        if arrival.shapes is None:
            raise TypeError(f"{arrival.file} has no geometries to spoil")
        several = arrival.geometry.startswith("Multi")
        for row in rows:
            wkb = change(arrival.shapes[row])
            # The kinds of several parts follow those of one by three.
            head = struct.pack("<BII", 1, wkb[1] + 3, 1) if several else b""
            arrival.broken[int(row)] = head + wkb

    return spoil


def _twins(arrival: Arrival, rows: Ints) -> None:
    """The second of each pair is drawn where the first is."""
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries to spoil")
    arrival.shapes = arrival.shapes.copy()
    arrival.shapes[rows[1::2]] = arrival.shapes[rows[::2]]


def spoilers(arrival: Arrival, wanted: Geometry) -> list[Spoiler]:
    """All that can go wrong with this arrival's geometries, in a format that can hold it."""
    if arrival.shapes is None:
        return []
    geographic = arrival.crs == "EPSG:4326"
    east = _FAR_EAST_DEG if geographic else _FAR_EAST_M
    found = [
        _one("missing", "no geometry", lambda _: None, reshapes=True),
        _one("outside", f"moved {east:g} to the east", lambda shape: _moved(shape, east)),
    ]
    if not geographic:
        found.append(_one("swapped", "east and north swapped", _swapped))
    if arrival.driver in ("GPKG", "GeoJSON"):
        empty = shapely.from_wkt(f"{arrival.geometry.upper()} EMPTY")
        found.append(_one("empty", "empty geometry", lambda _: empty, reshapes=True))
    if "Polygon" in arrival.geometry:
        found.append(_one("repaired", "a spike of no width", spike))
        found.append(_one("unrepairable", "a bow-tie", bow_tie, reshapes=True))
    if wanted.min_area_m2 if "Polygon" in arrival.geometry else wanted.min_length_m:
        area = wanted.min_area_m2 if "Polygon" in arrival.geometry else None
        tiny = _tiny(area, wanted.min_length_m)
        found.append(_one("sliver", "shrunk to a sliver", tiny, reshapes=True))
    if not wanted.may_repeat and not arrival.geometry.endswith("Point"):
        found.append(
            Spoiler("geometry.duplicate", "", "drawn where another row is", _twins, always,
                    pairs=True, later=True, reshapes=True)
        )  # fmt: skip
    if arrival.driver == "GPKG" and not geographic:
        found += _drawn_badly(arrival, wanted)
    return found


def _one(code: str, text: str, change: Callable[[Any], Any], *, reshapes: bool = False) -> Spoiler:
    return Spoiler(f"geometry.{code}", "", text, _reshaped(change), always, reshapes=reshapes)


def _drawn_badly(arrival: Arrival, wanted: Geometry) -> list[Spoiler]:
    """What only a format that takes any geometry can hold."""
    if arrival.geometry.endswith("Point"):
        return []
    found = [
        _one("nonfinite", "a point at infinity", _infinite, reshapes=True),
        _one("repeated_points", "its first point twice", _repeated),
        _raw("degenerate", "too few points", _too_few, reshapes=True),
        _one("collection", "a point besides", _mixed),
    ]
    if "Polygon" not in arrival.geometry:
        return found
    middle = shapely.point_on_surface
    found += [
        _one("type", "a point instead of an area", middle, reshapes=True),
        _one("closed_line", "the outline instead of the area", _outline),
        _one("spike", "a spike of some width", thorn),
        _raw("closed", "a gap of 3 mm in the outline", _open_ring(0.003)),
        _raw("unclosed", "a gap of 40 cm in the outline", _open_ring(0.4), reshapes=True),
    ]
    if arrival.geometry.startswith("Multi"):
        found.append(_one("empty_part", "an empty part", _with_empty_part))
    if wanted.min_width_m and wanted.min_area_m2:
        strip = _strip(wanted.min_area_m2, wanted.min_width_m)
        found.append(_one("sliver", "narrow as a thread", strip, reshapes=True))
    return found


def _raw(
    code: str, text: str, change: Callable[[Any], bytes], *, reshapes: bool = False
) -> Spoiler:
    return Spoiler(f"geometry.{code}", "", text, _broken(change), always, reshapes=reshapes)
