"""Rows of plots in the blocks, and where the boundaries between the plots run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, offsets, owners
from pipeline.sample.blocks import Blocks

SLOTS = 5
"""Lines of a block, from q0 to q1: 0 front of the lower row, 1 its back, 2 the middle at the end of
a cul-de-sac, 3 back of the upper row (1 where there is no lane between), 4 its front."""

MM_OF_LINE = 10**8
"""A place on a line is one whole number: line * MM_OF_LINE + mm from the block's start."""

STEP_SHARE = 0.55
_SNAP_MM = 800
_SMALLEST_ROW = 3


@dataclass(frozen=True)
class Rows:
    """Rows of plots; arrays are (rows,). ``low``/``high`` are numbers of lines, ``q_*`` in m.

    Rows of one block stand together, the lower first. ``lane``: a cul-de-sac runs along the back.
    """

    block: Ints
    upper: Bools
    single: Bools
    lane: Bools
    count: Ints
    low: Ints
    high: Ints
    q_low: Floats
    q_high: Floats
    length: Floats
    tail: Floats

    def take(self, index: Bools) -> Rows:
        """The rows at ``index``."""
        return Rows(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def rows(blocks: Blocks) -> Rows:
    """The rows of every block, as many plots in each as the usual frontage allows."""
    block, second = owners(blocks.rows)
    single, lower = blocks.rows[block] == 1, second == 0
    lane = blocks.lane[block] > 0
    length = (blocks.p1 - blocks.p0)[block]
    count = np.maximum(1, np.rint(length / blocks.frontage[block])).astype(np.int64)
    count = np.where(lane, np.maximum(count, _SMALLEST_ROW), count)
    count[:2] = len(fixture.LOWER_WIDTHS), len(fixture.UPPER_WIDTHS)
    split, half = blocks.split[block], blocks.lane[block] / 2
    return Rows(
        block=block,
        upper=~lower,
        single=single,
        lane=lane,
        count=count,
        low=block * SLOTS + np.where(lower, 0, np.where(lane, 3, 1)),
        high=block * SLOTS + np.where(lower & ~single, 1, 4),
        q_low=np.where(lower, blocks.q0[block], split + half),
        q_high=np.where(lower & ~single, split - half, blocks.q1[block]),
        length=length,
        tail=np.where(lane, blocks.tail[block], 0.0),
    )


def trimmed(rows: Rows, wanted: int) -> Rows:
    """The first blocks' rows, holding ``wanted`` plots exactly.

    What the last block has too many is taken from the last rows, a few plots each.
    """
    in_block = np.bincount(rows.block, weights=rows.count)
    kept = int(np.searchsorted(np.cumsum(in_block), wanted)) + 1
    cut = rows.take(rows.block < kept)
    excess = int(cut.count.sum()) - wanted
    spare = np.maximum(cut.count - _SMALLEST_ROW, 0)
    spare[:2] = 0
    before = np.cumsum(spare[::-1])[::-1] - spare
    cut.count[:] -= np.clip(excess - before, 0, spare)
    return cut


@dataclass(frozen=True)
class Boundaries:
    """A row of n plots has n + 1 boundaries; all rows in one flat array (boundaries,).

    ``low``/``high``: where it meets the row's lines, in whole mm from the block's start;
    ``stepped``: it changes from one to the other at ``STEP_SHARE`` of the depth.
    """

    row: Ints
    place: Ints
    first: Ints
    low: Ints
    high: Ints
    stepped: Bools


def boundaries(rng: np.random.Generator, rows: Rows) -> Boundaries:
    """Boundaries with uneven distances, some stepped, those back to back meeting where near."""
    row, place = owners(rows.count + 1)
    low = _uneven(rng, rows)
    between = (place > 0) & (place < rows.count[row] - rows.lane[row])
    stepped, high = _steps(rng, rows, row, between, low)
    bounds = Boundaries(row, place, offsets(rows.count + 1), low, high, stepped)
    _meet_at_backs(rows, bounds, between)
    return bounds


def _uneven(rng: np.random.Generator, rows: Rows) -> Ints:
    """Widths vary, a few are double; the row's last plot fills the end of a cul-de-sac."""
    row, place = owners(rows.count)
    weight = np.clip(1.0 + 0.2 * rng.standard_normal(len(row)), 0.65, 1.5)
    weight[rng.random(len(row)) < 0.035] *= 2.0
    weight[rows.block[row] == 0] = [*fixture.LOWER_WIDTHS, *fixture.UPPER_WIDTHS]
    at_end = rows.lane[row] & (place == rows.count[row] - 1)
    weight[at_end] = 0.0
    total = np.bincount(row, weights=weight, minlength=len(rows.count))
    width = weight / total[row] * (rows.length - rows.tail)[row] + at_end * rows.tail[row]
    first = offsets(rows.count + 1)
    x = np.zeros(first[-1])
    x[first[:-1][row] + place + 1] = width
    x = np.cumsum(x)
    x -= np.repeat(x[first[:-1]], rows.count + 1)
    x[first[1:] - 1] = rows.length
    x[first[1:][rows.lane] - 2] = (rows.length - rows.tail)[rows.lane]
    return np.rint(x * 1000).astype(np.int64)


def _steps(
    rng: np.random.Generator, rows: Rows, row: Ints, between: Bools, low: Ints
) -> tuple[Bools, Ints]:
    """Some boundaries step aside halfway, which makes L-shaped plots."""
    may = between & ~rows.single[row] & (rows.block[row] > 0)
    stepped = may & (rng.random(len(row)) < 0.07)
    at = np.flatnonzero(stepped)
    room = np.minimum(low[at + 1] - low[at], low[at] - low[at - 1])
    share = rng.choice([-1.0, 1.0], len(at)) * rng.uniform(0.15, 0.33, len(at))
    high = low.copy()
    high[at] += np.rint(room * share).astype(np.int64)
    return stepped, high


def _meet_at_backs(rows: Rows, bounds: Boundaries, between: Bools) -> None:
    """Moves boundaries of upper rows to those of the lower row behind them, where nearly there.

    Without it plots back to back would have edges of a few centimetres.
    """
    upper = rows.upper[bounds.row]
    backs = np.sort((rows.high[bounds.row] * MM_OF_LINE + bounds.high)[~upper])
    moving = np.flatnonzero(upper & between)
    keys = rows.low[bounds.row[moving]] * MM_OF_LINE + bounds.low[moving]
    at = np.clip(np.searchsorted(backs, keys), 1, len(backs) - 1)
    near = np.where(keys - backs[at - 1] < backs[at] - keys, backs[at - 1], backs[at])
    close = np.abs(near - keys) < _SNAP_MM
    bounds.low[moving[close]] = near[close] % MM_OF_LINE
