"""The street network: axes cut at junctions, from boulevards to culs-de-sac.

Every street is a straight line of the board, east-west or north-south. A place on a line is one
whole number (line * MM_OF_LINE + mm), so that junctions met from both sides are the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects, offsets, owners
from pipeline.sample.cells import Kind
from pipeline.sample.model import City

MM_OF_LINE = 10**9
_SHIFT_MM = 10**8
_STEP_M = 25.0
_SHORT_MM = 4000


@dataclass(frozen=True)
class Lines:
    """Straight lines of the board; arrays (lines,). ``axis`` is y, of ``vertical`` ones x (m).

    ``cell`` is the cell of a lane, -1 for streets between cells; ``closed`` are culs-de-sac.
    """

    vertical: Bools
    axis: Floats
    width: Floats
    cell: Ints
    closed: Bools


@dataclass(frozen=True)
class Streets:
    """Segments between junctions; arrays (segments,). ``start``/``end`` are m along the line."""

    lines: Lines
    line: Ints
    start: Floats
    end: Floats
    shapes: Objects
    lane_line: Ints
    keys: Ints

    def __len__(self) -> int:
        return len(self.line)

    def at(self, line: Ints, position: Floats) -> Ints:
        """The segment of ``line`` at ``position`` (m along it)."""
        found = np.searchsorted(self.keys, key(line, position), side="right") - 1
        return np.clip(found, 0, len(self.keys) - 1).astype(np.int64)


def key(line: Ints, position: Floats) -> Ints:
    """A place on a line as one whole number."""
    return line * MM_OF_LINE + np.rint(position * 1000).astype(np.int64) + _SHIFT_MM


@dataclass
class _Draft:
    """Lines, the stretches of them that are streets, and the places where others meet them."""

    vertical: list[Bools]
    axis: list[Floats]
    width: list[Floats]
    cell: list[Ints]
    closed: list[Bools]
    spans: list[tuple[Ints, Floats, Floats]]
    marks: list[tuple[Ints, Floats]]
    count: int = 0

    def add(
        self, vertical: Bools, axis: Floats, width: Floats, cell: Ints, *, closed: bool = False
    ) -> Ints:
        """New lines; returns their numbers."""
        self.vertical.append(vertical)
        self.axis.append(axis)
        self.width.append(width)
        self.cell.append(cell)
        self.closed.append(np.full(len(axis), closed))
        self.count += len(axis)
        return np.arange(self.count - len(axis), self.count)

    def span(self, line: Ints, start: Floats, end: Floats) -> None:
        """A street runs on ``line`` between ``start`` and ``end`` (m), in either order."""
        self.spans.append((line, np.minimum(start, end), np.maximum(start, end)))

    def meet(self, line: Ints, position: Floats) -> None:
        """Another street meets ``line`` at ``position`` (m)."""
        self.marks.append((line, position))

    def lines(self) -> Lines:
        """All lines."""
        return Lines(
            np.concatenate(self.vertical),
            np.concatenate(self.axis),
            np.concatenate(self.width),
            np.concatenate(self.cell),
            np.concatenate(self.closed),
        )


def _between_cells(city: City, draft: _Draft, built: Bools) -> None:
    """The streets that bound cells: whole lines of the board, streets where a cell is built."""
    cells = city.cells
    n = int(max(cells.line_east.max(), cells.line_north.max())) + 1
    axis, width, vertical = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.bool_)
    sides = (
        (cells.line_south, cells.south, cells.half_south, cells.west, cells.east),
        (cells.line_north, cells.north, cells.half_north, cells.west, cells.east),
        (cells.line_west, cells.west, cells.half_west, cells.south, cells.north),
        (cells.line_east, cells.east, cells.half_east, cells.south, cells.north),
    )
    river = (cells.kind == Kind.RIVER) & (np.arange(len(cells)) < np.flatnonzero(built)[-1])
    for number, (line, at, half, start, end) in enumerate(sides):
        axis[line], width[line], vertical[line] = at, 2 * half, number > 1
        # Only the boulevards cross the river, on its cells' sides.
        street = built | river if number > 1 else built
        draft.span(line[street], start[street], end[street])
    draft.add(vertical, axis, width, np.full(n, -1))


def _meet_bounds(
    city: City, draft: _Draft, cell: Ints, position: Floats, *, crosses_p: bool, far: bool = True
) -> None:
    """Marks where lanes of ``cell`` reach its bounding streets: at the low end of p (or q), and
    with ``far`` at the high end."""
    cells = city.cells
    turned = cells.turned[cell]
    if crosses_p:
        low = np.where(turned, cells.line_south[cell], cells.line_west[cell])
        high = np.where(turned, cells.line_north[cell], cells.line_east[cell])
    else:
        low = np.where(turned, cells.line_east[cell], cells.line_south[cell])
        high = np.where(turned, cells.line_west[cell], cells.line_north[cell])
    draft.meet(low, position)
    if far:
        draft.meet(high, position)


def _inside_cells(city: City, draft: _Draft) -> Ints:
    """Lanes and cross lanes, whole across their cell; returns the lines of the lanes."""
    cells, lanes = city.cells, city.lanes
    turned = cells.turned
    length = np.where(turned, cells.north - cells.south, cells.east - cells.west)
    depth = np.where(turned, cells.east - cells.west, cells.north - cells.south)
    cell, cross_cell = owners(lanes.count)[0], owners(lanes.cross_count)[0]
    x, y = city.board(cell, np.zeros(len(cell)), lanes.q)
    axis, along = np.where(turned[cell], x, y), np.where(turned[cell], y, x)
    lane = draft.add(turned[cell], axis, lanes.width, cell)
    draft.span(lane, along, along + length[cell])
    _meet_bounds(city, draft, cell, axis, crosses_p=True)
    x, y = city.board(cross_cell, lanes.cross_p, np.zeros(len(cross_cell)))
    turned_x = turned[cross_cell]
    cross_axis, start = np.where(turned_x, y, x), np.where(turned_x, x, y)
    cross = draft.add(~turned_x, cross_axis, lanes.cross_width, cross_cell)
    end = np.where(turned_x, start - depth[cross_cell], start + depth[cross_cell])
    draft.span(cross, start, end)
    _meet_bounds(city, draft, cross_cell, cross_axis, crosses_p=False)
    # Every lane of a cell crosses every cross lane of the same cell.
    group, within = owners(lanes.count * lanes.cross_count)
    a = offsets(lanes.count)[group] + within // np.maximum(lanes.cross_count[group], 1)
    b = offsets(lanes.cross_count)[group] + within % np.maximum(lanes.cross_count[group], 1)
    draft.meet(lane[a], cross_axis[b])
    draft.meet(cross[b], axis[a])
    _culs_de_sac(city, draft, cross)
    return lane


def _culs_de_sac(city: City, draft: _Draft, cross: Ints) -> None:
    blocks = city.blocks
    at = np.flatnonzero(blocks.lane > 0)
    cell, part = blocks.cell[at], blocks.part[at]
    before = offsets(city.lanes.cross_count)[cell] + part - 1
    begin = np.zeros(len(at))
    begin[part > 0] = city.lanes.cross_p[before[part > 0]]
    turned = city.cells.turned[cell]
    x0, y0 = city.board(cell, begin, blocks.split[at])
    x1, y1 = city.board(cell, blocks.p1[at] - blocks.tail[at] - 1.0, blocks.split[at])
    axis = np.where(turned, x0, y0)
    line = draft.add(turned, axis, blocks.lane[at], cell, closed=True)
    draft.span(line, np.where(turned, y0, x0), np.where(turned, y1, x1))
    draft.meet(cross[before[part > 0]], axis[part > 0])
    edge = part == 0
    _meet_bounds(city, draft, cell[edge], axis[edge], crosses_p=True, far=False)


def streets(city: City) -> Streets:
    """All streets of the built city."""
    draft = _Draft([], [], [], [], [], [], [])
    built = np.zeros(len(city.cells), dtype=np.bool_)
    built[city.blocks.cell] = True
    _between_cells(city, draft, built & (city.cells.kind != Kind.RIVER))
    lane = _inside_cells(city, draft)
    lines = draft.lines()
    whole = (lines.cell < 0) | built[lines.cell]
    starts = np.concatenate([key(line, start) for line, start, _ in draft.spans])
    ends = np.concatenate([key(line, end) for line, _, end in draft.spans])
    marks = np.concatenate([key(line, position) for line, position in draft.marks])
    keys = np.unique(np.concatenate([starts, ends, marks]))
    open_count = np.bincount(np.searchsorted(keys, starts), minlength=len(keys))
    open_count -= np.bincount(np.searchsorted(keys, ends), minlength=len(keys))
    used = np.flatnonzero((np.cumsum(open_count) > 0) & whole[keys // MM_OF_LINE])
    first, last = _merged(keys[used], keys[used + 1])
    line, start, end = first // MM_OF_LINE, _position(first), _position(last)
    shapes = _shapes(city, lines, line, start, end)
    return Streets(lines, line, start, end, shapes, lane, first)


def _position(keys: Ints) -> Floats:
    return np.asarray((keys % MM_OF_LINE - _SHIFT_MM) / 1000.0, dtype=np.float64)


def _merged(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Segments as from and to keys, short ones joined to the next (or last) of the same street."""
    short = last - first < _SHORT_MM
    goes_on = np.append(last[:-1] == first[1:], False)
    before_end = np.append(short[1:] & ~goes_on[1:], False)
    joined = goes_on & (short | before_end)
    begins = np.append(True, ~joined[:-1])
    return first[begins], last[np.append(np.flatnonzero(begins)[1:] - 1, len(first) - 1)]


def _shapes(city: City, lines: Lines, line: Ints, start: Floats, end: Floats) -> Objects:
    """Line strings with a vertex about every 25 m, for the ground is curved."""
    pieces = np.maximum(np.ceil((end - start) / _STEP_M), 1).astype(np.int64)
    group, within = owners(pieces + 1)
    along = start[group] + (end - start)[group] * within / pieces[group]
    axis, vertical = lines.axis[line][group], lines.vertical[line][group]
    x, y = np.where(vertical, axis, along), np.where(vertical, along, axis)
    return objects(shapely.linestrings(city.ground.place(x, y), indices=group))


def yas(streets: Streets) -> Bools:
    """The segments of kuche-ye Yas."""
    return np.asarray(streets.line == streets.lane_line[fixture.YAS_LANE])
