"""The grid of a surface, its coarser levels, and the tiles that it is worked in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Heights = NDArray[np.float32]
Mask = NDArray[np.bool_]
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """Square cells of ``cell`` CRS units; ``west``, ``north`` are outer edges; row 0 is north."""

    west: float
    north: float
    cell: float
    rows: int
    columns: int

    @classmethod
    def over(cls, bounds: Bounds, cell: float) -> Grid:
        """The grid over ``bounds`` (xmin, ymin, xmax, ymax), edges at multiples of ``cell``."""
        west, south, east, north = (value / cell for value in bounds)
        west, north = np.floor(west), np.ceil(north)
        rows, columns = int(np.ceil(north - south)), int(np.ceil(east - west))
        return cls(float(west * cell), float(north * cell), cell, max(rows, 1), max(columns, 1))

    @property
    def transform(self) -> Affine:
        """Pixel corners (column, row) to coordinates."""
        return Affine(self.cell, 0.0, self.west, 0.0, -self.cell, self.north)

    @property
    def bounds(self) -> Bounds:
        """Outer edges: xmin, ymin, xmax, ymax."""
        east = self.west + self.columns * self.cell
        return (self.west, self.north - self.rows * self.cell, east, self.north)

    def coarser(self) -> Grid:
        """The same area in cells twice as large."""
        half = ((self.rows + 1) // 2, (self.columns + 1) // 2)
        return Grid(self.west, self.north, self.cell * 2, *half)

    def part(self, tile: Tile) -> Grid:
        """The grid of a tile with its margin."""
        west = self.west + tile.left * self.cell
        north = self.north - tile.top * self.cell
        return Grid(west, north, self.cell, tile.bottom - tile.top, tile.right - tile.left)

    def position(self, points: Floats) -> tuple[Floats, Floats]:
        """Row and column of ``points`` (n, 2 or more) in cells; a cell's centre is at .5."""
        return (self.north - points[:, 1]) / self.cell, (points[:, 0] - self.west) / self.cell


@dataclass(frozen=True, slots=True)
class Tile:
    """Cells ``top`` to ``bottom``, ``left`` to ``right`` with a margin round its ``core``
    (first row, end row, first column, end column), which is what it is responsible for."""

    top: int
    bottom: int
    left: int
    right: int
    core: tuple[int, int, int, int]

    @property
    def slices(self) -> tuple[slice, slice]:
        """The tile with its margin, in the whole."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def kept(self) -> tuple[slice, slice]:
        """The core, in the whole."""
        first, end, left, right = self.core
        return slice(first, end), slice(left, right)

    @property
    def inner(self) -> tuple[slice, slice]:
        """The core, in the tile."""
        first, end, left, right = self.core
        return (
            slice(first - self.top, end - self.top),
            slice(left - self.left, right - self.left),
        )


def tiles(grid: Grid, side: int, margin: int) -> Iterator[Tile]:
    """Tiles of ``side`` cells with ``margin`` round them, inside the grid; from the north-west."""
    for first in range(0, grid.rows, side):
        end = min(first + side, grid.rows)
        for left in range(0, grid.columns, side):
            right = min(left + side, grid.columns)
            yield Tile(
                max(first - margin, 0),
                min(end + margin, grid.rows),
                max(left - margin, 0),
                min(right + margin, grid.columns),
                (first, end, left, right),
            )
