"""How well overlapping orthophotos lie on each other.

Needs no ground truth, so it tells of every block whether orientation and terrain fit each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.photogrammetry.piece import Piece, Span
from pipeline.rasters import coregister
from pipeline.terrain.grid import Grid


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
    shifts = coregister.shifts(
        lambda chip: one.read(chip, origin), lambda chip: other.read(chip, origin), span
    )
    if len(shifts) < coregister.FEWEST:
        return None
    length = np.hypot(*shifts.T)
    rmse, median = float(np.sqrt((length**2).mean())), float(np.median(length))
    return Agreement(one.frame.name, other.frame.name, len(shifts), rmse, median)
