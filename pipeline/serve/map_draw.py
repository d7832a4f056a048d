"""How maps are drawn: the rows of layers in their symbols with names, pictures below them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from psycopg import sql
from pygeoapi.plugin import load_plugin
from starlette.concurrency import run_in_threadpool

from pipeline.derive import generalised, symbols
from pipeline.derive.columns import GEOMETRY
from pipeline.derive.symbols import LABELS_FROM, Drawing
from pipeline.geo import Geometries
from pipeline.serve import crs, legend
from pipeline.serve.canvas import Canvas
from pipeline.serve.clause import template
from pipeline.serve.errors import missing
from pipeline.serve.map_view import View
from pipeline.serve.query import Statement
from pipeline.serve.served import Served
from pipeline.serve.site import Site
from pipeline.serve.state import NEVER_LOADED

_MOST_NAMED = 400


@dataclass(frozen=True)
class Rows:
    """What a layer has in a view, with shapes in pixels."""

    codes: list[str | None]
    names: list[str | None]
    shapes: Geometries
    far: bool


def pictured(site: Site, name: str) -> dict[str, Any] | None:
    """The map provider of a raster collection, None if it has none."""
    for provider in site.config["resources"].get(name, {}).get("providers", ()):
        if provider["type"] == "map":
            found: dict[str, Any] = provider
            return found
    return None


def drawable(site: Site, name: str) -> bool:
    """Whether a collection can be drawn."""
    served = site.served.get(name)
    if served is None:
        return pictured(site, name) is not None
    return served.has_geometry and served.layer.publish.tiles


async def draw(site: Site, names: Sequence[str], view: View) -> Canvas:
    """The collections called ``names``, the lowest first."""
    canvas = Canvas(view.size)
    found = await asyncio.gather(*(_content(site, name, view) for name in names))
    await run_in_threadpool(_painted, canvas, site, found, view)
    return canvas


Content = tuple[Drawing, Rows] | np.ndarray | None


async def _content(site: Site, name: str, view: View) -> Content:
    served = site.served.get(name)
    if served is not None:
        return await _rows(site, served, view)
    provider = pictured(site, name)
    if provider is None:
        raise missing(f"the collection {name!r} cannot be drawn")
    return await run_in_threadpool(_photo, provider, view)


def _photo(provider: dict[str, Any], view: View) -> Content:
    plugin = load_plugin("provider", provider)
    if plugin.source.served() is None:
        return None
    width, height = view.size
    body = plugin.query(
        bbox=list(view.box), width=width, height=height, crs=view.crs.uri, format_="png"
    )
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA) if pixels is not None else None


async def _rows(site: Site, served: Served, view: View) -> Content:
    """The rows of a layer in the view: its features, or what it looks like from afar."""
    drawing = symbols.drawing(site.schemas, served.layer, served.audience)
    place, zoom = view.stored(), view.zoom()
    level = round(zoom)
    if place is None or level < served.layer.publish.min_zoom:
        return None
    state = await site.state.version(generalised.state_name(served.layer))
    far = level in served.levels and state != NEVER_LOADED
    asked = _statement(drawing, served, view, place, level if far else None)
    values = {**asked.values, "rows": site.options["tile_rows"]}
    row = await site.tiles.row(Statement(asked.sql, values))
    if row is None or not row[0]:
        return None
    shapes = shapely.from_wkb([bytes(one) for one in row[3]])
    placed = shapely.transform(shapes, view.pixels)
    codes, names = ([_text(one) for one in column] for column in (row[1], row[2]))
    return drawing, Rows(codes, names, placed, far)


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _statement(
    drawing: Drawing, served: Served, view: View, place: tuple[Any, float], level: int | None
) -> Statement:
    box, pixel = place
    geom = sql.Identifier(GEOMETRY)
    shape: sql.Composable = sql.SQL("v.") + geom
    visible: sql.Composable = sql.SQL("true")
    code = sql.SQL("v.{}").format(sql.Identifier(drawing.field)) if drawing.field else sql.NULL
    name = sql.SQL("v.{}").format(sql.Identifier(drawing.label)) if drawing.label else sql.NULL
    relation = served.view
    if level is not None:
        relation, name = served.far_view, sql.NULL
        code = sql.SQL("v.{}").format(sql.Identifier(generalised.CODE))
        visible = sql.SQL("v.{} = {}").format(sql.Identifier(generalised.ZOOM), sql.Literal(level))
    elif drawing.kind != "point":
        shape = template("tile_shape").format(geom=geom)
        visible = template("tile_visible").format(geom=geom)
    if view.crs.srid != served.city.srid:
        shape = sql.SQL("ST_Transform({}, {})").format(shape, sql.Literal(view.crs.srid))
    made = template("map").format(
        code=code, name=name, shape=shape, view=relation, geom=geom, visible=visible,
        order=template("tile_largest").format(geom=geom) if level is None else sql.SQL(""),
    )  # fmt: skip
    values = {
        "box": crs.rectangle(box, served.city.srid),
        "grid": pixel / 4,
        "pixel": pixel,
    }
    return Statement(made.as_bytes(None), values)


def _painted(canvas: Canvas, site: Site, found: Sequence[Content], view: View) -> None:
    words: list[tuple[str, float, float, float]] = []
    for content in found:
        if isinstance(content, np.ndarray):
            canvas.picture(content)
        elif content is not None:
            _layer(canvas, *content, view)
            words[:0] = _named(*content, view)
    if words:
        canvas.words(words, legend.font(site.config))


def _layer(canvas: Canvas, drawing: Drawing, rows: Rows, view: View) -> None:
    """Class by class, so that what lies within one does not show through itself."""
    known = {symbol.code for symbol in drawing.symbols}
    codes = np.array([code if code in known else None for code in rows.codes], dtype=object)
    zoom = view.zoom()
    outlined = not rows.far and zoom >= drawing.outlined_from - 0.5
    for symbol in drawing.symbols:
        chosen = rows.shapes[codes == symbol.code] if not drawing.single else rows.shapes
        if not len(chosen) or zoom < symbol.look.min_zoom - 0.5:
            continue
        if drawing.kind == "area":
            canvas.areas(chosen, symbol, outlined=outlined)
        elif drawing.kind == "line":
            canvas.lines(chosen, symbol)
        else:
            canvas.points(shapely.get_coordinates(chosen), symbol)


def _named(drawing: Drawing, rows: Rows, view: View) -> list[tuple[str, float, float, float]]:
    """Texts with their places, where there is room for them."""
    first = (
        LABELS_FROM if drawing.layer.publish.feature_zoom else drawing.layer.publish.min_zoom + 1
    )
    if rows.far or view.zoom() < first or len(rows.names) > _MOST_NAMED:
        return []
    found = []
    for name, shape in zip(rows.names, rows.shapes, strict=True):
        if not name:
            continue
        place, angle = shape.centroid, 0.0
        if drawing.kind == "area":
            place = shape.point_on_surface()
        elif drawing.kind == "line":
            longest = max(shapely.get_parts(shape), key=lambda one: one.length)
            place = longest.interpolate(0.5, normalized=True)
            angle = _along(longest)
        found.append((name, place.x, place.y - 10 * (drawing.kind == "point"), angle))
    return found


def _along(line: shapely.LineString) -> float:
    """The direction of the middle of ``line`` in degrees, readable from below."""
    one = line.interpolate(0.45, normalized=True)
    two = line.interpolate(0.55, normalized=True)
    angle = float(np.degrees(np.arctan2(one.y - two.y, two.x - one.x)))
    return (angle + 90) % 180 - 90


def font(site: Site) -> Path:
    """The font of pictures."""
    return legend.font(site.config)
