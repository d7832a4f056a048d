"""Vector tiles straight from PostGIS: integer SRIDs, chosen fields, simplified by zoom, bounded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import shapely
from psycopg import sql
from shapely.geometry.base import BaseGeometry

from pipeline.derive.columns import GEOMETRY, ID
from pipeline.serve import crs
from pipeline.serve.clause import template
from pipeline.serve.query import Statement
from pipeline.serve.served import Served

GRID = "WebMercatorQuad"
EXTENT = 4096
_BUFFER = 64
_PIXELS = 256
_WORLD = 2 * 20_037_508.342789244
_WEB_MERCATOR = 3857
_EDGE_POINTS = 20


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of the web-mercator grid; ``row`` counts from the north."""

    zoom: int
    row: int
    column: int

    @property
    def exists(self) -> bool:
        """Whether the grid has this tile."""
        side = 1 << self.zoom
        return 0 <= self.row < side and 0 <= self.column < side

    @property
    def size(self) -> float:
        """Metres (of web mercator) along an edge."""
        return _WORLD / (1 << self.zoom)

    def bounds(self, buffer: float = 0.0) -> crs.Bounds:
        """The tile's box, widened by ``buffer`` of its size on each side."""
        edge = self.size * buffer
        left = self.column * self.size - _WORLD / 2
        top = _WORLD / 2 - self.row * self.size
        return (left - edge, top - self.size - edge, left + self.size + edge, top + edge)


def statement(served: Served, tile: Tile, *, max_rows: int) -> Statement | None:
    """The query for a tile; None when the tile lies wholly outside the city."""
    domain = crs.domain(served.city, _WEB_MERCATOR)
    bounds = tile.bounds(_BUFFER / EXTENT)
    if not shapely.box(*bounds).intersects(shapely.box(*domain)):
        return None
    cut = shapely.box(*bounds).intersection(shapely.box(*domain)).bounds
    bent = crs.transform(crs.ring(cut, _EDGE_POINTS), _WEB_MERCATOR, served.city.srid)
    unit = _stored_per_mercator(bent, cut)
    simplified = tile.zoom < served.layer.publish.max_zoom
    values: dict[str, Any] = {
        "name": served.id,
        "extent": EXTENT,
        "buffer": _BUFFER,
        "z": tile.zoom,
        "x": tile.column,
        "y": tile.row,
        "box": crs.rectangle(bent.bounds, served.city.srid),
        "rows": max_rows,
        "grid": tile.size / EXTENT * unit,
        "pixel": tile.size / _PIXELS * unit,
    }
    return Statement(_sql(served, simplified), values)


def _stored_per_mercator(bent: BaseGeometry, cut: crs.Bounds) -> float:
    """Units of the stored CRS in one web-mercator metre, hereabouts."""
    width = cut[2] - cut[0]
    if width <= 0:
        return 1.0
    stored: float = bent.bounds[2] - bent.bounds[0]
    return stored / width


@lru_cache(maxsize=256)
def _sql(served: Served, simplified: bool) -> bytes:
    geom = sql.Identifier(GEOMETRY)
    flat = served.layer.geometry is not None and "Point" in served.layer.geometry.type
    columns = [sql.SQL("v.") + sql.Identifier(name) for name in (ID, *served.tile_fields)]
    shape: sql.Composable = sql.SQL("v.") + geom
    visible: sql.Composable = sql.SQL("true")
    if simplified and not flat:
        shape = template("tile_shape").format(geom=geom)
        visible = template("tile_visible").format(geom=geom)
    made = template("tile").format(
        columns=sql.SQL(", ").join(columns),
        shape=shape,
        view=served.view,
        geom=geom,
        visible=visible,
    )
    return made.as_bytes(None)
