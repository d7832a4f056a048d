"""Spatial functions of CQL2 over the geometry of a collection and geometries of the filter."""

from __future__ import annotations

from typing import Any

import orjson
import shapely
from psycopg import sql
from shapely.geometry.base import BaseGeometry

from pipeline.derive.columns import GEOMETRY
from pipeline.serve import bbox, crs
from pipeline.serve.cql_term import Context
from pipeline.serve.errors import bad
from pipeline.serve.served import GEOMETRY_NAMES

FUNCTIONS: dict[str, str] = {
    "s_contains": "ST_Contains",
    "s_crosses": "ST_Crosses",
    "s_disjoint": "ST_Disjoint",
    "s_equals": "ST_Equals",
    "s_intersects": "ST_Intersects",
    "s_overlaps": "ST_Overlaps",
    "s_touches": "ST_Touches",
    "s_within": "ST_Within",
}
_MAX_VERTICES = 20_000


def predicate(context: Context, name: str, arguments: list[Any]) -> sql.Composable:
    """The spatial function ``name``; the geometry of the collection may stand on either side."""
    if len(arguments) != 2:
        raise bad(f"filter: {name.upper()} takes two geometries")
    if not any(isinstance(node, dict) and "property" in node for node in arguments):
        return _of_literals(context, name, arguments)
    a, b = (_operand(context, node, name) for node in arguments)
    return sql.SQL(FUNCTIONS[name] + "({}, {})").format(a, b)


def _of_literals(context: Context, name: str, arguments: list[Any]) -> sql.Composable:
    """Two geometries of the filter, wherever on Earth: the same for every feature."""
    a, b = (_literal(context, node, name) for node in arguments)
    return sql.SQL("true" if getattr(shapely, name.removeprefix("s_"))(a, b) else "false")


def needs_geometry(context: Context) -> None:
    """400 for a collection that has no geometry."""
    if not context.served.has_geometry:
        raise bad(f"filter: the features of {context.served.id} have no geometry")


def _operand(context: Context, node: Any, name: str) -> sql.Composable:
    if isinstance(node, dict) and "property" in node:
        if node["property"] not in GEOMETRY_NAMES:
            context.served.kind(str(node["property"]), "filter")
            raise bad(f"filter: {node['property']} is not a geometry, which {name.upper()} takes")
        needs_geometry(context)
        return sql.SQL("v.") + sql.Identifier(GEOMETRY)
    shape = _moved(context, _literal(context, node, name))
    return context.binder.add(crs.ewkb(shape, context.served.city.srid), "geometry")


def _literal(context: Context, node: Any, name: str) -> BaseGeometry:
    """A geometry of the filter in its CRS, x before y."""
    if not isinstance(node, dict):
        raise bad(f"filter: {name.upper()} takes a geometry or BBOX(...)")
    if "bbox" in node:
        numbers = node["bbox"] if isinstance(node["bbox"], list) else []
        given = [
            crs.ring(box) if min(box[2] - box[0], box[3] - box[1]) > 0 else _thin(box)
            for box in bbox.parse(",".join(map(str, numbers)), context.crs)
        ]
        return given[0] if len(given) == 1 else shapely.union_all(given)
    if "type" in node:
        return _geojson(context, node)
    raise bad(f"filter: {next(iter(node), 'an empty object')} is not a geometry")


def _thin(box: crs.Bounds) -> BaseGeometry:
    """A box without an area."""
    corners = [(box[0], box[1]), (box[2], box[3])]
    return shapely.Point(corners[0]) if corners[0] == corners[1] else shapely.LineString(corners)


def _geojson(context: Context, node: dict[str, Any]) -> BaseGeometry:
    try:
        shape = shapely.force_2d(shapely.from_geojson(orjson.dumps(node)))
    except (shapely.errors.GEOSException, orjson.JSONEncodeError, TypeError) as error:
        raise bad(f"filter: a geometry cannot be read: {error}") from None
    if shape is None or shape.is_empty:
        raise bad("filter: a geometry is empty")
    points = shapely.get_coordinates(shape)
    if len(points) > _MAX_VERTICES:
        raise bad(f"filter: a geometry has more than {_MAX_VERTICES} vertices")
    if not (abs(points) < float("inf")).all():
        raise bad("filter: a coordinate is not finite")
    if context.crs.flipped:
        shape = shapely.transform(shape, lambda found: found[:, ::-1])
    if not shape.is_valid:
        raise bad(f"filter: a geometry is not valid: {shapely.is_valid_reason(shape)}")
    return shape


def _moved(context: Context, shape: BaseGeometry) -> BaseGeometry:
    """``shape`` in the stored CRS. What reaches beyond the city is cut off first: every feature
    lies inside, so no answer changes, and far away a projection would fold the shape."""
    home = context.served.city
    if context.crs.srid != home.srid:
        domain = shapely.box(*crs.domain(home, context.crs.srid))
        if not domain.covers(shape):
            shape = shape.intersection(domain)
    return crs.transform(shape, context.crs.srid, home.srid)
