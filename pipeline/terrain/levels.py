"""The surface over a whole city: from coarse cells to fine ones, a tile at a time.

Each level starts from the coarser one and is worked in tiles with a margin wider than the
solver's reach, so memory is bounded and tiles agree at their edges. Levels stand in flat files
below a work folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.terrain.grid import Grid, Heights, Mask, Tile, tiles
from pipeline.terrain.surface import observe, settle
from pipeline.terrain.survey import Segments, Survey

TILE = 2048
MARGIN = 64
_FEWEST = 12
_PASSES, _PASSES_FINEST = 6, 2
SLACK_SHARE = 1 / 20  # of the contour interval

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Solved:
    """``heights`` (rows, columns), a file mapped into memory; ``surveyed``: cells with data;
    ``seams_m``: root mean square and largest difference of neighbouring tiles where both know."""

    grid: Grid
    heights: Heights
    surveyed: int
    seams_m: tuple[float, float]


def solve(survey: Survey, grid: Grid, folder: Path, progress: Progress | None = None) -> Solved:
    """The surface of ``survey`` on ``grid``; files are made below ``folder``."""
    cv2.setNumThreads(1)
    levels = [grid]
    while min(levels[-1].rows, levels[-1].columns) > _FEWEST:
        levels.append(levels[-1].coarser())
    work = _Work(survey, Segments.of(survey), _base(survey), folder)
    solved: Solved | None = None
    cells = sum(level.rows * level.columns for level in levels)
    for number in range(len(levels) - 1, -1, -1):
        passes = _PASSES if number else _PASSES_FINEST
        solved = _level(work, levels[number], solved, passes)
        if progress is not None:
            progress(levels[number].rows * levels[number].columns, cells)
    if solved is None:  # pragma: no cover - there is always one level
        raise AssertionError
    return solved


@dataclass(frozen=True, slots=True)
class _Work:
    survey: Survey
    segments: Segments
    base: float
    folder: Path


def _base(survey: Survey) -> float:
    """A height in the middle, taken off so that single precision is enough."""
    heights = np.concatenate([survey.levels, survey.spots[:, 2]])
    return float(np.median(heights))


def _level(work: _Work, grid: Grid, coarser: Solved | None, passes: int) -> Solved:
    path = work.folder / f"level-{grid.rows}x{grid.columns}.f32"
    heights: Any = np.memmap(path, np.float32, "w+", shape=(grid.rows, grid.columns))
    surveyed, square, most, count = 0, 0.0, 0.0, 0
    for tile in tiles(grid, TILE, MARGIN):
        part = grid.part(tile)
        slack = work.survey.interval * SLACK_SHARE
        seen = observe(part, work.segments, work.survey.spots, slack, work.base)
        guess = _guess(coarser, tile, seen.broken, work.base)
        # The coarser level is smooth across a breakline, so there it is a worse first guess.
        z = settle(guess, seen, _PASSES if seen.broken.any() else passes)
        apart = _apart(heights, z, tile, work.base)
        square, count = square + float((apart**2).sum()), count + apart.size
        most = max(most, float(np.abs(apart).max(initial=0.0)))
        heights[tile.kept] = z[tile.inner] + np.float32(work.base)
        surveyed += int(np.count_nonzero(seen.known[tile.inner]))
    if coarser is not None:
        _forget(coarser.heights)
    seams = (float(np.sqrt(square / count)) if count else 0.0, most)
    return Solved(grid, heights, surveyed, seams)


def _guess(coarser: Solved | None, tile: Tile, broken: Mask, base: float) -> Heights:
    """The coarser level in finer cells, by cubic convolution; straight on beyond its edge.

    Beside a breakline the nearest coarse cell counts alone, so that no height crosses it.
    """
    if coarser is None:
        return np.zeros(broken.shape, np.float32)
    top, left = tile.top // 2, tile.left // 2
    bottom, right = -(-tile.bottom // 2), -(-tile.right // 2)
    rows, columns = coarser.heights.shape
    first, before = max(top - 2, 0), max(left - 2, 0)
    last, after = min(bottom + 2, rows), min(right + 2, columns)
    known = np.asarray(coarser.heights[first:last, before:after]) - np.float32(base)
    pad = ((2 - (top - first), 2 - (last - bottom)), (2 - (left - before), 2 - (after - right)))
    wide = np.pad(known, pad, mode="reflect", reflect_type="odd")
    row, column = 4 + tile.top - 2 * top, 4 + tile.left - 2 * left
    here = np.s_[row : row + broken.shape[0], column : column + broken.shape[1]]
    fine = cv2.resize(wide, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)[here]
    if broken.any():
        beside = cv2.dilate(broken.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        nearest = cv2.resize(wide, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)[here]
        fine = np.where(beside, nearest, fine)
    return np.ascontiguousarray(fine)


def _apart(heights: Any, z: Heights, tile: Tile, base: float) -> Heights:
    """Differences to the tiles above and to the left, in the lines next to the seam."""
    first, _, left, _ = tile.core
    rows, columns = tile.inner
    found = [np.empty(0, np.float32)]
    if first:
        found.append(heights[first - 1, tile.kept[1]] - base - z[rows.start - 1, columns])
    if left:
        found.append(heights[tile.kept[0], left - 1] - base - z[rows, columns.start - 1])
    return np.concatenate(found)


def _forget(heights: Any) -> None:
    """Removes the file of a level that is used no more."""
    Path(heights.filename).unlink(missing_ok=True)
