"""Vector tiles straight from PostGIS: integer SRIDs, chosen fields, simplified by zoom, bounded.

A tile can be made in several ways (``Way``), from the richest to the barest: ``ways`` gives those
that a zoom level allows, in that order, and who makes tiles takes the first that is small enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from psycopg import sql

from pipeline.derive import generalised
from pipeline.derive.columns import GEOMETRY, ID
from pipeline.derive.grids import Grid, Tile
from pipeline.serve import crs, reach
from pipeline.serve.clause import template
from pipeline.serve.query import Statement
from pipeline.serve.served import Served

EXTENT = 4096
BUFFER = 64 / EXTENT
_PIXELS = 256
_AFFINE = ("a", "b", "d", "e", "dx", "dy")
_PIXEL_AFFINE = ("pixel_a", "pixel_b", "pixel_d", "pixel_e", "pixel_dx", "pixel_dy")


@dataclass(frozen=True, slots=True)
class Way:
    """How a tile is made: the features with ``rich`` or with few fields, the ``rows`` largest of
    them, or (``level``) what the layer looks like from afar at that zoom level."""

    rich: bool = True
    level: int | None = None
    rows: int | None = None


def ways(served: Served, zoom: int, *, from_afar: bool) -> Iterator[Way]:
    """The ways to make a tile of ``zoom``; ``from_afar``: whether generalised shapes are there."""
    levels = served.levels if from_afar else range(0)
    if zoom not in levels:
        first = served.levels and zoom == served.levels.stop
        if not first:
            yield Way()
        yield Way(rich=False)
    for level in reversed(levels):
        if level <= zoom:
            yield Way(level=level)


def statement(
    served: Served, grid: Grid, tile: Tile, way: Way, *, max_rows: int
) -> Statement | None:
    """The query for a tile; None when the tile lies wholly outside the city."""
    bounds = grid.bounds(tile, BUFFER)
    part = reach.cut(grid, bounds, served.city)
    if part is None:
        return None
    straight = reach.straight(grid, tile, served.city, BUFFER)
    if straight and part == bounds:
        box, unit = straight.around, straight.unit(bounds)
    else:
        box, unit = reach.moved_part(grid, part, served.city)
    size = grid.size(tile.zoom)
    values: dict[str, Any] = {
        "name": served.id,
        "extent": EXTENT,
        "buffer": round(BUFFER * EXTENT),
        "envelope": crs.rectangle(grid.bounds(tile), grid.srid),
        "box": crs.rectangle(box, served.city.srid),
        "rows": way.rows or max_rows,
        "grid": size / EXTENT * unit,
        "pixel": size / _PIXELS * unit,
    }
    if straight:
        values |= zip(_AFFINE, straight.numbers, strict=True)
        values |= zip(_PIXEL_AFFINE, straight.pixels(grid, tile, EXTENT), strict=True)
    inside = straight.inside if straight else None
    if inside:
        values["inside"] = crs.rectangle(inside, served.city.srid)
    bent = grid.srid != served.city.srid
    move = _Move(grid.srid, bent=bent, straight=straight is not None, inside=inside is not None)
    if way.level is not None:
        return Statement(_far(served, move, way.level), values)
    whole = tile.zoom >= served.layer.publish.max_zoom
    values["codes"] = list(_told(served, tile.zoom)[1])
    return Statement(_near(served, move, tile.zoom, way, whole), values)


class _Move(NamedTuple):
    """How shapes get into a tile: in the CRS of the grid as they are, by PROJ, or by the tile's six
    numbers; those that lie ``inside`` without being cut."""

    srid: int
    bent: bool
    straight: bool
    inside: bool

    def __call__(self, shape: sql.Composable, *, flat: bool = False) -> sql.Composable:
        """SQL for ``shape`` as the tile has it; ``flat``: of points."""
        moved = shape
        if self.bent:
            name = "tile_straight" if self.straight else "tile_bent"
            moved = template(name).format(shape=shape, srid=sql.Literal(self.srid))
        cut = template("tile_cut").format(shape=moved)
        if not self.inside:
            return cut
        whole = template("tile_flat" if flat else "tile_whole").format(shape=shape)
        return template("tile_drawn").format(geom=sql.Identifier(GEOMETRY), whole=whole, cut=cut)


@lru_cache(maxsize=1024)
def _near(served: Served, move: _Move, zoom: int, way: Way, whole: bool) -> bytes:
    """The features themselves."""
    geom = sql.Identifier(GEOMETRY)
    flat = served.layer.geometry is not None and "Point" in served.layer.geometry.type
    names = served.tile_fields if way.rich else served.class_fields
    shape: sql.Composable = sql.SQL("v.") + geom
    conditions: list[sql.Composable] = [_told(served, zoom)[0]]
    if not whole and not flat:
        shape = template("tile_shape").format(geom=geom)
        conditions.append(template("tile_visible").format(geom=geom))
    columns = [sql.SQL("v.") + sql.Identifier(name) for name in (ID, *names)]
    made = template("tile").format(
        columns=sql.SQL(", ").join(columns),
        drawn=move(shape, flat=flat),
        view=served.view,
        geom=geom,
        visible=sql.SQL(" AND ").join(conditions),
        order=template("tile_largest").format(geom=geom) if way.rows else sql.SQL(""),
    )
    return made.as_bytes(None)


@lru_cache(maxsize=1024)
def _told(served: Served, zoom: int) -> tuple[sql.Composable, tuple[str, ...]]:
    """The condition that leaves out classes that are drawn further in only, and its codes."""
    if not served.class_fields:
        return sql.SQL("true"), ()
    (field,) = served.class_fields
    drawn = {one.code: one.min_zoom <= zoom for one in served.layer.style.classes}
    rest = drawn.pop(None, True)
    if rest and all(drawn.values()):
        return sql.SQL("true"), ()
    codes = tuple(code for code, seen in drawn.items() if code is not None and seen != rest)
    name = "tile_class_hidden" if rest else "tile_class_shown"
    return template(name).format(field=sql.Identifier(field)), codes


@lru_cache(maxsize=1024)
def _far(served: Served, move: _Move, level: int) -> bytes:
    """What the layer looks like from afar."""
    # What it shows is no feature that could be asked for by its id.
    columns: list[sql.Composable] = [sql.SQL("NULL::bigint AS {}").format(sql.Identifier(ID))]
    columns += [
        sql.SQL("v.{} AS {}").format(sql.Identifier(generalised.CODE), sql.Identifier(name))
        for name in served.class_fields
    ]
    at_level = sql.SQL("v.{} = {}").format(sql.Identifier(generalised.ZOOM), sql.Literal(level))
    geom = sql.Identifier(GEOMETRY)
    made = template("tile").format(
        columns=sql.SQL(", ").join(columns),
        drawn=move(sql.SQL("v.") + geom),
        view=served.far_view,
        geom=geom,
        visible=at_level,
        order=sql.SQL(""),
    )
    return made.as_bytes(None)
