"""Ways to spoil geometries, as drawing and exporting do: nothing drawn, moved, crossed, shrunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import shapely

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
        new[:] = [change(shape) for shape in arrival.shapes[rows]]
        arrival.shapes = arrival.shapes.copy()
        arrival.shapes[rows] = new

    return spoil


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


def spoilers(arrival: Arrival, min_area: float | None, min_length: float | None) -> list[Spoiler]:
    """All that can go wrong with this arrival's geometries, in a format that can hold it."""
    if arrival.shapes is None:
        return []
    geographic = arrival.crs == "EPSG:4326"
    east = _FAR_EAST_DEG if geographic else _FAR_EAST_M
    polygons = "Polygon" in arrival.geometry

    def one(
        code: str, text: str, change: Callable[[Any], Any], *, reshapes: bool = False
    ) -> Spoiler:
        return Spoiler(code, "", text, _reshaped(change), always, reshapes=reshapes)

    found = [
        one("geometry.missing", "no geometry", lambda _: None, reshapes=True),
        one("geometry.outside", f"moved {east:g} to the east", lambda shape: _moved(shape, east)),
    ]
    if not geographic:
        found.append(one("geometry.swapped", "east and north swapped", _swapped))
    if arrival.driver in ("GPKG", "GeoJSON"):
        empty = shapely.from_wkt(f"{arrival.geometry.upper()} EMPTY")
        found.append(one("geometry.empty", "empty geometry", lambda _: empty, reshapes=True))
    if polygons:
        found.append(one("geometry.repaired", "a spike of no width", spike))
        found.append(one("geometry.unrepairable", "a bow-tie", bow_tie, reshapes=True))
    if min_area if polygons else min_length:
        tiny = _tiny(min_area if polygons else None, min_length)
        found.append(one("geometry.sliver", "shrunk to a sliver", tiny, reshapes=True))
    return found
