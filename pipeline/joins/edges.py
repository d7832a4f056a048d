"""Edges: the boundary of each area in straight runs with one neighbour each, in the order in which
surveyors write them: from the north-west corner clockwise, the outer ring before holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.geo import Floats, Geometries, Mask
from pipeline.joins.rings import Rings, corners, lengths, north_west, rings, turned
from pipeline.joins.side import Ints

SIDES = np.array(["N", "NE", "E", "SE", "S", "SW", "W", "NW"], dtype=object)
_DIGITS = 1000.0
"""Nodes that agree to the millimetre are one."""


@dataclass(frozen=True)
class Edges:
    """Edges (n,) by area and number. ``area``: its index; ``seq`` from 1; ``part`` from 1; ``ring``
    0 for the outer one; ``corner``: it begins where the boundary turns, not only where the
    neighbour changes; ``neighbour``: index among the others, -1 for none; ``shape``: the line, the
    area to its right; ``length`` in m; ``azimuth`` in degrees outwards from the area, NaN where the
    edge ends where it began."""

    area: Ints
    seq: Ints
    part: Ints
    ring: Ints
    corner: Mask
    neighbour: Ints
    shape: Geometries
    length: Floats
    azimuth: Floats

    @property
    def side(self) -> npt.NDArray[np.object_]:
        """The side of the world that each edge looks to, None where it has no azimuth."""
        eighth = np.round(np.nan_to_num(self.azimuth) / 45.0).astype(np.int64) % 8
        found = SIDES[eighth]
        found[np.isnan(self.azimuth)] = None
        return found


@dataclass(frozen=True)
class Drawing:
    """What counts as the same place, in m: ``straight``: so far a run may leave its chord;
    ``reach``: so near is a neighbour; ``least``: a shorter piece has no neighbour of its own.
    ``metres``: in a unit of the CRS."""

    straight: float
    reach: float
    least: float
    metres: float


def edges(areas: Geometries, others: Geometries, same: Ints, rule: Drawing) -> Edges:
    """The edges of ``areas`` (n,) among ``others`` (m,), where each stands at ``same`` (n,)."""
    found = rings(areas)
    if not len(found.xy):
        return _none()
    turning = corners(found, rule.straight / rule.metres)
    around = rings(others)
    twin = _twins(found, around, same)
    found, old = _cut(found, twin, around, rule)
    turning = (old >= 0) & turning[old]
    beside = _beside(found, np.where(old >= 0, twin[old], -1), others, same, rule)
    return _in_order(found, turning, beside, rule)


def _none() -> Edges:
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    no = np.zeros(0, dtype=bool)
    return Edges(whole, whole, whole, whole, no, whole, np.zeros(0, dtype=object), real, real)


def _points(xy: Floats) -> Geometries:
    return np.asarray(shapely.points(xy), dtype=object)


def _keys(one: Floats, two: Floats) -> np.ndarray:
    """A number for each segment from ``one`` (n, 2) to ``two``, the same for the same segment."""
    key = np.zeros(len(one), dtype=np.uint64)
    for values in (one[:, 0], one[:, 1], two[:, 0], two[:, 1]):
        whole = np.round(values * _DIGITS).astype(np.int64).astype(np.uint64)
        key = (key ^ whole) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def _twins(found: Rings, around: Rings, same: Ints) -> Ints:
    """For the segment after each node the other area that has it in the other direction, -1 if
    none has: so are almost all inner boundaries of a clean fabric."""
    theirs = _keys(around.xy[around.following], around.xy)
    order = np.argsort(theirs, kind="stable")
    ours = _keys(found.xy, found.xy[found.following])
    at = np.searchsorted(theirs[order], ours)
    at[at == len(order)] = 0
    met = order[at]
    other = around.area[around.ring[met]]
    good = (theirs[met] == ours) & (other != same[found.area[found.ring]])
    return np.where(good, other, -1)


def _cut(found: Rings, twin: Ints, around: Rings, rule: Drawing) -> tuple[Rings, Ints]:
    """Nodes where corners of others lie on a segment, so that every piece has one neighbour."""
    loose = np.flatnonzero(twin < 0)
    a, b = found.xy[loose], found.xy[found.following[loose]]
    nodes = _unique(np.round(around.xy * _DIGITS)) / _DIGITS
    near = shapely.STRtree(_points(nodes))
    lines = shapely.linestrings(np.stack([a, b], axis=1))
    segment, node = near.query(lines, predicate="dwithin", distance=rule.reach / rule.metres)
    step, point = (b - a)[segment], nodes[node]
    size = np.hypot(step[:, 0], step[:, 1])
    along = ((point - a[segment]) * step).sum(axis=1) / size
    apart = max(rule.reach, rule.least) / rule.metres
    inner = (along > apart) & (along < size - apart)
    segment, along, size = segment[inner], along[inner], size[inner]
    order = np.lexsort((along, segment))
    segment, along, size = segment[order], along[order], size[order]
    fresh = np.ones(len(segment), dtype=bool)
    fresh[1:] = (segment[1:] != segment[:-1]) | (np.diff(along) > apart)
    segment, share = segment[fresh], (along / size)[fresh]
    xy = a[segment] + share[:, None] * (b - a)[segment]
    return found.with_nodes(xy, loose[segment], share)


def _unique(xy: Floats) -> Floats:
    """Each of whole numbers (n, 2) once, in their order; by one number, which sorts faster."""
    if not len(xy):
        return xy
    low = xy.min(axis=0)
    high = np.int64(np.ptp(xy[:, 1])) + 1
    key = np.unique(
        (xy[:, 0] - low[0]).astype(np.int64) * high + (xy[:, 1] - low[1]).astype(np.int64)
    )
    return np.column_stack([key // high, key % high]) + low


def _beside(found: Rings, twin: Ints, others: Geometries, same: Ints, rule: Drawing) -> Ints:
    """The neighbour along the segment after each node (n,), -1 for none."""
    beside = twin.copy()
    loose = np.flatnonzero(beside < 0)
    middle = _points((found.xy[loose] + found.xy[found.following[loose]]) / 2)
    reach = rule.reach / rule.metres
    place, other = shapely.STRtree(others).query(middle, predicate="dwithin", distance=reach)
    foreign = other != same[found.area[found.ring[loose[place]]]]
    place, other = place[foreign], other[foreign]
    far = shapely.distance(middle[place], others[other])
    order = np.lexsort((other, far, place))
    met, at = np.unique(place[order], return_index=True)
    beside[loose[met]] = other[order][at]
    return beside


def _in_order(found: Rings, turning: Mask, beside: Ints, rule: Drawing) -> Edges:
    """Pieces joined to edges, numbered."""
    begins = turning | (beside != beside[found.before])
    # A ring without corners, such as a tiny one, begins anywhere.
    turns = np.bincount(found.ring, weights=turning, minlength=len(found.first)) > 0
    start = north_west(found, turning | ~turns[found.ring], rule.straight / rule.metres)
    begins[start] = turning[start] = True
    order, ring = turned(found, start)
    begin = np.flatnonzero(begins[order] | _last(ring))
    first = begin[:-1][ring[begin[1:]] == ring[begin[:-1]]]
    last = begin[1:][ring[begin[1:]] == ring[begin[:-1]]]
    size = last - first + 1
    steps = np.repeat(first, size) + np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    shape = shapely.linestrings(
        found.xy[order[steps]], indices=np.repeat(np.arange(len(first)), size)
    )
    # Added up edge by edge: whatever else is asked about, a length is the same to the last bit.
    spans = np.column_stack([first, last]).ravel()
    length = np.add.reduceat(lengths(found.xy, found.following)[order], spans)[::2]
    chord = found.xy[order[last]] - found.xy[order[first]]
    azimuth = np.degrees(np.arctan2(chord[:, 0], chord[:, 1])) - 90.0
    azimuth = np.where(np.hypot(chord[:, 0], chord[:, 1]) > 0, azimuth % 360.0, np.nan)
    rank = _ranks(found, start)[ring[first]]
    sort = np.lexsort((first, rank))
    node = order[first]
    made = Edges(
        found.area[ring[first]], np.zeros(len(first), dtype=np.int64), found.part[ring[first]] + 1,
        found.number[ring[first]], turning[node], beside[node], shape,
        length * rule.metres, azimuth,
    )  # fmt: skip
    return _numbered(made, sort)


def _last(ring: Ints) -> Mask:
    """True where a ring has come round to its beginning."""
    ends = np.ones(len(ring), dtype=bool)
    ends[:-1] = ring[1:] != ring[:-1]
    return ends


def _ranks(found: Rings, start: Ints) -> Ints:
    """The place (rings,) of each ring: by area, the north-western part first, its outer ring
    before its holes."""
    far = found.xy[start, 0] - found.xy[start, 1]
    outer = np.where(found.number == 0, np.arange(len(far)), 0)
    of_part = far[np.maximum.accumulate(outer)]
    order = np.lexsort((far, found.number > 0, found.part, of_part, found.area))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _numbered(made: Edges, order: Ints) -> Edges:
    """In ``order``, counted within each area; parts and holes counted as they come."""
    area = made.area[order]
    begins = np.ones(len(area), dtype=bool)
    begins[1:] = area[1:] != area[:-1]
    first = np.flatnonzero(begins)
    seq = np.arange(len(area)) - np.repeat(first, np.diff(np.append(first, len(area)))) + 1
    return Edges(
        area, seq, made.part[order], made.ring[order], made.corner[order], made.neighbour[order],
        made.shape[order], made.length[order], made.azimuth[order],
    )  # fmt: skip
