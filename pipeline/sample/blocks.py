"""Blocks and lanes inside the cells: strips of blocks with lanes between, cut by cross lanes.

Each cell has its own axes: p along the lanes and q across, in metres from its corner. In a turned
cell p runs north and q runs west, so that shapes keep their sense of rotation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, offsets, owners, partition
from pipeline.sample.cells import Cells, Kind


class Use(IntEnum):
    """What a whole block is for; ``LOTS`` is divided into plots."""

    LOTS = 0
    PARK = 1
    SCHOOL = 2
    HEALTH = 3
    OFFICE = 4
    SPORTS = 5
    OPEN = 6
    RELIGIOUS = 7
    CAMPUS = 8


_FACILITIES = {
    Use.PARK: 0.40,
    Use.SCHOOL: 0.26,
    Use.HEALTH: 0.06,
    Use.OFFICE: 0.08,
    Use.SPORTS: 0.07,
    Use.OPEN: 0.08,
    Use.RELIGIOUS: 0.05,
}
_BY_KIND = {
    "depth": (33.0, 44.0, 84.0, 96.0, 1e6, 1e6),
    "lane": (5.0, 9.0, 14.0, 6.0, 8.0, 8.0),
    "length": (72.0, 105.0, 170.0, 150.0, 1e6, 1e6),
    "frontage": (9.2, 11.2, 27.0, 38.0, 1e6, 1e6),
}


@dataclass(frozen=True)
class Lanes:
    """Axes of the lanes of each cell; (cells,) counts, the rest flat, metres in the cell's axes."""

    count: Ints
    q: Floats
    width: Floats
    cross_count: Ints
    cross_p: Floats
    cross_width: Floats

    def first(self, cells: int) -> Lanes:
        """The lanes of the first ``cells`` cells."""
        count, cross = self.count[:cells], self.cross_count[:cells]
        n, m = int(count.sum()), int(cross.sum())
        return Lanes(
            count, self.q[:n], self.width[:n], cross, self.cross_p[:m], self.cross_width[:m]
        )


