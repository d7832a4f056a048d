"""Outline: the shape of each kind of CAD entity, curves stroked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from ezdxf.path import from_hatch

from pipeline.stages.curves import bulged

Points = npt.NDArray[np.float64]

TEXTS = ("TEXT", "ATTRIB", "ATTDEF")
_SPLINE_FRAME = 16
_COMPOSED = ("MLINE", "MULTILEADER", "MLEADER", "ACAD_TABLE")


@dataclass(frozen=True)
class Shape:
    """Points (n, 3), or polygons by their rings."""

    points: Points
    kind: str = "line"
    closed: bool | None = None
    made: shapely.Geometry | None = None


def drawn(shape: Shape) -> dict[str, Any]:
    """The shape as WKB: heights are in it where they differ, in the elevation where they do not."""
    points = shape.points
    heights = points[:, 2]
    level = len(heights) > 0 and bool(np.all(heights == heights[0]))
    elevation = float(heights[0]) if level else None
    if shape.made is not None:
        return {"elevation": elevation, "wkb": shapely.to_wkb(shape.made)}
    used = points[:, :2] if level else points
    if shape.kind == "point":
        return {"elevation": elevation, "wkb": shapely.to_wkb(shapely.Point(used[0]))}
    if len(used) < 2:
        return {"elevation": elevation, "wkb": None}
    return {"elevation": elevation, "wkb": shapely.to_wkb(shapely.LineString(used))}


def _xyz(points: Iterable[Any]) -> Points:
    """Points as an array (n, 3)."""
    return np.array([(p.x, p.y, p.z) for p in points], dtype=np.float64).reshape(-1, 3)


def _point(name: str, *, own_axes: bool = False) -> Callable[[Any, float], Shape]:
    def draw(entity: Any, _: float) -> Shape:
        at = entity.dxf.get(name)
        if own_axes:
            at = entity.ocs().to_wcs(at)
        return Shape(_xyz([at]), "point")

    return draw


def _text_place(entity: Any, _: float) -> Shape:
    """Where a text is placed: its alignment point, where it has one."""
    dxf = entity.dxf
    aligned = dxf.get("halign", 0) or dxf.get("valign", 0)
    at = dxf.align_point if aligned and dxf.hasattr("align_point") else dxf.get("insert", (0, 0, 0))
    return Shape(_xyz([entity.ocs().to_wcs(at)]), "point")


def _line(entity: Any, _: float) -> Shape:
    return Shape(_xyz([entity.dxf.start, entity.dxf.end]), closed=False)


def _flattened(*, closed: bool | None) -> Callable[[Any, float], Shape]:
    def draw(entity: Any, sagitta: float) -> Shape:
        points = _xyz(entity.flattening(sagitta))
        ring = _is_ring(points) if closed is None else closed
        if ring and len(points):
            points[-1] = points[0]
        return Shape(points, closed=ring)

    return draw


def _is_ring(points: Points) -> bool:
    return len(points) > 3 and bool(np.allclose(points[0], points[-1], rtol=0, atol=1e-9))


def _lwpolyline(entity: Any, sagitta: float) -> Shape:
    flat = np.array(list(entity.get_points("xyb")), dtype=np.float64).reshape(-1, 3)
    return _polyline(entity, flat, float(entity.dxf.get("elevation", 0.0)), sagitta, entity.closed)


def _heavy_polyline(entity: Any, sagitta: float) -> Shape | None:
    if entity.is_poly_face_mesh or entity.is_polygon_mesh:
        return _faces(entity.virtual_entities())
    if entity.is_3d_polyline:
        points = _xyz(entity.points())
        return Shape(_closed(points) if entity.is_closed else points, closed=entity.is_closed)
    flat = np.array(
        [(v.dxf.location.x, v.dxf.location.y, v.dxf.get("bulge", 0.0)) for v in entity.vertices
         if not v.dxf.get("flags", 0) & _SPLINE_FRAME],
        dtype=np.float64,
    ).reshape(-1, 3)  # fmt: skip
    first = next(iter(entity.vertices), None)
    level = entity.dxf.get("elevation")
    height = level.z if level is not None else first.dxf.location.z if first else 0.0
    return _polyline(entity, flat, float(height), sagitta, entity.is_closed)


def _polyline(entity: Any, flat: Points, height: float, sagitta: float, closed: bool) -> Shape:
    """``flat``: x, y and bulge of each vertex, in the entity's own axes."""
    line = _stroked(flat, sagitta, closed=closed)
    ocs = entity.ocs()
    if ocs.transform:
        points = _xyz(ocs.points_to_wcs([(x, y, height) for x, y in line]))
    else:
        points = np.column_stack([line, np.full(len(line), height)])
    return Shape(points, closed=closed)


