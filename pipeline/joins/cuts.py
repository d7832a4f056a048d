"""Cuts: what is left of areas when planned roads are taken off, and what becomes of their edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries, Mask
from pipeline.joins.rings import lengths, rings
from pipeline.joins.side import Ints

ON_M = 1e-3
"""So near (m) to the old boundary a piece of the new one belongs to it."""
_TAKEN_M = 0.01
"""An edge is taken whole where less than this (m) is left of it."""


@dataclass(frozen=True)
class Left:
    """What is left of areas (rows,): indices of the area and of the group that takes from it,
    the shape (a multipolygon, perhaps empty), what is taken in square units of the CRS, and the
    latest run of what takes it."""

    area: Ints
    group: Ints
    shape: Geometries
    taken: Floats
    run: Ints

    def __len__(self) -> int:
        return len(self.area)


@dataclass(frozen=True)
class Takers:
    """What takes from areas (m,): shapes, the group of each, counted to ``groups``, and its run."""

    shape: Geometries
    group: Ints
    groups: int
    run: Ints

    def only(self, chosen: Mask) -> Takers:
        """Some of them."""
        return Takers(self.shape[chosen], self.group[chosen], self.groups, self.run[chosen])


def leave(areas: Geometries, takers: Takers, least: float) -> Left:
    """``areas`` (n,) without what takes from them, group by group; only where at least ``least``
    square units are taken."""
    groups = takers.groups
    taker, area = shapely.STRtree(areas).query(takers.shape, predicate="intersects")
    key = area * groups + takers.group[taker]
    order = np.argsort(key, kind="stable")
    key, taker = key[order], taker[order]
    met, first, count = np.unique(key, return_index=True, return_counts=True)
    shape = areas[met // groups]
    for turn in range(int(count.max(initial=0))):
        more = np.flatnonzero(count > turn)
        shape[more] = shapely.difference(shape[more], takers.shape[taker[first[more] + turn]])
    taken = shapely.area(areas[met // groups]) - shapely.area(shape)
    kept = taken >= least
    run = np.zeros(len(met), dtype=np.int64)
    np.maximum.at(run, np.repeat(np.arange(len(met)), count), takers.run[taker])
    found = met[kept]
    return Left(found // groups, found % groups, _areal(shape[kept]), taken[kept], run[kept])


def _areal(shapes: Geometries) -> Geometries:
    """The polygons of ``shapes`` (n,), as multipolygons."""
    parts, of = shapely.get_parts(shapes, return_index=True)
    flat = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    found = np.full(len(shapes), shapely.MultiPolygon(), dtype=object)
    met = np.unique(of[flat])
    if len(met):
        found[met] = shapely.multipolygons(parts[flat], indices=np.searchsorted(met, of[flat]))
    return found


@dataclass(frozen=True)
class Lines:
    """Edges (n,) of areas, by area: its index, the edge's number, and its line."""

    area: Ints
    seq: Ints
    shape: Geometries

    def areas(self, polygon: Ints, ring: Ints, count: int) -> Geometries:
        """The areas (count,) as multipolygons, with a node at the end of every edge.

        ``polygon`` and ``ring`` (n,) say where each edge stands.
        """
        xy, edge = shapely.get_coordinates(self.shape, return_index=True)
        key = np.stack([self.area, polygon, ring], axis=1)
        rows, ring_of = np.unique(key, axis=0, return_inverse=True)
        made = np.asarray(shapely.linearrings(xy, indices=ring_of.ravel()[edge]), dtype=object)
        parts, of = np.unique(rows[:, :2], axis=0, return_inverse=True)
        plots = np.asarray(shapely.polygons(made, indices=of.ravel()), dtype=object)
        found = np.full(count, shapely.MultiPolygon(), dtype=object)
        met, place = np.unique(parts[:, 0], return_inverse=True)
        found[met] = shapely.multipolygons(plots, indices=place.ravel())
        return found


@dataclass(frozen=True)
class Moved:
    """What becomes of edges (rows,): indices of what is left and of the edge, its length, and how
    far it moves at most (0: not at all), in units of the CRS. ``row`` (pieces,) is where each of
    the ``pieces`` of the new boundary counts."""

    left: Ints
    edge: Ints
    length: Floats
    depth: Floats
    pieces: Pieces
    row: Ints


