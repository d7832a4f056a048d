"""The city's cells: rectangles of the board between main streets, and what each is like.

The board is cut into east-west bands; each band is cut on its own, so that most crossings are
T-junctions; boulevards run north-south through all bands. A narrow band is the river.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np

from pipeline.sample.arrays import Bools, Floats, Ints

HOME = (-110.0, 88.0, -112.0, 96.0)
"""West, east, south, north (m on the board) of the cell that holds the fixture."""

HOME_HALF_WIDTH = 8.0
GROSS_M2_PER_PARCEL = 380.0


class Kind(IntEnum):
    """What a cell is built up with."""

    OLD = 0
    NEW = 1
    INDUSTRY = 2
    GARDENS = 3
    WHOLE = 4
    RIVER = 5


@dataclass(frozen=True)
class Cells:
    """All cells, nearest to the centre first; arrays are (cells,), lengths in m on the board.

    ``west`` .. ``north`` are the axes of the bounding streets, ``half_*`` half their widths,
    ``line_*`` their numbers (see ``streets``). ``turned``: the lanes inside run north-south.
    """

    west: Floats
    east: Floats
    south: Floats
    north: Floats
    half_west: Floats
    half_east: Floats
    half_south: Floats
    half_north: Floats
    line_west: Ints
    line_east: Ints
    line_south: Ints
    line_north: Ints
    kind: Ints
    turned: Bools
    home: int
    reach: float

    def __len__(self) -> int:
        return len(self.west)

    def first(self, count: int) -> Cells:
        """The ``count`` cells nearest to the centre."""
        every = vars(self).items()
        cut: dict[str, Any] = {n: v[:count] for n, v in every if isinstance(v, np.ndarray)}
        return replace(self, **cut)

    @property
    def centre(self) -> tuple[Floats, Floats]:
        """East and north of the middle of each cell (m on the board)."""
        return (self.west + self.east) / 2, (self.south + self.north) / 2

    @property
    def inner_width(self) -> Floats:
        """East-west extent without the halves of the bounding streets (m)."""
        return self.east - self.west - self.half_west - self.half_east

    @property
    def inner_height(self) -> Floats:
        """North-south extent without the halves of the bounding streets (m)."""
        return self.north - self.south - self.half_south - self.half_north


def old_town(reach: float) -> tuple[float, float, float]:
    """x, y and radius (m on the board) of the old town of a city of radius ``reach``."""
    return -0.30 * reach - 150.0, 0.20 * reach + 120.0, max(0.28 * reach, 170.0)


def _band_lines(rng: np.random.Generator, reach: float) -> tuple[Floats, Floats, int, int]:
    """Axes and half widths of the east-west streets, the band of the fixture and of the river."""
    count = int(reach / 150.0) + 3
    up = HOME[3] + np.cumsum(rng.uniform(150.0, 270.0, count))
    heights = np.insert(rng.uniform(150.0, 270.0, count), 1, 62.0)
    down = HOME[2] - np.cumsum(heights)
    up, down = up[up < reach + 300.0], down[down > -reach - 300.0]
    axes = np.round(np.concatenate([down[::-1], [HOME[2], HOME[3]], up]), 3)
    home = len(down)
    half = rng.choice([6.0, 7.0, 8.0, 10.0], len(axes))
    half[(np.arange(len(axes)) - home) % 5 == 3] = rng.choice([15.0, 18.0, 22.5])
    half[[home, home + 1]] = HOME_HALF_WIDTH
    return axes, half.astype(np.float64), home, home - 2


def _boulevards(rng: np.random.Generator, reach: float) -> Floats:
    """Axes of the north-south streets that run through the whole city."""
    count = int(reach / 800.0) + 2
    right = HOME[1] + rng.uniform(350.0, 500.0) + np.cumsum(rng.uniform(800.0, 1400.0, count))
    left = HOME[0] - rng.uniform(250.0, 400.0) - np.cumsum(rng.uniform(800.0, 1400.0, count))
    right = np.append(right[0] - 800.0, right)
    left = np.append(left[0] + 800.0, left)
    return np.round(
        np.concatenate([left[left > -reach - 900][::-1], right[right < reach + 900]]), 3
    )


def _breaks(rng: np.random.Generator, ends: Floats, mean: float) -> Floats:
    """Cuts each stretch between consecutive ``ends`` into pieces of about ``mean`` metres."""
    pieces = [ends[:1]]
    for west, east in itertools.pairwise(ends):
        count = max(1, round((east - west) / mean))
        share = np.cumsum(rng.uniform(0.7, 1.3, count))
        pieces.append(np.round(west + (east - west) * share / share[-1], 3))
        pieces[-1][-1] = east
    return np.concatenate(pieces)


@dataclass(frozen=True)
class _Board:
    """Cells as rows of west, east, south, north, their half widths and line numbers, unsorted."""

    box: Floats
    half: Floats
    line: Ints
    river: Bools

    def within(self, room: tuple[float, float, float, float]) -> _Board:
        """The cells that lie wholly in ``room`` (west, south, east, north)."""
        west, south, east, north = room
        box = self.box
        use = (box[:, 0] > west) & (box[:, 1] < east) & (box[:, 2] > south) & (box[:, 3] < north)
        return _Board(box[use], self.half[use], self.line[use], self.river[use])


def _board(rng: np.random.Generator, reach: float) -> _Board:
    axes, half, home, river = _band_lines(rng, reach)
    boulevards = _boulevards(rng, reach)
    wide = rng.choice([12.0, 15.0, 17.5], len(boulevards))
    box, halves, lines, is_river = [], [], [], []
    numbered = len(axes)
    for band in range(len(axes) - 1):
        fixed = np.union1d(boulevards, HOME[:2]) if band == home else boulevards
        x = fixed if band == river else _breaks(rng, fixed, rng.uniform(170.0, 240.0))
        half_x = rng.choice([5.0, 6.0, 7.0, 8.0], len(x))
        half_x[np.searchsorted(x, boulevards)] = wide
        half_x[np.isin(x, HOME[:2])] = HOME_HALF_WIDTH
        n = len(x) - 1
        south, north = np.full(n, axes[band]), np.full(n, axes[band + 1])
        box.append(np.column_stack([x[:-1], x[1:], south, north]))
        edge = (np.full(n, half[band]), np.full(n, half[band + 1]))
        halves.append(np.column_stack([half_x[:-1], half_x[1:], *edge]))
        at = numbered + np.arange(n)
        lines.append(np.column_stack([at, at + 1, np.full(n, band), np.full(n, band + 1)]))
        is_river.append(np.full(n, band == river))
        numbered += len(x)
    river_cells = np.concatenate(is_river).astype(np.bool_)
    return _Board(np.vstack(box), np.vstack(halves), np.vstack(lines), river_cells)


def _kinds(rng: np.random.Generator, x: Floats, y: Floats, reach: float, river: Bools) -> Ints:
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    ox, oy, radius = old_town(reach)
    kind = np.full(len(x), int(Kind.NEW))
    kind[np.hypot(x - ox, y - oy) < radius] = Kind.OLD
    drawn = rng.random(len(x))
    toward = np.cos(angle - rng.uniform(-np.pi, np.pi))
    kind[(distance > 0.72 * reach) & (toward > 0.86) & (drawn < 0.85)] = Kind.INDUSTRY
    kind[(distance > 0.70 * reach) & (toward < -0.3) & (drawn > 0.86)] = Kind.GARDENS
    kind[(distance > 300.0) & (drawn > 0.46) & (drawn < 0.475)] = Kind.WHOLE
    kind[river] = Kind.RIVER
    return kind.astype(np.int64)


def cells(rng: np.random.Generator, parcels: int, room: tuple[float, float, float, float]) -> Cells:
    """Enough cells for ``parcels``, in the order in which the city has grown.

    Cells keep within ``room`` (west, south, east, north on the board): what has no room on one
    side grows on the others.
    """
    reach = max(float(np.sqrt(parcels * GROSS_M2_PER_PARCEL / np.pi)), 330.0)
    widest = max(abs(side) for side in room)
    board = _board(rng, min(2.2 * reach + 250.0, widest)).within(room)
    x, y = board.box[:, :2].mean(axis=1), board.box[:, 2:].mean(axis=1)
    kind = _kinds(rng, x, y, reach, board.river)
    turned = rng.random(len(x)) < 0.4
    wobble = rng.uniform(0, 2 * np.pi, 3)
    angle = np.arctan2(y, x)
    grown = np.hypot(x, y) * (
        1.0
        + 0.16 * np.sin(2 * angle + wobble[0])
        + 0.10 * np.sin(3 * angle + wobble[1])
        + 0.05 * np.sin(7 * angle + wobble[2])
    )
    home = np.all(np.isclose(board.box, HOME), axis=1)
    kind[home], turned[home], grown[home] = Kind.NEW, False, -1.0
    order = np.argsort(grown, kind="stable")
    box, half, line = board.box[order], board.half[order], board.line[order]
    sides = ("west", "east", "south", "north")
    columns: dict[str, Any] = {}
    for prefix, table in (("", box), ("half_", half), ("line_", line)):
        columns |= {prefix + side: table[:, place] for place, side in enumerate(sides)}
    return Cells(**columns, kind=kind[order], turned=turned[order], home=0, reach=reach)
