"""Between: the contours that a spot height is seen from, and whether it lies between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries, Mask

_RAYS = 16
_BEYOND = 1.5
_LEVELS = 3
_PIECE = 16
_DRAWN = 0.1
"""So much of the interval a contour may be drawn beside itself."""


@dataclass(frozen=True)
class Range:
    """What contours say of the height of each spot (n,), in m: from ``low`` to ``high``, NaN where
    they say nothing."""

    low: Floats
    high: Floats

    def broken(self, heights: Floats) -> Mask:
        """Spots (n,) whose height is another."""
        return np.asarray((heights < self.low) | (heights > self.high))


def ranges(places: Floats, heights: Floats, contours: Geometries, levels: Floats) -> Range:
    """What the ``contours`` (m,) of ``levels`` (m) say of spots at ``places`` (n, 2).

    A spot that sees contours of several levels lies between the lowest and the highest of them; one
    that sees a single level, as on a hill or in a pit, less than an interval from it. Seen is what
    no other contour hides; those that are nearest decide wherever ``heights`` (n,) agree with them.
    Of spots beyond all contours nothing is known.
    """
    steps = np.diff(np.unique(levels))
    none = np.full(len(places), np.nan)
    if not len(steps) or not len(places):
        return Range(none, none.copy())
    interval = float(np.median(steps))
    pieces, of = _pieces(contours, levels)
    own, far = _by_level(places, pieces, of)
    order = np.argsort(far, axis=0, kind="stable")[:_LEVELS]
    near = own[order[:2]]
    slack = interval * _DRAWN
    found = Range(near.min(axis=0) - slack, near.max(axis=0) + slack)
    doubtful = np.flatnonzero(found.broken(heights))
    reach = np.take_along_axis(far, order, axis=0).max(axis=0)[doubtful] * _BEYOND
    low, high = _seen(places[doubtful], reach, pieces, of)
    alone = low == high
    found.low[doubtful] = np.where(alone, low - interval, low - slack)
    found.high[doubtful] = np.where(alone, high + interval, high + slack)
    # Beyond them nobody knows which contours are missing.
    hull = shapely.convex_hull(shapely.geometrycollections(contours))
    shapely.prepare(hull)
    beyond = ~shapely.covers(hull, shapely.points(places))
    found.low[beyond] = found.high[beyond] = np.nan
    return found


def _by_level(places: Floats, pieces: Geometries, of: Floats) -> tuple[Floats, Floats]:
    """Every level (levels,), and how far from each spot its nearest contour is (levels, n)."""
    own = np.unique(of)
    points = np.asarray(shapely.points(places), dtype=object)
    far = np.empty((len(own), len(points)))
    for place, level in enumerate(own):
        lines = pieces[of == level]
        nearest = shapely.STRtree(lines).nearest(points)
        far[place] = shapely.distance(points, lines[nearest])
    return own, far


def _seen(places: Floats, reach: Floats, pieces: Geometries, of: Floats) -> tuple[Floats, Floats]:
    """The lowest and the highest level (n,) that spots see within ``reach`` (n,), NaN for none."""
    points = np.asarray(shapely.points(places), dtype=object)
    turn = 2.0 * np.pi * np.arange(_RAYS) / _RAYS
    spot = np.repeat(np.arange(len(places)), _RAYS)
    toward = np.tile(np.column_stack([np.cos(turn), np.sin(turn)]), (len(places), 1))
    ends = places[spot] + toward * reach[spot, None]
    rays = np.asarray(shapely.linestrings(np.stack([places[spot], ends], axis=1)), dtype=object)
    ray, piece = shapely.STRtree(pieces).query(rays, predicate="intersects")
    met = shapely.intersection(rays[ray], pieces[piece])
    far = shapely.distance(points[spot[ray]], met)
    order = np.lexsort((far, ray))
    first = order[np.unique(ray[order], return_index=True)[1]]
    low, high = np.full(len(places), np.inf), np.full(len(places), -np.inf)
    np.minimum.at(low, spot[ray[first]], of[piece[first]])
    np.maximum.at(high, spot[ray[first]], of[piece[first]])
    blind = ~np.isfinite(low)
    low[blind] = high[blind] = np.nan
    return low, high


def _pieces(contours: Geometries, levels: Floats) -> tuple[Geometries, Floats]:
    """Contours in short pieces, so that a ray meets few of them, and the level of each."""
    parts, of_part = shapely.get_parts(contours, return_index=True)
    xy, line = shapely.get_coordinates(parts, return_index=True)
    begins = np.flatnonzero(np.diff(line, prepend=-1))
    within = np.arange(len(line)) - begins[line]
    # Each piece ends where the next begins, so a point between two stands in both.
    twice = (within % _PIECE == 0) & (within > 0)
    count = np.where(twice, 2, 1)
    at = np.repeat(np.arange(len(line)), count)
    second = np.diff(at, prepend=-1) == 0
    piece = line[at] * (int(within.max()) // _PIECE + 2) + within[at] // _PIECE
    piece -= np.repeat(twice, count) & ~second
    _, first, size = np.unique(piece, return_index=True, return_counts=True)
    long = size > 1
    keep = np.repeat(long, size)
    made = shapely.linestrings(
        xy[at][keep], indices=np.repeat(np.arange(int(long.sum())), size[long])
    )
    return np.asarray(made, dtype=object), levels[of_part[line[at[first[long]]]]]
