"""How two pictures of the same ground lie on each other: chips of both, by phase correlation."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

CHIP = 64
FEWEST = 3  # chips from which something can be said
_MOST = 60  # chips a pair
_CLEAR = 0.1  # response below which nothing was recognised

Floats = NDArray[np.float64]
#: First row, end row, first column, end column.
Span = tuple[int, int, int, int]
#: Values (bands, rows, columns) and what is known of them (rows, columns) in a span.
Read = Callable[[Span], tuple[NDArray[np.float32], NDArray[np.bool_]]]


def shifts(one: Read, other: Read, span: Span) -> Floats:
    """Displacements (n, 2) in pixels, right and down, of chips over ``span`` of both."""
    cv2.setNumThreads(1)
    first, end, west, east = span
    rows, columns = (end - first) // CHIP, (east - west) // CHIP
    places = np.array([(r, c) for r in range(rows) for c in range(columns)], dtype=np.int64)
    order = np.random.default_rng(7).permutation(len(places))[: 4 * _MOST]
    window = cv2.createHanningWindow((CHIP, CHIP), cv2.CV_32F)
    found: list[tuple[float, float]] = []
    for row, column in places[order]:
        top, left = first + int(row) * CHIP, west + int(column) * CHIP
        chip = (top, top + CHIP, left, left + CHIP)
        values, known = one(chip)
        others, also = other(chip)
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
