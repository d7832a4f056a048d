"""The surface over a whole city: from coarse cells to fine ones, a tile at a time.

Each level starts from the coarser one and is worked in tiles with a margin wider than the
solver's reach, so memory is bounded and tiles agree at their edges, and whoever makes a tile, here
or on another machine, makes the same. Levels are flat files, each in the work folder for as long as
the next one is made from it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.spread import once, store
from pipeline.terrain.grid import Grid, Heights, Tile, tiles
from pipeline.terrain.survey import Segments, Survey
from pipeline.terrain.tasks import ALONE, Coarse, Drawn, Settlement, Spread, settled

TILE = 2048
MARGIN = 64
_FEWEST = 12
_PASSES, _PASSES_FINEST = 6, 2
SLACK_SHARE = 1 / 20  # of the contour interval


@dataclass(frozen=True, slots=True)
class Solved:
    """``heights`` (rows, columns), a file mapped into memory; ``surveyed``: cells with data;
    ``seams_m``: root mean square and largest difference of neighbouring tiles where both know."""

    grid: Grid
    heights: Heights
    surveyed: int
    seams_m: tuple[float, float]


def solve(
    survey: Survey, grid: Grid, folder: Path, spread: Spread = ALONE, work: str | None = None
) -> Solved:
    """The surface of ``survey`` on ``grid``; files are made below ``folder``.

    What workers share is at ``work``, a path or an address that they all reach, or there as well.
    """
    shared = store.of_path(work or folder)
    levels = [grid]
    while min(levels[-1].rows, levels[-1].columns) > _FEWEST:
        levels.append(levels[-1].coarser())
    drawn = Drawn.of(Segments.of(survey), survey.spots, shared)
    slack, base = survey.interval * SLACK_SHARE, _base(survey)
    solved: Solved | None = None
    coarser: Coarse | None = None
    key = once.digest(drawn.key, slack, base, TILE, MARGIN)
    for number in range(len(levels) - 1, -1, -1):
        level = levels[number]
        passes = _PASSES if number else _PASSES_FINEST, _PASSES
        key = once.digest(key, level, passes)
        given = [
            Settlement(drawn, level, tile, coarser, slack, base, passes, key)
            for tile in tiles(level, TILE, MARGIN)
        ]
        places = spread.gather(f"cells of {level.cell:g}", settled, given)
        before, path = coarser, folder / f"level-{key}.f32"
        solved = _joined(path, level, base, given, places)
        coarser = Coarse(_shown(path, shared) if number else str(path), level)
        if before is not None:
            store.drop(before.place)
    if solved is None:  # pragma: no cover - there is always one level
        raise AssertionError
    return solved


def _shown(path: Path, shared: str) -> str:
    """The level where all workers see it."""
    place = store.joined(shared, path.name)
    if store.of_path(path) != place:
        with store.writing(place) as copy:
            shutil.copyfile(path, copy)
        path.unlink()
    return place


def _base(survey: Survey) -> float:
    """A height in the middle, taken off so that single precision is enough."""
    heights = np.concatenate([survey.levels, survey.spots[:, 2]])
    return float(np.median(heights))


def _joined(
    path: Path, grid: Grid, base: float, given: list[Settlement], places: list[str]
) -> Solved:
    """All tiles as one level."""
    heights: Any = np.memmap(path, np.float32, "w+", shape=(grid.rows, grid.columns))
    surveyed, square, most, count = 0, 0.0, 0.0, 0
    for task, place in zip(given, places, strict=True):
        with np.load(store.local(place)) as made:
            apart = _apart(heights, made, task.tile, base)
            heights[task.tile.kept] = made["core"]
            surveyed += int(made["surveyed"])
        square, count = square + float((apart**2).sum()), count + apart.size
        most = max(most, float(np.abs(apart).max(initial=0.0)))
    heights.flush()
    seams = (float(np.sqrt(square / count)) if count else 0.0, most)
    return Solved(grid, heights, surveyed, seams)


def _apart(heights: Any, made: Any, tile: Tile, base: float) -> Heights:
    """Differences to the tiles above and to the left, in the lines next to the seam."""
    first, _, left, _ = tile.core
    found = [np.empty(0, np.float32)]
    if first:
        found.append(heights[first - 1, tile.kept[1]] - base - made["above"])
    if left:
        found.append(heights[tile.kept[0], left - 1] - base - made["left"])
    return np.concatenate(found)
