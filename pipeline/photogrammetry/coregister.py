"""How well overlapping orthophotos lie on each other: chips of both, by phase correlation.

Needs no ground truth, so it tells of every block whether orientation and terrain fit each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.photogrammetry.piece import Piece, Span
from pipeline.terrain.grid import Floats, Grid

CHIP = 64
_MOST = 60  # chips a pair
_CLEAR = 0.1  # response below which nothing was recognised


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two frames: chips compared, and root mean square and median displacement in pixels."""

    one: str
    other: str
    chips: int
    rmse_px: float
    median_px: float


def compare(one: Piece, other: Piece, span: Span, origin: Grid) -> Agreement | None:
    """How two pieces agree over ``span``; None where fewer than three chips are recognisable."""
    cv2.setNumThreads(1)
    shifts = _shifts(one, other, span, origin)
    if len(shifts) < 3:
        return None
    length = np.hypot(*shifts.T)
    rmse, median = float(np.sqrt((length**2).mean())), float(np.median(length))
    return Agreement(one.frame.name, other.frame.name, len(shifts), rmse, median)


def _shifts(one: Piece, other: Piece, span: Span, origin: Grid) -> Floats:
    """Displacements (n, 2) of chips over the overlap."""
    first, end, west, east = span
    rows, columns = (end - first) // CHIP, (east - west) // CHIP
    places = np.array([(r, c) for r in range(rows) for c in range(columns)], dtype=np.int64)
    order = np.random.default_rng(7).permutation(len(places))[: 4 * _MOST]
    window = cv2.createHanningWindow((CHIP, CHIP), cv2.CV_32F)
    found: list[tuple[float, float]] = []
    for row, column in places[order]:
        top, left = first + int(row) * CHIP, west + int(column) * CHIP
        chip = (top, top + CHIP, left, left + CHIP)
        values, known = one.read(chip, origin)
        others, also = other.read(chip, origin)
        if not (known.all() and also.all()):
            continue
        grey, compared = values.mean(axis=0), others.mean(axis=0)
        if min(grey.std(), compared.std()) < 1.0:
            continue
        (right, down), clear = cv2.phaseCorrelate(grey, compared, window)
        if clear > _CLEAR:
            found.append((right, down))
        if len(found) == _MOST:
            break
    return np.array(found).reshape(-1, 2)