@dataclass(frozen=True)
class Blocks:
    """Blocks; arrays are (blocks,), lengths in m in the axes of the cell.

    ``strip`` and ``part`` are the place among the cell's strips and cross lanes; ``split`` is the q
    between the two rows of plots (``rows`` 2); ``lane`` is the width of a cul-de-sac between the
    rows (0 = none), which ends ``tail`` metres before the block does; ``frontage`` the usual width
    of a plot.
    """

    cell: Ints
    strip: Ints
    part: Ints
    p0: Floats
    p1: Floats
    q0: Floats
    q1: Floats
    rows: Ints
    split: Floats
    lane: Floats
    tail: Floats
    use: Ints
    frontage: Floats

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, index: Ints | Bools) -> Blocks:
        """The blocks at ``index``."""
        return Blocks(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def to_board(cells: Cells, cell: Ints, p: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Cell axes to the board: p, q (n,) of the cells ``cell`` (n,) to x, y (n,) in m."""
    turned = cells.turned[cell]
    x = np.where(turned, cells.east[cell] - q, cells.west[cell] + p)
    y = np.where(turned, cells.south[cell] + p, cells.south[cell] + q)
    return x, y


def _by_kind(cells: Cells, name: str) -> Floats:
    return np.array(_BY_KIND[name])[cells.kind]


def _divide(
    rng: np.random.Generator, inner: Floats, start: Floats, gap: Floats, size: Floats
) -> tuple[Ints, Floats, Floats]:
    """Cuts ``inner`` m into pieces of about ``size`` with ``gap`` between: counts, from, to."""
    counts = np.maximum(1, np.rint((inner + gap) / (size + gap))).astype(np.int64)
    group, within = owners(counts)
    weights = 1.0 + 0.16 * rng.uniform(-1, 1, len(group))
    begin, end = partition(counts, weights, inner - (counts - 1) * gap)
    shift = start[group] + within * gap[group]
    return counts, np.round(begin + shift, 3), np.round(end + shift, 3)


def _pin_home(counts: Ints, home: int, begin: Floats, end: Floats, given: Floats) -> None:
    """Sets the pieces of the home cell to the fixture's (counts agree by the cell's size)."""
    first = offsets(counts)[home]
    begin[first : first + len(given)], end[first : first + len(given)] = given[:, 0], given[:, 1]


def _gaps(counts: Ints, begin: Floats, end: Floats) -> tuple[Ints, Floats, Floats]:
    """Between consecutive pieces of a group: counts, middles and widths."""
    group = owners(counts)[0]
    inside = group[1:] == group[:-1]
    middle, width = (begin[1:] + end[:-1]) / 2, begin[1:] - end[:-1]
    return counts - 1, np.round(middle[inside], 3), np.round(width[inside], 3)


def layout(rng: np.random.Generator, cells: Cells) -> tuple[Lanes, Blocks]:
    """Lanes and blocks of every cell but the river's."""
    turned = cells.turned
    along = np.where(turned, cells.inner_height, cells.inner_width)
    across = np.where(turned, cells.inner_width, cells.inner_height)
    start_p = np.where(turned, cells.half_south, cells.half_west)
    start_q = np.where(turned, cells.half_east, cells.half_south)
    lane = np.round(_by_kind(cells, "lane") + rng.choice([-1.0, 0.0, 1.0, 3.0], len(cells)), 1)
    lane[cells.home] = 8.0
    depth = _by_kind(cells, "depth") * rng.uniform(0.9, 1.12, len(cells))
    length = _by_kind(cells, "length") * rng.uniform(0.8, 1.25, len(cells))
    depth[cells.home], length[cells.home] = 42.0, 88.0
    strips, q0, q1 = _divide(rng, across, start_q, lane, depth)
    parts, p0, p1 = _divide(rng, along, start_p, lane, length)
    _pin_home(strips, cells.home, q0, q1, fixture.STRIPS)
    _pin_home(parts, cells.home, p0, p1, fixture.PARTS)
    lanes = Lanes(*_gaps(strips, q0, q1), *_gaps(parts, p0, p1))
    at = offsets(lanes.count)[cells.home] + fixture.YAS_LANE
    lanes.q[at], lanes.width[at] = fixture.YAS_AXIS, fixture.YAS_WIDTH
    return lanes, _blocks(rng, cells, (strips, q0, q1), (parts, p0, p1))


_Pieces = tuple[Ints, Floats, Floats]


def _blocks(rng: np.random.Generator, cells: Cells, strips: _Pieces, parts: _Pieces) -> Blocks:
    """Every strip crossed with every part of its cell."""
    counts = np.where(cells.kind == Kind.RIVER, 0, strips[0] * parts[0])
    cell, within = owners(counts)
    strip, part = within // parts[0][cell], within % parts[0][cell]
    at_q, at_p = offsets(strips[0])[cell] + strip, offsets(parts[0])[cell] + part
    p0, p1, q0, q1 = parts[1][at_p], parts[2][at_p], strips[1][at_q], strips[2][at_q]
    use = _uses(rng, cells.kind[cell], p1 - p0, q1 - q0)
    split = np.round(q0 + (q1 - q0) * rng.uniform(0.45, 0.55, len(cell)), 3)
    lane = _culs_de_sac(rng, cells.kind[cell], p1 - p0, q1 - q0)
    spread = rng.uniform(0.88, 1.22, len(cells))[cell]
    tail = np.round(rng.uniform(12.0, 17.0, len(cell)), 1)
    frontage = _by_kind(cells, "frontage")[cell] * spread
    rows = np.where((q1 - q0 < 26.0), 1, 2)
    blocks = Blocks(
        cell, strip, part, p0, p1, q0, q1, rows, split, lane, tail, use.copy(), frontage
    )
    return _nearest_first(_single(_with_fixture(blocks, cells.home)), cells)


def _with_fixture(blocks: Blocks, home: int) -> Blocks:
    """The fixture's block and, touching it in the east, its park, first of all."""
    here = blocks.cell == home
    at = here & (blocks.strip == fixture.STRIP) & (blocks.part == fixture.PART)
    both = blocks.take(np.repeat(np.flatnonzero(at), 2))
    both.p0[:] = fixture.BLOCK_P[0], fixture.PARK_P[0]
    both.p1[:] = fixture.BLOCK_P[1], fixture.PARK_P[1]
    both.split[:], both.rows[:], both.lane[:] = fixture.SPLIT_Q, 2, 0.0
    both.use[:] = Use.LOTS, Use.PARK
    rest = blocks.take(~at)
    return Blocks(
        *(np.append(getattr(both, n), getattr(rest, n)) for n in Blocks.__dataclass_fields__)
    )


def _nearest_first(blocks: Blocks, cells: Cells) -> Blocks:
    """Cell by cell, in each the blocks nearest to the centre first; the fixture leads."""
    p, q = (blocks.p0 + blocks.p1) / 2, (blocks.q0 + blocks.q1) / 2
    distance = np.hypot(*to_board(cells, blocks.cell, p, q))
    distance[:2] = -2.0, -1.0
    return blocks.take(np.lexsort((distance, blocks.cell)))


def _single(blocks: Blocks) -> Blocks:
    """Blocks for one use are one plot; only blocks with two rows have a cul-de-sac."""
    whole = blocks.use != Use.LOTS
    rows = np.where(whole, 1, blocks.rows)
    lane = np.where(rows == 1, 0.0, blocks.lane)
    frontage = np.where(whole, 1e6, blocks.frontage)
    return replace(blocks, rows=rows, lane=lane, frontage=frontage)


def _uses(rng: np.random.Generator, kind: Ints, length: Floats, depth: Floats) -> Ints:
    share = np.array(list(_FACILITIES.values()))
    facility = rng.choice(np.array(list(_FACILITIES)), len(kind), p=share / share.sum())
    homes = (kind == Kind.OLD) | (kind == Kind.NEW)
    chosen = homes & (rng.random(len(kind)) < 0.055) & (length * depth < 9000.0)
    use = np.where(chosen, facility, int(Use.LOTS))
    use[kind == Kind.WHOLE] = rng.choice([Use.PARK, Use.CAMPUS, Use.SPORTS], len(kind))[
        kind == Kind.WHOLE
    ]
    return use.astype(np.int64)


def _culs_de_sac(rng: np.random.Generator, kind: Ints, length: Floats, depth: Floats) -> Floats:
    fits = (length > 62.0) & (depth > 35.0) & ((kind == Kind.OLD) | (kind == Kind.NEW))
    chance = np.where(kind == Kind.OLD, 0.35, 0.12)
    return np.where(
        fits & (rng.random(len(kind)) < chance), rng.choice([4.0, 5.0, 6.0], len(kind)), 0.0
    )
