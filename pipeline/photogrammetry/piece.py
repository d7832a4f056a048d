"""One frame's orthophoto as a piece of a mosaic: where it lies in the common grid of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from pipeline.photogrammetry.block import Frame
from pipeline.spread import store
from pipeline.terrain.grid import Grid

Values = NDArray[np.float32]
Valid = NDArray[np.bool_]
Span = tuple[int, int, int, int]  # first row, end row, first column, end column of common cells


@dataclass(frozen=True, slots=True)
class Piece:
    """``place`` is its file's path or address; ``nadir`` the point below the projection centre, in
    the city's CRS."""

    frame: Frame
    place: str
    grid: Grid

    @property
    def nadir(self) -> tuple[float, float]:
        """East and north."""
        return float(self.frame.point.x), float(self.frame.point.y)

    def span(self, origin: Grid) -> Span:
        """The cells of ``origin``'s lattice that it fills."""
        top = round((origin.north - self.grid.north) / self.grid.cell)
        left = round((self.grid.west - origin.west) / self.grid.cell)
        return top, top + self.grid.rows, left, left + self.grid.columns

    def read(self, span: Span, origin: Grid, coarser: int = 1) -> tuple[Values, Valid]:
        """Values (bands, rows, columns) and which are valid, of a span inside its own."""
        top, _, left, _ = self.span(origin)
        first, end, west, east = span
        window = Window(west - left, first - top, east - west, end - first)
        shape = ((end - first) // coarser, (east - west) // coarser)
        with rasterio.open(store.local(self.place)) as dataset:
            how: dict[str, Any] = {"window": window, "resampling": Resampling.average}
            values = dataset.read(out_shape=(dataset.count, *shape), **how)
            valid = dataset.read_masks(1, window=window, out_shape=shape) > 0
        return values.astype(np.float32), valid


def whole(pieces: list[Piece]) -> Grid:
    """The grid that all of them fill."""
    boxes = np.array([piece.grid.bounds for piece in pieces])
    west, south, east, north = *boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)
    cell = pieces[0].grid.cell
    size = round((north - south) / cell), round((east - west) / cell)
    return Grid(float(west), float(north), cell, *size)


def common(one: Span, other: Span, multiple: int = 1) -> Span | None:
    """The span of both, its edges at multiples; None if there is none."""
    first, west = max(one[0], other[0]), max(one[2], other[2])
    end, east = min(one[1], other[1]), min(one[3], other[3])
    first, west = -(-first // multiple) * multiple, -(-west // multiple) * multiple
    end, east = end // multiple * multiple, east // multiple * multiple
    return (first, end, west, east) if first < end and west < east else None


def pairs(pieces: list[Piece], origin: Grid, multiple: int = 1) -> list[tuple[int, int, Span]]:
    """Every two pieces that overlap, and where."""
    spans = [piece.span(origin) for piece in pieces]
    found = []
    for i, one in enumerate(spans):
        for j in range(i + 1, len(spans)):
            both = common(one, spans[j], multiple)
            if both is not None:
                found.append((i, j, both))
    return found
