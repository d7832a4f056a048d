"""Between: the contours that a spot height is seen from, and whether it lies between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.fabric.faults import Faults
from pipeline.fabric.part import Ints, Part
from pipeline.geo import Floats, Geometries, Mask

DRAWN = 0.1
"""So much of the interval a contour may be drawn beside itself."""
_RAYS = 16
_BEYOND = 1.5
_LEVELS = 3
_PIECE = 16


@dataclass(frozen=True)
class Range:
    """What contours say of the height of each spot (n,), in m: from ``low`` to ``high``, NaN where
    they say nothing."""

    low: Floats
    high: Floats

    def broken(self, heights: Floats) -> Mask:
        """Spots (n,) whose height is another."""
        return np.asarray((heights < self.low) | (heights > self.high))


def ranges(
    places: Floats, heights: Floats, contours: Geometries, levels: Floats, drawn: float = DRAWN
) -> Range:
    """What the ``contours`` (m,) of ``levels`` (m) say of spots at ``places`` (n, 2); ``drawn``: so
    much of the interval they may be drawn beside themselves.

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
    slack = interval * drawn
    found = Range(none, none.copy())
    # Beyond them nobody knows which contours are missing.
    hull = shapely.convex_hull(shapely.geometrycollections(contours))
    shapely.prepare(hull)
    inside = np.flatnonzero(shapely.covers(hull, shapely.points(places)))
    if not len(inside):
        return found
    pieces, of = _pieces(contours, levels)
    own, far = _nearest(places[inside], pieces, of)
    low, high = own[:, :2].min(axis=1) - slack, own[:, :2].max(axis=1) + slack
    doubtful = np.flatnonzero((heights[inside] < low) | (heights[inside] > high))
    reach = far[doubtful].max(axis=1) * _BEYOND
    lowest, highest = _seen(places[inside[doubtful]], reach, pieces, of)
    alone = np.where(lowest == highest, interval, slack)
    low[doubtful], high[doubtful] = lowest - alone, highest + alone
    found.low[inside], found.high[inside] = low, high
    return found


def not_between(rule: FabricRule, part: Part, others: Part) -> Faults:
    """Points of ``part`` whose ``field`` is not between the ``other_field`` of the lines that they
    see; the tolerance is the share of the interval that lines may be drawn beside themselves."""
    height = part.numbers(rule.field or "")
    xy = shapely.get_coordinates(part.shapes)
    level = others.numbers(rule.other_field or "")
    found = ranges(xy, height, others.shapes, level, rule.tolerance)
    bad = np.flatnonzero(found.broken(height))
    made = Faults()
    made.add(
        "fabric.not_between", part.texts(bad), part.shapes[bad],
        values=[f"{height[at]:g}" for at in bad],
        details=[f"{found.low[at]:.2f} … {found.high[at]:.2f}" for at in bad],
    )  # fmt: skip
    return made


def _nearest(places: Floats, pieces: Geometries, of: Floats) -> tuple[Floats, Floats]:
    """The levels nearest to each spot, and how far their nearest contours are, (n, levels): three,
    or both where there are two.

    Looks around each spot, twice as far each time, until it meets so many: what that costs follows
    from how densely contours lie, not from how many levels there are.
    """
    own, code = np.unique(of, return_inverse=True)
    wanted = min(_LEVELS, len(own))
    points = np.asarray(shapely.points(places), dtype=object)
    tree = shapely.STRtree(pieces)
    reach = shapely.distance(points, pieces[tree.nearest(points)]) * 2.0 + 1e-6
    level, far = np.zeros((len(places), wanted)), np.zeros((len(places), wanted))
    waiting = np.arange(len(places))
    while len(waiting):
        spot, piece = tree.query(points[waiting], predicate="dwithin", distance=reach[waiting])
        away = shapely.distance(points[waiting[spot]], pieces[piece])
        # Of each level the nearest contour, of these the nearest levels; of equals the lower one.
        spot, met, away = _least(spot, code[piece], away)
        rank = np.arange(len(spot)) - np.searchsorted(spot, spot)
        enough = np.bincount(spot, minlength=len(waiting)) >= wanted
        taken = (rank < wanted) & enough[spot]
        level[waiting[spot[taken]], rank[taken]] = own[met[taken]]
        far[waiting[spot[taken]], rank[taken]] = away[taken]
        waiting = waiting[~enough]
        reach[waiting] *= 2.0
    return level, far


def _least(spot: Ints, code: Ints, away: Floats) -> tuple[Ints, Ints, Floats]:
    """Of pairs of a spot and a level those that are least far ``away``, by spot and distance."""
    order = np.lexsort((away, code, spot))
    spot, code, away = spot[order], code[order], away[order]
    fresh = np.ones(len(spot), dtype=bool)
    fresh[1:] = (spot[1:] != spot[:-1]) | (code[1:] != code[:-1])
    spot, code, away = spot[fresh], code[fresh], away[fresh]
    order = np.lexsort((code, away, spot))
    return spot[order], code[order], away[order]


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
