"""Colours of overlapping orthophotos made alike: a gain and an offset a frame and band, at once.

First pass: quantiles of both frames in each overlap, from reduced pixels. Then one least-squares
problem over the whole block, held near gain 1 and offset 0, so that no frame is the master.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.photogrammetry.piece import Piece, pairs
from pipeline.terrain.grid import Floats, Grid

_QUANTILES = (5, 25, 50, 75, 95)
_LONGEST = 256  # reduced pixels along a frame
_FEWEST = 100
_HOLD_GAIN, _HOLD_OFFSET = 40.0, 0.3


@dataclass(frozen=True, slots=True)
class Balance:
    """``gain`` and ``offset`` (frames, bands); mean difference of overlapping frames in grey
    levels before and after."""

    gain: Floats
    offset: Floats
    before: float
    after: float


def solve(pieces: list[Piece], origin: Grid) -> Balance:
    """Gains and offsets for all pieces."""
    longest = max(max(piece.grid.rows, piece.grid.columns) for piece in pieces)
    coarser = max(-(-longest // _LONGEST), 1)
    seen = [
        (i, j, quantiles)
        for i, j, span in pairs(pieces, origin, coarser)
        if (quantiles := _quantiles(pieces[i], pieces[j], span, origin, coarser)) is not None
    ]
    bands = seen[0][2].shape[1] if seen else 3
    gain, offset = np.ones((len(pieces), bands)), np.zeros((len(pieces), bands))
    if not seen:
        return Balance(gain, offset, 0.0, 0.0)
    for band in range(bands):
        gain[:, band], offset[:, band] = _band(len(pieces), seen, band)
    return Balance(gain, offset, _difference(seen), _difference(seen, gain, offset))


def _quantiles(
    one: Piece, other: Piece, span: tuple[int, int, int, int], origin: Grid, coarser: int
) -> Floats | None:
    """(2, bands, quantiles) of the cells that both show, None if they are too few."""
    first, known = one.read(span, origin, coarser)
    second, also = other.read(span, origin, coarser)
    both = known & also
    if int(both.sum()) < _FEWEST:
        return None
    found = [np.percentile(values[:, both], _QUANTILES, axis=1).T for values in (first, second)]
    return np.asarray(found)


def _band(count: int, seen: list[tuple[int, int, Floats]], band: int) -> tuple[Floats, Floats]:
    """Normal equations over gains (first half) and offsets (second half)."""
    normal = np.zeros((2 * count, 2 * count))
    right = np.zeros(2 * count)
    for i, j, quantiles in seen:
        at = np.array([i, count + i, j, count + j])
        one, other = quantiles[0, band], quantiles[1, band]
        rows = np.column_stack([one, np.ones_like(one), -other, -np.ones_like(other)])
        normal[np.ix_(at, at)] += rows.T @ rows
    gains, offsets = np.arange(count), np.arange(count, 2 * count)
    normal[gains, gains] += _HOLD_GAIN**2
    right[gains] += _HOLD_GAIN**2
    normal[offsets, offsets] += _HOLD_OFFSET**2
    found = np.linalg.solve(normal, right)
    return found[:count], found[count:]


def _difference(
    seen: list[tuple[int, int, Floats]], gain: Floats | None = None, offset: Floats | None = None
) -> float:
    apart = []
    for i, j, quantiles in seen:
        one, other = quantiles
        if gain is not None and offset is not None:
            one = one * gain[i, :, None] + offset[i, :, None]
            other = other * gain[j, :, None] + offset[j, :, None]
        apart.append(np.abs(one - other).mean())
    return float(np.mean(apart))
