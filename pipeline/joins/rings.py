"""Rings: the boundaries of areas as nodes in order, and where they turn.

Outer rings run clockwise and holes the other way, so that the area always lies to the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.geo import Floats, Geometries, Mask
from pipeline.joins.side import Ints


@dataclass(frozen=True)
class Rings:
    """Nodes (n,) of all rings, ring after ring, without the closing one.

    ``xy`` (n, 2) in the CRS; ``ring`` (n,) counts all rings from 0. Of each ring (rings,):
    ``first`` node and ``count``, its ``area`` (index), polygon ``part`` of that area and
    ``number`` in it, 0 for the outer one.
    """

    xy: Floats
    ring: Ints
    first: Ints
    count: Ints
    area: Ints
    part: Ints
    number: Ints

    @property
    def following(self) -> Ints:
        """The node (n,) after each."""
        after = np.arange(1, len(self.xy) + 1)
        after[self.first + self.count - 1] = self.first
        return after

    @property
    def before(self) -> Ints:
        """The node (n,) before each."""
        before = np.arange(-1, len(self.xy) - 1)
        before[self.first] = self.first + self.count - 1
        return before

    def with_nodes(self, xy: Floats, after: Ints, along: Floats) -> tuple[Rings, Ints]:
        """More nodes, each on the segment that begins at the node ``after``, in the order of
        ``along``; and the place in ``self`` of every node, -1 for a new one."""
        place = np.concatenate([np.arange(len(self.xy)), after])
        old = np.concatenate([np.arange(len(self.xy)), np.full(len(after), -1)])
        order = np.lexsort((np.concatenate([np.zeros(len(self.xy)), along]), place))
        ring = self.ring[place[order]]
        count = np.bincount(ring, minlength=len(self.count))
        made = Rings(
            np.concatenate([self.xy, xy])[order], ring, np.cumsum(count) - count, count,
            self.area, self.part, self.number,
        )  # fmt: skip
        return made, old[order]


def rings(areas: Geometries) -> Rings:
    """The rings of polygons and multipolygons (areas,); nodes that repeat are left out."""
    parts, area = shapely.get_parts(areas, return_index=True)
    parts = shapely.orient_polygons(parts, exterior_cw=True)
    lines, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(lines, return_index=True)
    same = np.zeros(len(xy), dtype=bool)
    same[1:] = (ring[1:] == ring[:-1]) & (xy[1:] == xy[:-1]).all(axis=1)
    last = np.ones(len(xy), dtype=bool)
    last[:-1] = ring[1:] != ring[:-1]
    kept = ~(same | last)
    xy, ring = xy[kept], ring[kept]
    count = np.bincount(ring, minlength=len(lines))
    return Rings(
        xy, ring, np.cumsum(count) - count, count,
        area[part], _within(area)[part], _within(part),
    )  # fmt: skip


def _within(group: Ints) -> Ints:
    """The number of each entry in its group, from 0; groups stand together."""
    begins = np.ones(len(group), dtype=bool)
    begins[1:] = group[1:] != group[:-1]
    first = np.flatnonzero(begins)
    return np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))


def north_west(found: Rings, chosen: Mask, tie: float) -> Ints:
    """The node (rings,) of each ring that lies farthest to the north-west among ``chosen``; of
    those that differ by no more than ``tie`` (units of the CRS) the northernmost.

    Every ring must have a chosen node.
    """
    far = np.where(chosen, found.xy[:, 1] - found.xy[:, 0], -np.inf)
    most = np.maximum.reduceat(far, found.first)
    north = np.where(far >= most[found.ring] - tie, found.xy[:, 1], -np.inf)
    top = np.maximum.reduceat(north, found.first)
    best = np.flatnonzero(north == top[found.ring])
    _, at = np.unique(found.ring[best], return_index=True)
    return best[at]


def corners(found: Rings, straight: float) -> Mask:
    """True for nodes (n,) where the boundary turns: what is left of it when it may be drawn
    ``straight`` (units of the CRS) beside itself (Douglas and Peucker)."""
    everywhere = np.ones(len(found.xy), dtype=bool)
    start = north_west(found, everywhere, straight)
    order, ring = turned(found, start)
    # The height of a point carries its node through the simplification.
    points = np.column_stack([found.xy[order], order.astype(np.float64)])
    drawn = shapely.simplify(
        shapely.linestrings(points, indices=ring), straight, preserve_topology=False
    )
    kept = shapely.get_coordinates(drawn, include_z=True)[:, 2].astype(np.int64)
    turning = np.zeros(len(found.xy), dtype=bool)
    turning[kept] = True
    # Where the drawing began need not be a corner.
    turning[start[_on_chord(found, turning, start, straight)]] = False
    return turning


def _on_chord(found: Rings, turning: Mask, start: Ints, straight: float) -> Mask:
    """Whether the ``start`` (rings,) of each ring lies between its neighbouring corners."""
    places = np.flatnonzero(turning)
    many = np.bincount(found.ring[places], minlength=len(found.first))
    begin = np.cumsum(many) - many
    at = np.searchsorted(places, start) - begin
    left = places[begin + (at - 1) % many]
    right = places[begin + (at + 1) % many]
    a, b, p = found.xy[left], found.xy[right], found.xy[start]
    chord = shapely.linestrings(np.stack([a, b], axis=1))
    off = shapely.distance(chord, shapely.points(p))
    between = ((b - a) * (p - a)).sum(axis=1) * ((a - b) * (p - b)).sum(axis=1) > 0
    return np.asarray((many > 3) & (off <= straight) & between)


def turned(found: Rings, start: Ints) -> tuple[Ints, Ints]:
    """Every ring from its node ``start`` (rings,) round to it again: nodes, and their rings."""
    size = found.count + 1
    ring = np.repeat(np.arange(len(size)), size)
    step = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    first = found.first[ring]
    return first + (start[ring] - first + step) % found.count[ring], ring


def lengths(xy: Floats, following: npt.NDArray[np.int64]) -> Floats:
    """How long the segment from each node to the next is, in units of the CRS."""
    step = xy[following] - xy
    return np.hypot(step[:, 0], step[:, 1])
