"""What a surface is worked off in: a tile of one level, a pure function for any machine to do.

The survey and each finished level stand in the work folder, which all workers reach by the same
path or address; a tile's file is named by the digest of all that went into it, so nothing is made
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.spread import executor, once, store
from pipeline.spread.executor import Executor, Local, Watching
from pipeline.terrain.grid import Floats, Grid, Heights, Tile
from pipeline.terrain.surface import observe, settle
from pipeline.terrain.survey import Segments


@dataclass(frozen=True, slots=True)
class Spread:
    """Where tiles are made; ``watching`` is told of each stage."""

    executor: Executor = field(default_factory=lambda: Local(1))
    watching: Watching = lambda _: None

    def gather[T, R](self, stage: str, work: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """The results of all ``tasks`` in their order."""
        return executor.gather(self.executor, work, tasks, self.watching(stage))


ALONE = Spread()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A survey as files in ``folder`` (path or address): segments and spots as they are, to be read
    in parts."""

    folder: str
    key: str

    @classmethod
    def of(cls, segments: Segments, spots: Floats, folder: str) -> Drawn:
        """Writes the survey, if it is not there."""
        arrays = {"ends": segments.ends, "drawn": segments.drawn, "spots": spots}
        shape = {name: (one.shape, str(one.dtype)) for name, one in arrays.items()}
        key = once.digest(shape, *(_hash(one) for one in arrays.values()))
        found = cls(folder, key)
        for name, values in arrays.items():
            once.made(found._place(name), _saved(values))
        return found

    def near(self, grid: Grid) -> tuple[Segments, Floats]:
        """What lies on or beside ``grid``."""
        ends, drawn, spots = (np.load(store.local(self._place(name)), mmap_mode="r") for name in
                              ("ends", "drawn", "spots"))  # fmt: skip
        west, south, east, north = grid.bounds
        x, y = spots[:, 0], spots[:, 1]
        inside = (x >= west - 1) & (x <= east + 1) & (y >= south - 1) & (y <= north + 1)
        return Segments(ends, drawn).near(grid), np.asarray(spots[inside])

    def _place(self, name: str) -> str:
        return once.place(self.folder, f"survey-{name}", self.key, ".npy")


def _hash(values: NDArray[Any]) -> str:
    return once.digest(np.ascontiguousarray(values).tobytes())


def _saved(values: NDArray[Any]) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, values)

    return save


@dataclass(frozen=True, slots=True)
class Coarse:
    """The level before: its cells as a flat file of 32-bit floats at ``place``."""

    place: str
    grid: Grid

    def cells(self, rows: slice, columns: slice) -> Heights:
        """Some of them."""
        shape = (self.grid.rows, self.grid.columns)
        whole = np.memmap(store.local(self.place), np.float32, "r", shape=shape)
        return np.asarray(whole[rows, columns])


@dataclass(frozen=True, slots=True)
class Settlement:
    """A ``tile`` of the level ``grid``. ``key`` stands for the survey and all coarser levels;
    ``slack`` and ``base`` in metres; ``passes``: how many, and how many beside breaklines."""

    survey: Drawn
    grid: Grid
    tile: Tile
    coarser: Coarse | None
    slack: float
    base: float
    passes: tuple[int, int]
    key: str

    def __str__(self) -> str:
        first, _, left, _ = self.tile.core
        return f"tile of the surface at row {first}, column {left} in cells of {self.grid.cell:g}"

    def place(self) -> str:
        """Where the tile of the very same survey and levels stands."""
        return once.place(self.survey.folder, "tile", once.digest(self.key, self.tile), ".npz")


def settled(task: Settlement) -> str:
    """The place of the tile: its ``core``, the lines ``above`` and ``left`` of it as it sees them,
    and how many cells of it are ``surveyed``."""
    place = task.place()
    once.made(place, lambda path: _settle(task, path))
    return place


def _settle(task: Settlement, path: Path) -> None:
    cv2.setNumThreads(1)
    part, inner = task.grid.part(task.tile), task.tile.inner
    segments, spots = task.survey.near(part)
    seen = observe(part, segments, spots, task.slack, task.base)
    guess = _guess(task.coarser, task.tile, seen.broken, task.base)
    # The coarser level is smooth across a breakline, so there it is a worse first guess.
    z = settle(guess, seen, task.passes[1] if seen.broken.any() else task.passes[0])
    rows, columns = inner
    nothing = np.empty(0, np.float32)
    with path.open("wb") as stream:
        np.savez(
            stream,
            core=z[inner] + np.float32(task.base),
            above=z[rows.start - 1, columns] if rows.start else nothing,
            left=z[rows, columns.start - 1] if columns.start else nothing,
            surveyed=np.count_nonzero(seen.known[inner]),
        )


def _guess(coarser: Coarse | None, tile: Tile, broken: NDArray[np.bool_], base: float) -> Heights:
    """The coarser level in finer cells, by cubic convolution; straight on beyond its edge.

    Beside a breakline the nearest coarse cell counts alone, so that no height crosses it.
    """
    if coarser is None:
        return np.zeros(broken.shape, np.float32)
    top, left = tile.top // 2, tile.left // 2
    bottom, right = -(-tile.bottom // 2), -(-tile.right // 2)
    rows, columns = coarser.grid.rows, coarser.grid.columns
    first, before = max(top - 2, 0), max(left - 2, 0)
    last, after = min(bottom + 2, rows), min(right + 2, columns)
    known = coarser.cells(slice(first, last), slice(before, after)) - np.float32(base)
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
