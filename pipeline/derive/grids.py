"""Grids of tiles: web mercator, and one in the city's own CRS so that no tile is bent.

A UTM zone has the grid of OGC's family (UTM31WGS84Quad and its like, 17-083r4 annex D); any other
CRS has squares round the city, as large as those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS

from pipeline.contracts.city import City

WEB = "WebMercatorQuad"
PIXELS = 256
DEEPEST = 24
_WEB_SRID = 3857
_WEB_WORLD = 2 * 20_037_508.342789244
_UTM_HEIGHT = 40_007_862.9172512
_UTM_ORIGIN = (-9_501_965.72931276, 20_003_931.4586255)
_PIXEL_M = 0.00028
Bounds = tuple[float, float, float, float]
Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A quadtree of square tiles; ``side`` is the edge of the square of level 0 in units of the CRS
    and ``origin`` its north-western corner. ``narrow``: only its western half is there."""

    id: str
    title: str
    srid: int
    origin: tuple[float, float]
    side: float
    metres_per_unit: float = 1.0
    narrow: bool = False
    uri: str | None = None
    scales: str | None = None
    axes: tuple[str, str] = ("E", "N")

    @property
    def crs_uri(self) -> str:
        """The CRS as OGC names it."""
        return f"http://www.opengis.net/def/crs/EPSG/0/{self.srid}"

    def size(self, zoom: int) -> float:
        """The edge of a tile, in units of the CRS."""
        return self.side / (1 << zoom)

    def shape(self, zoom: int) -> tuple[int, int]:
        """Rows and columns of a level."""
        return 1 << zoom, (1 << zoom) >> self.narrow

    def has(self, tile: Tile) -> bool:
        """Whether the grid has this tile."""
        if not self.narrow <= tile.zoom <= DEEPEST:
            return False
        rows, columns = self.shape(tile.zoom)
        return 0 <= tile.row < rows and 0 <= tile.column < columns

    def bounds(self, tile: Tile, buffer: float = 0.0) -> Bounds:
        """The tile's box, widened by ``buffer`` of its size on each side."""
        size = self.size(tile.zoom)
        left, top = self.origin[0] + tile.column * size, self.origin[1] - tile.row * size
        edge = size * buffer
        return (left - edge, top - size - edge, left + size + edge, top + edge)

    def spans(self, boxes: Boxes, zoom: int) -> npt.NDArray[np.int64]:
        """First and last row and column (n, 4: row, row, column, column) of the tiles that
        ``boxes`` (n, 4, in the grid's CRS) meet, cut at the edge of the grid."""
        size = self.size(zoom)
        columns = (boxes[:, [0, 2]] - self.origin[0]) / size
        rows = (self.origin[1] - boxes[:, [3, 1]]) / size
        most = np.array(self.shape(zoom)).repeat(2) - 1
        return np.clip(np.floor(np.hstack([rows, columns])), 0, most).astype(np.int64)

    def matrix(self, zoom: int) -> dict[str, Any]:
        """The tile matrix of a level in the words of OGC."""
        cell = self.size(zoom) / PIXELS
        rows, columns = self.shape(zoom)
        return {
            "id": str(zoom),
            "scaleDenominator": cell * self.metres_per_unit / _PIXEL_M,
            "cellSize": cell,
            "cornerOfOrigin": "topLeft",
            "pointOfOrigin": list(self.origin),
            "tileWidth": PIXELS,
            "tileHeight": PIXELS,
            "matrixWidth": columns,
            "matrixHeight": rows,
        }

    def definition(self) -> dict[str, Any]:
        """The tile matrix set (OGC 17-083r4, JSON)."""
        named = {"uri": self.uri, "wellKnownScaleSet": self.scales}
        return {
            "id": self.id,
            "title": self.title,
            **{name: value for name, value in named.items() if value},
            "crs": self.crs_uri,
            "orderedAxes": list(self.axes),
            "tileMatrices": [self.matrix(zoom) for zoom in range(self.narrow, DEEPEST + 1)],
        }


@dataclass(frozen=True, slots=True)
class Tile:
    """A place in a grid; ``row`` counts from the north."""

    zoom: int
    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.zoom}/{self.row}/{self.column}"


WEB_MERCATOR = Grid(
    id=WEB,
    title="Google Maps Compatible for the World",
    srid=_WEB_SRID,
    origin=(-_WEB_WORLD / 2, _WEB_WORLD / 2),
    side=_WEB_WORLD,
    uri=f"http://www.opengis.net/def/tilematrixset/OGC/1.0/{WEB}",
    scales="http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible",
    axes=("X", "Y"),
)


def of(city: City) -> dict[str, Grid]:
    """The grids that ``city`` has tiles in, the default first."""
    return offered(city.srid, city.extent.bounds)


def offered(srid: int, extent: Bounds) -> dict[str, Grid]:
    """The grids of a city with this CRS and extent."""
    return {grid.id: grid for grid in (WEB_MERCATOR, _own(srid, extent))}


@cache
def _own(srid: int, extent: Bounds) -> Grid:
    found = CRS.from_epsg(srid)
    zone = found.utm_zone if 32600 < srid < 32700 else None
    if zone:
        number = zone[:-1]
        title = f"Universal Transverse Mercator Zone {number} WGS84 Quad"
        return Grid(f"UTM{number}WGS84Quad", title, srid, _UTM_ORIGIN, _UTM_HEIGHT, narrow=True)
    unit = float(found.axis_info[0].unit_conversion_factor)
    side = _UTM_HEIGHT / unit
    west, south, east, north = extent
    origin = (round((west + east - side) / 2), round((south + north + side) / 2))
    title = f"{found.name}, squares round the city"
    return Grid(f"EPSG{srid}Quad", title, srid, origin, side, unit)