@dataclass(frozen=True)
class Pieces:
    """Straight pieces (pieces,) of boundaries, in order: the index of the shape, ``ends``
    (pieces, 2, 2), ``middle`` points, length, and the piece before and after each in its ring."""

    left: Ints
    ends: Floats
    middle: Geometries
    length: Floats
    before: Ints
    following: Ints

    @staticmethod
    def of(shapes: Geometries) -> Pieces:
        """Those of ``shapes`` (n,)."""
        ring = rings(shapes)
        ends = np.stack([ring.xy, ring.xy[ring.following]], axis=1)
        middle = np.asarray(shapely.points(ends.mean(axis=1)), dtype=object)
        size = lengths(ring.xy, ring.following)
        return Pieces(ring.area[ring.ring], ends, middle, size, ring.before, ring.following)

    @property
    def lines(self) -> Geometries:
        """Each as a line."""
        return np.asarray(shapely.linestrings(self.ends), dtype=object)


def moved(left: Left, edges: Lines, on: float) -> Moved:
    """What becomes of the ``edges`` of areas of which something is ``left``.

    Every piece of the new boundary counts for one edge, so that the lengths add up to it. What lies
    ``on`` the old one stays with its edge. A cut goes to the nearest of the edges that are taken
    whole, or where none is, to the one that loses most.
    """
    first = np.searchsorted(edges.area, left.area)
    count = np.searchsorted(edges.area, left.area, side="right") - first
    begin = np.cumsum(count) - count
    row_left = np.repeat(np.arange(len(left)), count)
    row_edge = np.repeat(first - begin, count) + np.arange(count.sum())
    pieces = Pieces.of(left.shape)
    pairs = Pairs.of(pieces.left, begin, count)
    far = shapely.distance(pieces.middle[pairs.piece], edges.shape[row_edge[pairs.row]])
    near, row = pairs.nearest(far, np.ones(len(far), dtype=bool))
    stays = near <= on
    length = np.bincount(row[stays], weights=pieces.length[stays], minlength=len(row_edge))
    lost = shapely.length(edges.shape[row_edge]) - length
    cut = ~stays
    _, least = pairs.nearest(far, _candidates(lost, length, row_left, on)[pairs.row])
    row = np.where(cut, least, row)
    np.add.at(length, row[cut], pieces.length[cut])
    depth = np.zeros(len(row_edge))
    for end in (0, 1):
        away = shapely.distance(
            np.asarray(shapely.points(pieces.ends[cut, end])), edges.shape[row_edge[row[cut]]]
        )
        np.maximum.at(depth, row[cut], away)
    return Moved(row_left, row_edge, length, depth, pieces, row)


def _candidates(lost: Floats, length: Floats, row_left: Ints, on: float) -> np.ndarray:
    """The edges (rows,) that a cut may count for."""
    whole = (length <= _TAKEN_M / ON_M * on) & (lost > on)
    many = int(row_left.max(initial=-1)) + 1
    some = np.bincount(row_left, weights=whole, minlength=many) > 0
    most = np.zeros(many)
    np.maximum.at(most, row_left, lost)
    return np.where(some[row_left], whole, lost >= most[row_left])


@dataclass(frozen=True)
class Pairs:
    """Pieces of a boundary, each with all rows of its area: ``piece`` and ``row`` (pairs,)."""

    piece: Ints
    row: Ints
    first: Ints

    @staticmethod
    def of(piece_left: Ints, begin: Ints, count: Ints) -> Pairs:
        """Pieces of areas (``piece_left``), whose rows ``begin`` there and are so many."""
        many = count[piece_left]
        first = np.cumsum(many) - many
        piece = np.repeat(np.arange(len(piece_left)), many)
        row = np.repeat(begin[piece_left] - first, many) + np.arange(many.sum())
        return Pairs(piece, row, first)

    def nearest(self, far: Floats, allowed: np.ndarray) -> tuple[Floats, Ints]:
        """For each piece how far the nearest edge that is allowed lies, and its row."""
        if not len(self.piece):
            return np.zeros(0), np.zeros(0, dtype=np.int64)
        far = np.where(allowed, far, np.inf)
        least = np.minimum.reduceat(far, self.first)
        hit = np.flatnonzero(far == least[self.piece])
        _, at = np.unique(self.piece[hit], return_index=True)
        return least, self.row[hit[at]]
