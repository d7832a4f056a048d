"""Plots that tile their block: every vertex is stored once, rings are lists of point numbers.

Neighbours use the same numbers, so no rounding can open a gap between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects, owners, ranges
from pipeline.sample.blocks import Blocks
from pipeline.sample.rows import MM_OF_LINE, SLOTS, STEP_SHARE, Boundaries, Rows

_LONG_EDGE_MM = 25_000
_DEEP_M = 30.0
_NONE = -1


@dataclass(frozen=True)
class Rings:
    """Rings as point numbers: ``point`` (vertices,) of ``owner`` (vertices,), open, in order."""

    point: Ints
    owner: Ints

    def polygons(self, coordinates: Floats) -> Objects:
        """Polygons of all owners, given the points' (points, 2) coordinates."""
        rings = shapely.linearrings(coordinates[self.point], indices=self.owner)
        return objects(shapely.polygons(rings))


@dataclass(frozen=True)
class Lots:
    """All plots, by block: the lower row, then the upper, each from low to high p.

    ``p``, ``q`` (points,) are metres in the axes of the cell of block ``point_block``. ``number``
    (lots,) counts in the block: upper row first. ``corner`` (lots, 4) are point numbers of the part
    a house may take (low-left, low-right, high-right, high-left), ``share`` (lots, 2) how far up
    its left and right side it reaches; ``front`` (lots, 2) are the corners on the street, which
    for ``upper`` plots is on the high side, and ``back`` (lots, 2) those opposite.
    """

    block: Ints
    row: Ints
    number: Ints
    upper: Bools
    p: Floats
    q: Floats
    point_block: Ints
    rings: Rings
    block_rings: Rings
    corner: Ints
    share: Floats
    front: Ints
    back: Ints

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True)
class _Frame:
    """Per plot: the keys of its four corners; ``left`` is the number of its left boundary."""

    row: Ints
    left: Ints
    at_end: Bools
    keys: tuple[Ints, Ints, Ints, Ints]


def _frame(rows: Rows, bounds: Boundaries) -> _Frame:
    row, place = owners(rows.count)
    left = bounds.first[:-1][row] + place
    at_end = rows.lane[row] & (place == rows.count[row] - 1)
    middle = rows.block[row] * SLOTS + 2
    low = np.where(at_end & rows.upper[row], middle, rows.low[row]) * MM_OF_LINE
    high = np.where(at_end & ~rows.upper[row], middle, rows.high[row]) * MM_OF_LINE
    keys = (
        low + bounds.low[left],
        low + bounds.low[left + 1],
        high + bounds.high[left + 1],
        high + bounds.high[left],
    )
    return _Frame(row, left, at_end, keys)


