"""The smoothest surface that agrees with the survey, on one array of cells.

Minimised is the sum over the cells of squared bending (second differences) times ``STIFFNESS``,
plus the squared misfit of every surveyed cell. A contour may be missed by its slack (a twentieth
of the interval) almost for free: a drawn line is not more exact than that, and without it the
ground between two bends of one contour becomes a flat terrace. Across a breakline nothing bends.
Solved by conjugate gradients from a good first guess, the next coarser level.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.terrain.grid import Floats, Grid, Heights, Mask
from pipeline.terrain.survey import SPOT_WEIGHT, Segments

STIFFNESS = 0.3
_ROUNDS = 10
_PULL = 0.1  # of a misfit within the slack
_DIAGONAL = 20.0 * STIFFNESS
_ALONG = np.array([[1, -2, 1]], np.float32)
_ACROSS = _ALONG.T.copy()
_TWIST = np.array([[1, -1], [-1, 1]], np.float32)


@dataclass(frozen=True, slots=True)
class Observed:
    """The survey by cells: whether one is surveyed, the mean height of its samples, where they
    lie from its centre (in cells, right and down), how far they may be missed; and whether a
    breakline runs through."""

    known: Heights
    height: Heights
    right: Heights
    down: Heights
    slack: Heights
    broken: Mask

    @property
    def count(self) -> int:
        """How many cells are surveyed."""
        return int(np.count_nonzero(self.known))


def observe(grid: Grid, segments: Segments, spots: Floats, slack: float, base: float) -> Observed:
    """The survey by cells of ``grid``, heights less ``base``."""
    lines, drawn = segments.near(grid).samples(grid.cell)
    points = np.vstack([lines, spots[:, :3]])
    is_spot = np.arange(len(points)) >= len(lines)
    allowed = np.where(np.append(drawn, np.zeros(len(spots), dtype=bool)), slack, 0.0)
    row, column = grid.position(points)
    inside = (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
    broken = np.zeros((grid.rows, grid.columns), dtype=bool)
    on_break = inside & ~is_spot & (allowed == 0.0)
    broken[row[on_break].astype(np.int64), column[on_break].astype(np.int64)] = True
    inside &= np.isfinite(points[:, 2])
    row, column, points = row[inside], column[inside], points[inside]
    weight = np.where(is_spot[inside], SPOT_WEIGHT, 1.0)
    r, c = row.astype(np.int64), column.astype(np.int64)
    cell = r * grid.columns + c
    total = np.bincount(cell, weight, grid.rows * grid.columns)
    known = total > 0
    total[~known] = 1.0

    def mean(values: Floats) -> Heights:
        whole = np.bincount(cell, weight * values, len(total)) / total
        return whole.reshape(grid.rows, grid.columns).astype(np.float32)

    shape = (grid.rows, grid.columns)
    return Observed(
        known.reshape(shape).astype(np.float32),
        mean(points[:, 2] - base),
        mean(column - c - 0.5),
        mean(row - r - 0.5),
        mean(allowed[inside]),
        broken,
    )


class Bending:
    """The bending of a surface, none of it across a breakline."""

    def __init__(self, broken: Mask) -> None:
        self._whole = None
        if broken.any():
            twisted = broken.copy()
            twisted[:-1] |= broken[1:]
            twisted[:, :-1] |= twisted[:, 1:].copy()
            self._whole = (~broken).astype(np.float32), (~twisted).astype(np.float32)

    def force(self, z: Heights) -> Heights:
        """Half the gradient of the bending energy at ``z``, times STIFFNESS; linear in ``z``."""
        along = _filter(z, _ALONG)
        along[:, [0, -1]] = 0
        across = _filter(z, _ACROSS)
        across[[0, -1]] = 0
        twist = _filter(z, _TWIST, (0, 0))
        twist[:, -1] = 0
        twist[-1] = 0
        if self._whole is not None:
            smooth, untwisted = self._whole
            along *= smooth
            across *= smooth
            twist *= untwisted
        result = _filter(along, _ALONG)
        result += _filter(across, _ACROSS)
        twist *= 2
        result += _filter(twist, _TWIST, (1, 1))
        result *= STIFFNESS
        return result


def _filter(values: Heights, kernel: Heights, anchor: tuple[int, int] = (-1, -1)) -> Heights:
    # Zero outside: with the border rows of the result set to 0, the filter is its own transpose.
    made = cv2.filter2D(values, cv2.CV_32F, kernel, anchor=anchor, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(made, dtype=np.float32)


def settle(z: Heights, seen: Observed, passes: int) -> Heights:
    """``z``, a first guess, brought ``passes`` times nearer to the surface; changed in place.

    Each pass takes the slope under the samples and what the slack forgives from the one before.
    """
    bending = Bending(seen.broken)
    # Beside a breakline the slope of the cells is none of the ground's.
    beside = cv2.dilate(seen.broken.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    aside = np.where(beside, 0, seen.right), np.where(beside, 0, seen.down)
    for _ in range(passes):
        down, right = np.gradient(z) if min(z.shape) > 1 else (np.zeros_like(z),) * 2
        moved = right * aside[0] + down * aside[1]
        missed = z + moved - seen.height
        forgiven = (1 - _PULL) * np.clip(missed, -seen.slack, seen.slack)
        target = seen.known * (seen.height - moved + forgiven)
        z = _descend(z, seen.known, target.astype(np.float32), bending)
    return z


def _dot(one: Heights, other: Heights) -> float:
    """Line by line, since the sum that BLAS makes depends on how many threads it has."""
    return float(np.einsum("ij,ij->i", one, other).sum(dtype=np.float64))


def _descend(z: Heights, known: Heights, target: Heights, bending: Bending) -> Heights:
    """Preconditioned conjugate gradients for (known + bending) z = target, from ``z``."""
    inverse = 1.0 / (known + np.float32(_DIAGONAL))
    rest = target - known * z - bending.force(z)
    step = inverse * rest
    rho = _dot(rest, step)
    y = np.empty_like(z)
    for _ in range(_ROUNDS):
        if rho < 1e-9:
            break
        forced = known * step
        forced += bending.force(step)
        share = np.float32(rho / _dot(step, forced))
        z += share * step
        rest -= share * forced
        np.multiply(inverse, rest, out=y)
        after = _dot(rest, y)
        step *= np.float32(after / rho)
        step += y
        rho = after
    return z
