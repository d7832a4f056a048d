"""Bevels: the edges of areas when their corners are cut off, each cut an edge of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries, Mask
from pipeline.joins.cuts import Left, Lines, Moved, Pairs, Pieces, Takers, leave, moved
from pipeline.joins.side import Ints

_SIDE_BY_SIDE = 4
"""So many pieces of cuts may follow each other at a corner."""


@dataclass(frozen=True)
class Bevels:
    """Edges (rows,) of what is left: indices of it, and of the edge; ``after``, the index of the
    edge that follows a cut, and ``corner``, the index of the taker that makes it (both -1: the edge
    itself); length in units of the CRS, and the line of a cut, else None."""

    left: Ints
    edge: Ints
    after: Ints
    corner: Ints
    length: Floats
    shape: Geometries

    @staticmethod
    def joined(parts: list[Bevels]) -> Bevels:
        """All parts as one."""
        return Bevels(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))

    def only(self, chosen: Mask) -> Bevels:
        """Some of them."""
        return Bevels(*(getattr(self, name)[chosen] for name in _NAMES))


_NAMES = ("left", "edge", "after", "corner", "length", "shape")


def bevels(
    areas: Geometries, edges: Lines, takers: Takers, corner: Mask, least: float, on: float
) -> tuple[Left, Bevels]:
    """What is left of the ``areas`` (n,) that a ``corner`` (m,) among the ``takers`` cuts, group by
    group, and its edges.

    A piece of the new boundary that lies ``on`` the boundary which the other takers leave counts
    for the edge that it counts for there; the others are the cuts. So the lengths of both add up to
    the new boundary. A corner that takes less than ``least`` square units is none.
    """
    after = leave(areas, takers, least)
    before = _before(areas, after, takers.only(~corner))
    cut = shapely.area(before.shape) - shapely.area(after.shape) >= least
    after, before = _some(after, cut), _some(before, cut)
    edged = moved(before, edges, on)
    pieces = Pieces.of(after.shape)
    row = _on_old(pieces, edged, len(before), on)
    length = np.bincount(row[row >= 0], weights=pieces.length[row >= 0], minlength=len(edged.edge))
    kept = np.full(len(length), -1, dtype=np.int64)
    none = np.full(len(length), None, dtype=object)
    stay = Bevels(edged.left, edged.edge, kept, kept, length, none)
    cuts = row < 0
    number = _corner_of(pieces, after, takers, np.flatnonzero(corner), cuts, on)
    return after, Bevels.joined([stay, _cuts(pieces, number, np.append(edged.edge, -1)[row])])


def _before(areas: Geometries, after: Left, takers: Takers) -> Left:
    """What ``takers`` leave of each area and group of ``after``; most touch nothing there."""
    left = leave(areas, takers, -np.inf)
    groups = takers.groups
    shape = areas[after.area]
    wanted, known = (one.area * groups + one.group for one in (after, left))
    at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    if len(known):
        met = known[at] == wanted
        shape[met] = left.shape[at[met]]
    return Left(after.area, after.group, shape, after.taken, after.run)


def _some(left: Left, chosen: Mask) -> Left:
    return Left(
        left.area[chosen], left.group[chosen], left.shape[chosen], left.taken[chosen],
        left.run[chosen],
    )  # fmt: skip


def _on_old(pieces: Pieces, edged: Moved, count: int, on: float) -> Ints:
    """The row of ``edged`` that each piece counts for, -1 for a piece of a cut."""
    old = edged.pieces
    first = np.searchsorted(old.left, np.arange(count))
    many = np.searchsorted(old.left, np.arange(count), side="right") - first
    pairs = Pairs.of(pieces.left, first, many)
    far = shapely.distance(pieces.middle[pairs.piece], old.lines[pairs.row])
    near, at = pairs.nearest(far, np.ones(len(far), dtype=bool))
    return np.where(near <= on, np.append(edged.row, -1)[at], -1)


def _corner_of(
    pieces: Pieces, left: Left, takers: Takers, corners: Ints, cut: Mask, on: float
) -> Ints:
    """The taker among ``corners`` that makes each piece which is ``cut``, -1 for the others."""
    number = np.full(len(pieces.left), -1, dtype=np.int64)
    asked = np.flatnonzero(cut)
    outline = shapely.boundary(takers.shape[corners])
    tree = shapely.STRtree(takers.shape[corners])
    piece, corner = tree.query(pieces.middle[asked], predicate="dwithin", distance=on)
    same = takers.group[corners[corner]] == left.group[pieces.left[asked[piece]]]
    piece, corner = piece[same], corner[same]
    far = shapely.distance(pieces.middle[asked[piece]], outline[corner])
    order = np.lexsort((corner, far, piece))
    met, at = np.unique(piece[order], return_index=True)
    number[asked[met]] = corners[corner[order][at]]
    return number


def _cuts(pieces: Pieces, number: Ints, edge: Ints) -> Bevels:
    """Pieces of one cut that follow each other, as one edge; ``edge`` (pieces,): -1 for a cut."""
    begins = np.flatnonzero((number >= 0) & (number[pieces.before] != number))
    length, last = pieces.length[begins], begins.copy()
    nodes = [pieces.ends[begins, 0], pieces.ends[begins, 1]]
    owner = [np.arange(len(begins))] * 2
    going = np.arange(len(begins))
    while len(going):
        step = pieces.following[last[going]]
        on = number[step] == number[begins[going]]
        going, step = going[on], step[on]
        length[going] += pieces.length[step]
        last[going] = step
        nodes.append(pieces.ends[step, 1])
        owner.append(going)
    of = np.concatenate(owner)
    order = np.argsort(of, kind="stable")
    shape = shapely.linestrings(np.concatenate(nodes)[order], indices=of[order])
    follows, after = pieces.before[begins], pieces.following[last]
    for _ in range(_SIDE_BY_SIDE):
        follows = np.where(edge[follows] < 0, pieces.before[follows], follows)
    found = Bevels(
        pieces.left[begins], edge[follows], edge[after], number[begins], length,
        np.asarray(shape, dtype=object),
    )  # fmt: skip
    return found.only(found.edge >= 0)