def _stroked(flat: Points, sagitta: float, *, closed: bool) -> Points:
    if closed and len(flat) > 1 and not np.array_equal(flat[0, :2], flat[-1, :2]):
        flat = np.vstack([flat, [*flat[0, :2], 0.0]])
    if not flat[:-1, 2].any():
        return flat[:, :2]
    parts = [flat[:1, :2]]
    for (x, y, bulge), (x2, y2, _) in pairwise(flat):
        start, end = np.array([x, y]), np.array([x2, y2])
        bent = bulge and not np.array_equal(start, end)
        parts.append(bulged(start, end, bulge, sagitta)[1:] if bent else end[None, :])
    return np.vstack(parts)


def _closed(points: Points) -> Points:
    same = len(points) < 2 or np.array_equal(points[0], points[-1])
    return points if same else np.vstack([points, points[:1]])


def _face(entity: Any, _: float) -> Shape | None:
    return _faces([entity])


def _faces(faces: Iterable[Any]) -> Shape | None:
    rings = [_closed(_xyz(dict.fromkeys(face.wcs_vertices()))) for face in faces]
    rings = [ring for ring in rings if len(ring) > 3]
    if not rings:
        return None
    polygons = [shapely.Polygon(ring[:, :2]) for ring in rings]
    made = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    return Shape(np.vstack(rings), made=made)


def _hatch(entity: Any, sagitta: float) -> Shape | None:
    """The hatched area: rings inside rings are holes."""
    rings = [_closed(_xyz(path.flattening(sagitta))) for path in from_hatch(entity)]
    rings = [ring for ring in rings if len(ring) > 3]
    if not rings:
        return None
    areas = [shapely.make_valid(shapely.Polygon(ring[:, :2])) for ring in rings]
    made = reduce(shapely.symmetric_difference, areas)
    return Shape(np.vstack(rings), made=made)


def _leader(entity: Any, _: float) -> Shape:
    return Shape(_xyz(entity.vertices), closed=False)


_OUTLINES: dict[str, Callable[[Any, float], Shape | None]] = {
    "POINT": _point("location"),
    "INSERT": _point("insert", own_axes=True),
    "MTEXT": _point("insert"),
    "SHAPE": _point("insert", own_axes=True),
    "DIMENSION": _point("defpoint"),
    **dict.fromkeys(TEXTS, _text_place),
    "LINE": _line,
    "LEADER": _leader,
    "ARC": _flattened(closed=False),
    "CIRCLE": _flattened(closed=True),
    "ELLIPSE": _flattened(closed=None),
    "SPLINE": _flattened(closed=None),
    "HELIX": _flattened(closed=False),
    "LWPOLYLINE": _lwpolyline,
    "POLYLINE": _heavy_polyline,
    "3DFACE": _face,
    "SOLID": _face,
    "TRACE": _face,
    "HATCH": _hatch,
    "MPOLYGON": _hatch,
}


def outline(entity: Any, sagitta: float) -> Shape | None:
    """The shape of ``entity``, None where it has none that can be drawn."""
    kind = entity.dxftype()
    draw = _OUTLINES.get(kind)
    if draw is not None:
        return draw(entity, sagitta)
    return _drawn_parts(entity, sagitta) if kind in _COMPOSED else None


def _drawn_parts(entity: Any, sagitta: float) -> Shape | None:
    """The lines that stand for an entity on paper."""
    parts = (outline(one, sagitta) for one in entity.virtual_entities())
    lines = [one.points for one in parts if one and len(one.points) > 1]
    if not lines:
        return None
    return Shape(np.vstack(lines), made=shapely.MultiLineString([line[:, :2] for line in lines]))
