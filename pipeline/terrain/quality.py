"""How good a surface is: withheld spots, terraces, pits and spikes, flat ground, seams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.terrain.grid import Floats, Grid, Heights, Mask

FLAT_DEG = 0.02
_WITHHELD = 0.2
_FEWEST_WITHHELD = 10
_SEED = 1387
_BAND = 0.05  # of the interval, on each side of a contour's height
_PIT_SHARE = 0.25  # of the interval


@dataclass(slots=True)
class Counts:
    """What is counted over the cells as they pass."""

    interval: float
    cell_m: float
    cells: int = 0
    flat: int = 0
    at_level: int = 0
    pits: int = 0
    spikes: int = 0
    low: float = np.inf
    high: float = -np.inf

    def add(self, z: Heights, inner: tuple[slice, slice], valid: Mask) -> None:
        """Counts the ``inner`` cells of ``z``, which has a margin where there are neighbours."""
        if not valid.any():
            return
        down, right = np.gradient(z, self.cell_m)
        slope = np.hypot(down, right)[inner][valid]
        values = z[inner][valid]
        self.cells += len(values)
        self.flat += int(np.count_nonzero(slope < np.tan(np.radians(FLAT_DEG))))
        self.low, self.high = (
            min(self.low, float(values.min())),
            max(self.high, float(values.max())),
        )
        if self.interval:
            self._against_levels(values)
            self._lone(z, inner, valid)

    def _against_levels(self, values: NDArray[np.float32]) -> None:
        step = values / self.interval
        self.at_level += int(np.count_nonzero(np.abs(step - np.round(step)) < _BAND))

    def _lone(self, z: Heights, inner: tuple[slice, slice], valid: Mask) -> None:
        """Cells lower or higher than all eight round them by a quarter of the interval."""
        wide = np.pad(z, 1, mode="edge")
        rows, columns = z.shape
        round_it = [
            wide[1 + r : 1 + r + rows, 1 + c : 1 + c + columns]
            for r in (-1, 0, 1)
            for c in (-1, 0, 1)
            if r or c
        ]
        limit = _PIT_SHARE * self.interval
        lowest, highest = np.minimum.reduce(round_it), np.maximum.reduce(round_it)
        self.pits += int(np.count_nonzero((lowest - z > limit)[inner] & valid))
        self.spikes += int(np.count_nonzero((z - highest > limit)[inner] & valid))

    @property
    def flat_share(self) -> float:
        """Share of cells less steep than FLAT_DEG."""
        return self.flat / self.cells if self.cells else 0.0

    @property
    def terracing(self) -> float:
        """How much more ground lies at contour heights than chance would have it; 1 is none."""
        if not self.cells or not self.interval:
            return 1.0
        return self.at_level / self.cells / (2 * _BAND)


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Spots that were not used, against the surface without them; metres."""

    count: int
    rmse_m: float
    mean_m: float
    largest_m: float
    residuals: Floats


def withheld(spots: Floats) -> Mask:
    """Which fifth of the spots is kept back: the same ones each time; none if they are too few."""
    chosen = np.zeros(len(spots), dtype=bool)
    count = round(len(spots) * _WITHHELD)
    if count >= _FEWEST_WITHHELD:
        order = np.random.default_rng(_SEED).permutation(len(spots))
        chosen[order[:count]] = True
    return chosen


def hold_out(grid: Grid, heights: Heights, spots: Floats) -> HoldOut:
    """The surface made without ``spots``, against them."""
    missed = at(grid, heights, spots) - spots[:, 2]
    missed = missed[np.isfinite(missed)]
    rmse = float(np.sqrt(np.mean(missed**2)))
    largest = float(np.abs(missed).max())
    return HoldOut(len(missed), rmse, float(missed.mean()), largest, missed)


def at(grid: Grid, heights: Heights, points: Floats) -> Floats:
    """Heights at ``points`` between four cell centres (bilinear); the edge cell's at the border."""
    row, column = grid.position(points)
    row = np.clip(row - 0.5, 0, grid.rows - 1)
    column = np.clip(column - 0.5, 0, grid.columns - 1)
    r = np.minimum(row.astype(np.int64), max(grid.rows - 2, 0))
    c = np.minimum(column.astype(np.int64), max(grid.columns - 2, 0))
    down, right = row - r, column - c
    below, beside = np.minimum(r + 1, grid.rows - 1), np.minimum(c + 1, grid.columns - 1)
    upper = heights[r, c] * (1 - right) + heights[r, beside] * right
    lower = heights[below, c] * (1 - right) + heights[below, beside] * right
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float64)