def _long_edges(rows: Rows, bounds: Boundaries, frame: _Frame) -> Ints:
    """Keys of points on the fronts of wide plots: straight edges would leave the curved street."""
    x0, x1 = bounds.low[frame.left], bounds.low[frame.left + 1]
    pieces = np.maximum((x1 - x0) // _LONG_EDGE_MM, 1)
    lot, within = owners(pieces - 1)
    x = x0[lot] + (x1 - x0)[lot] * (within + 1) // pieces[lot]
    row = frame.row[lot]
    front = np.where(rows.upper[row], rows.high[row], rows.low[row]) * MM_OF_LINE
    other = np.where(rows.single[row], rows.high[row] * MM_OF_LINE, front)
    return np.concatenate([front + x, other + x])


@dataclass(frozen=True)
class _Points:
    """Keys of the points on lines (sorted), then the points on boundaries off the lines.

    ``up1``, ``up2`` (boundaries,) are the points of a boundary between its ends, upwards.
    """

    keys: Ints
    block: Ints
    p: Floats
    q: Floats
    up1: Ints
    up2: Ints

    def find(self, keys: Ints) -> Ints:
        """Numbers of points on lines."""
        return np.searchsorted(self.keys, keys).astype(np.int64)


def _line_q(blocks: Blocks, line: Ints) -> Floats:
    block, slot = line // SLOTS, line % SLOTS
    half = blocks.lane[block] / 2
    offset = np.choose(slot, [half, -half, half * 0, half, half])
    base = np.choose(slot, [blocks.q0[block], *[blocks.split[block]] * 3, blocks.q1[block]])
    return np.asarray(np.where((slot == 0) | (slot == 4), base, base + offset), dtype=np.float64)


def _points(blocks: Blocks, rows: Rows, bounds: Boundaries, frame: _Frame) -> _Points:
    keys = np.unique(np.concatenate([*frame.keys, _long_edges(rows, bounds, frame)]))
    line = keys // MM_OF_LINE
    depth = rows.q_high - rows.q_low
    deep = (rows.single & (depth > _DEEP_M))[bounds.row]
    at_step, at_deep = np.flatnonzero(bounds.stepped), np.flatnonzero(deep & ~bounds.stepped)
    up1, up2 = np.full(len(bounds.row), _NONE), np.full(len(bounds.row), _NONE)
    start = len(keys)
    up1[at_step] = start + np.arange(len(at_step))
    up2[at_step] = up1[at_step] + len(at_step)
    up1[at_deep] = start + 2 * len(at_step) + np.arange(len(at_deep))
    at = np.concatenate([at_step, at_step, at_deep])
    x = np.concatenate([bounds.low[at_step], bounds.high[at_step], bounds.low[at_deep]])
    row = bounds.row[at]
    share = np.where(bounds.stepped[at], STEP_SHARE, 0.5)
    block = np.concatenate([line // SLOTS, rows.block[row]])
    p = blocks.p0[block] + np.concatenate([keys % MM_OF_LINE, x]) / 1000.0
    q = np.concatenate([_line_q(blocks, line), rows.q_low[row] + share * depth[row]])
    return _Points(keys, block, p, q, up1, up2)


def _strung(pieces: list[tuple[Ints, Ints]]) -> Rings:
    """Rings from pieces (owner, point), each in order; negative points are left out."""
    owner = np.concatenate([piece[0] for piece in pieces])
    order = np.repeat(np.arange(len(pieces)), [len(piece[0]) for piece in pieces])
    point = np.concatenate([piece[1] for piece in pieces])
    there = point != _NONE
    owner, order, point = owner[there], order[there], point[there]
    sort = np.argsort(owner * len(pieces) + order, kind="stable")
    return Rings(point[sort], owner[sort])


def _between(start: Ints, end: Ints, owner: Ints, *, down: bool = False) -> tuple[Ints, Ints]:
    """All points from ``start`` to ``end`` (inclusive), upwards or downwards, for each owner."""
    count = end - start + 1
    upward = ranges(start, count)
    group, within = owners(count)
    return owner[group], (end[group] - within) if down else upward


def _lot_rings(rows: Rows, frame: _Frame, points: _Points) -> Rings:
    low_left, low_right, high_right, high_left = (points.find(key) for key in frame.keys)
    each = np.arange(len(frame.row))
    left, right = frame.left, frame.left + 1
    # The plot at the end of a cul-de-sac has the lane's corner, its neighbour's, on its left side.
    neighbour = each[frame.at_end] - 1
    up_left = points.up1[left]
    upper = rows.upper[frame.row[frame.at_end]]
    up_left[frame.at_end] = np.where(upper, low_right[neighbour], high_right[neighbour])
    return _strung(
        [
            _between(low_left, low_right, each),
            (each, points.up1[right]),
            (each, points.up2[right]),
            _between(high_left, high_right, each, down=True),
            (each, points.up2[left]),
            (each, up_left),
        ],
    )


def _block_rings(rows: Rows, bounds: Boundaries, points: _Points) -> Rings:
    each = np.unique(rows.block)
    first_row = np.searchsorted(rows.block, each)
    single, lane = rows.single[first_row], rows.lane[first_row]
    edges = [points.find((each * SLOTS + slot) * MM_OF_LINE) for slot in range(SLOTS)] + [
        points.find((each + 1) * SLOTS * MM_OF_LINE)
    ]
    first, last = bounds.first[:-1][first_row], bounds.first[1:][first_row] - 1
    west = np.where(single, points.up1[first], np.where(lane, _NONE, edges[1]))
    back = np.where(lane, edges[3] - 1, edges[2] - 1)
    east = np.where(single, points.up1[last], back)
    along = each[lane]
    return _strung(
        [
            _between(edges[0], edges[1] - 1, each),
            (each, east),
            _between(edges[4], edges[5] - 1, each, down=True),
            (each, west),
            _between(edges[3][lane], edges[4][lane] - 1, along),
            (along, edges[2][lane]),
            _between(edges[1][lane], edges[2][lane] - 1, along, down=True),
        ],
    )


def _house_corners(bounds: Boundaries, frame: _Frame, points: _Points) -> tuple[Ints, Floats]:
    """Corners of the straight part of each plot: all of it, or up to the height of a step."""
    corner = np.column_stack([points.find(key) for key in frame.keys])
    left, right = bounds.stepped[frame.left], bounds.stepped[frame.left + 1]
    corner[left, 3] = points.up1[frame.left[left]]
    corner[right, 2] = points.up1[frame.left[right] + 1]
    share = np.ones((len(corner), 2))
    share[right & ~left, 0] = STEP_SHARE
    share[left & ~right, 1] = STEP_SHARE
    return corner, share


def _numbers(rows: Rows) -> Ints:
    """Numbers in the block: the upper row from low to high p, then the lower row."""
    row, place = owners(rows.count)
    above = np.append(rows.count[1:], 0)
    shift = np.where(rows.upper | rows.single, 0, above)
    return place + 1 + shift[row]


def lots(blocks: Blocks, rows: Rows, bounds: Boundaries) -> Lots:
    """All plots of ``rows`` between ``bounds``."""
    frame = _frame(rows, bounds)
    points = _points(blocks, rows, bounds, frame)
    corner, share = _house_corners(bounds, frame, points)
    low_left, low_right, high_right, high_left = (points.find(key) for key in frame.keys)
    low, high = np.column_stack([low_left, low_right]), np.column_stack([high_left, high_right])
    upper = rows.upper[frame.row]
    return Lots(
        block=rows.block[frame.row],
        row=frame.row,
        number=_numbers(rows),
        upper=upper,
        p=points.p,
        q=points.q,
        point_block=points.block,
        rings=_lot_rings(rows, frame, points),
        block_rings=_block_rings(rows, bounds, points),
        corner=corner,
        share=share,
        front=np.where(upper[:, None], high, low),
        back=np.where(upper[:, None], low, high),
    )
