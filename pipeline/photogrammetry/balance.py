"""Colours of overlapping orthophotos made alike: a gain and an offset a frame and band, at once.

First pass: quantiles of both frames in each overlap, from reduced pixels. Then one least-squares
problem over the whole block, held near gain 1 and offset 0, so that no frame is the master.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.photogrammetry.piece import Piece, Span
from pipeline.terrain.grid import Floats, Grid

_QUANTILES = (5, 25, 50, 75, 95)
_LONGEST = 256  # reduced pixels along a frame
_FEWEST = 100
_HOLD_GAIN, _HOLD_OFFSET = 40.0, 0.3


#: Numbers of two pieces, and their quantiles (2, bands, quantiles) where both show the ground.
Seen = tuple[int, int, Floats]


@dataclass(frozen=True, slots=True)
class Balance:
    """``gain`` and ``offset`` (frames, bands); mean difference of overlapping frames in grey
    levels before and after."""

    gain: Floats
    offset: Floats
    before: float
    after: float

    def of(self, numbers: list[int]) -> Balance:
        """Of some of the frames."""
        return replace(self, gain=self.gain[numbers], offset=self.offset[numbers])


def reduction(pieces: list[Piece]) -> int:
    """How many cells along a side are one where colours are compared."""
    longest = max(max(piece.grid.rows, piece.grid.columns) for piece in pieces)
    return max(-(-longest // _LONGEST), 1)


def solve(count: int, seen: list[Seen]) -> Balance:
    """Gains and offsets for ``count`` pieces, of what was ``seen`` in their overlaps."""
    bands = seen[0][2].shape[1] if seen else 3
    gain, offset = np.ones((count, bands)), np.zeros((count, bands))
    if not seen:
        return Balance(gain, offset, 0.0, 0.0)
    for band in range(bands):
        gain[:, band], offset[:, band] = _band(count, seen, band)
    return Balance(gain, offset, _difference(seen), _difference(seen, gain, offset))


def quantiles(one: Piece, other: Piece, span: Span, origin: Grid, coarser: int) -> Floats | None:
    """(2, bands, quantiles) of the cells that both show, None if they are too few."""
    first, known = one.read(span, origin, coarser)
    second, also = other.read(span, origin, coarser)
    shown = known & also
    if int(shown.sum()) < _FEWEST:
        return None
    found = [np.percentile(values[:, shown], _QUANTILES, axis=1).T for values in (first, second)]
    return np.asarray(found)


def _band(count: int, seen: list[Seen], band: int) -> tuple[Floats, Floats]:
    """Normal equations over gains (first half) and offsets (second half)."""
    normal = np.zeros((2 * count, 2 * count))
    right = np.zeros(2 * count)
    for i, j, both in seen:
        at = np.array([i, count + i, j, count + j])
        one, other = both[0, band], both[1, band]
        rows = np.column_stack([one, np.ones_like(one), -other, -np.ones_like(other)])
        normal[np.ix_(at, at)] += rows.T @ rows
    gains, offsets = np.arange(count), np.arange(count, 2 * count)
    normal[gains, gains] += _HOLD_GAIN**2
    right[gains] += _HOLD_GAIN**2
    normal[offsets, offsets] += _HOLD_OFFSET**2
    found = np.linalg.solve(normal, right)
    return found[:count], found[count:]


def _difference(
    seen: list[Seen], gain: Floats | None = None, offset: Floats | None = None
) -> float:
    apart = []
    for i, j, both in seen:
        one, other = both
        if gain is not None and offset is not None:
            one = one * gain[i, :, None] + offset[i, :, None]
            other = other * gain[j, :, None] + offset[j, :, None]
        apart.append(np.abs(one - other).mean())
    return float(np.mean(apart))
