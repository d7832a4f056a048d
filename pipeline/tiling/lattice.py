"""The lattice of a city: square cells, a pixel large at each zoom level, and chunks of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from pipeline.contracts.city import City

Boxes = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Cells along the edge of a chunk: half a tile.
CHUNK = 256
_TILE_PIXELS = 512
_EQUATOR_M = 2 * math.pi * 6_378_137.0


@dataclass(frozen=True)
class Lattice:
    """Cells count from the north-western corner of the city's extent; those of a level are four of
    the next finer one. Lengths are in units of the city's CRS."""

    west: float
    north: float
    widest: float

    @classmethod
    def of(cls, city: City) -> Lattice:
        """The lattice of ``city``: a cell is a pixel of web mercator at its latitude."""
        west, south, east, north = city.extent.bounds
        across = Transformer.from_crs(city.srid, 4326, always_xy=True)
        _, latitude = across.transform((west + east) / 2, (south + north) / 2)
        metres = _EQUATOR_M / _TILE_PIXELS * math.cos(math.radians(latitude))
        return cls(west, north, metres / city.metres_per_unit)

    def cell(self, zoom: int) -> float:
        """The edge of a cell at ``zoom``."""
        return self.widest / (1 << zoom)

    def edge(self, zoom: int) -> float:
        """The edge of a chunk at ``zoom``."""
        return CHUNK * self.cell(zoom)

    def chunks(self, boxes: Boxes, zoom: int) -> Ints:
        """Chunks (m, 2: across, down) that ``boxes`` (n, 4: xmin, ymin, xmax, ymax) meet."""
        if not len(boxes):
            return np.zeros((0, 2), dtype=np.int64)
        first = self.holding(boxes[:, [0, 3]], zoom)
        last = self.holding(boxes[:, [2, 1]], zoom)
        spans = np.unique(np.hstack([first, last]), axis=0)
        grids = [
            np.stack(np.meshgrid(np.arange(a, c + 1), np.arange(b, d + 1)), axis=-1).reshape(-1, 2)
            for a, b, c, d in spans.tolist()
        ]
        return np.unique(np.concatenate(grids), axis=0)

    def holding(self, points: Boxes, zoom: int) -> Ints:
        """The chunk (n, 2) of each of ``points`` (n, 2)."""
        edge = self.edge(zoom)
        across = np.floor((points[:, 0] - self.west) / edge)
        down = np.floor((self.north - points[:, 1]) / edge)
        return np.column_stack([across, down]).astype(np.int64)

    def boxes(self, chunks: Ints, zoom: int) -> Boxes:
        """The boxes (m, 4) of ``chunks``."""
        edge = self.edge(zoom)
        left = self.west + chunks[:, 0] * edge
        top = self.north - chunks[:, 1] * edge
        return np.column_stack([left, top - edge, left + edge, top])
