"""Corners that the plan cuts off where it widens streets, and the ways of single plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects
from pipeline.sample.town import Town

_CHAMFERED = 0.9
_LEGS_M = (2.0, 5.0)
_ROOM = 0.8
_BESIDE_M = 1.5
_ASKEW_M, _INTO_ROADS_M = 0.3, 0.1
_PASSAGE_M, _WITH_PASSAGE = 3.0, 0.015


@dataclass(frozen=True)
class Chamfers:
    """Corners that are cut off, (n,): of which plot, how long both legs are (m), what the cut takes
    (m2), and the triangle, which reaches a little into the planned roads."""

    lot: Ints
    leg: Floats
    area: Floats
    shapes: Objects


def chamfered(town: Town) -> Chamfers:
    """Where a street that the plan widens meets another: the corner between both planned edges."""
    city, lots = town.city, town.city.lots
    row = np.flatnonzero(np.diff(lots.row, prepend=-1))
    last = np.append(row[1:], len(lots)) - 1
    lot, end = np.concatenate([row, last]), np.repeat([0, 1], len(row))
    corner = city.points[lots.front[lot, end]]
    along = city.points[lots.front[lot, 1 - end]] - corner
    deep = city.points[lots.back[lot, end]] - corner
    frontage, depth = np.hypot(*along.T), np.hypot(*deep.T)
    u = along / frontage[:, None]
    v = deep / depth[:, None]
    askew = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    side, beside = _beside(town, corner + deep / 2, u)
    plan, now, front = town.names.width_plan, town.names.width, town.front[lot]
    beside &= (plan[front] > now[front]) & (side != front)
    drawn = city.rng("chamfers").random(len(lot)) < _CHAMFERED
    beside &= drawn | city.home_lots[lot]
    leg = np.clip(np.round(np.minimum(plan[front], plan[side]) / 2) / 2, *_LEGS_M)
    behind = []
    for street, ends in ((front, (corner, corner + along)), (side, (corner, corner + deep))):
        far = [shapely.distance(shapely.points(end), town.streets.shapes[street]) for end in ends]
        # Where a street runs more askew the cut might not reach both planned edges.
        beside &= np.abs(far[0] - far[1]) < _ASKEW_M
        wider = plan[street] > now[street]
        behind.append(np.where(wider, np.maximum(plan[street] / 2 - far[0], 0.0), 0.0))
    beside &= (behind[0] + leg < _ROOM * depth) & (behind[1] + leg < _ROOM * frontage)
    into = [(one / askew - _INTO_ROADS_M)[:, None] for one in behind]
    at = corner + v * into[0] + u * into[1]
    long = (leg + 2 * _INTO_ROADS_M)[:, None]
    triangle = np.stack([at, at + u * long, at + v * long], axis=1)
    order = np.flatnonzero(beside)
    shapes = shapely.polygons(np.round(triangle[order], 3))
    area = leg**2 * askew / 2
    return Chamfers(lot[order], leg[order], area[order], objects(shapely.orient_polygons(shapes)))


def _beside(town: Town, middle: Floats, along: Floats) -> tuple[Ints, Bools]:
    """The street nearest to the outer side of each corner plot, and whether it runs along it."""
    tree = shapely.STRtree(town.streets.shapes)
    outside = shapely.points(middle - along * _LEGS_M[0])
    street = np.asarray(tree.nearest(outside), dtype=np.int64)
    far = shapely.distance(shapely.points(middle), town.streets.shapes[street])
    return street, far <= town.names.width[street] / 2 + _BESIDE_M


def after_chamfer(town: Town, left: Floats) -> Floats:
    """What of ``left`` (lots,) is left without the chamfer, NaN where there is none."""
    found = chamfered(town)
    after = np.full(len(left), np.nan)
    after[found.lot] = left[found.lot]
    np.subtract.at(after, found.lot, np.round(found.area, 2))
    return np.asarray(np.round(after, 2), dtype=np.float64)


def passages(town: Town) -> Floats:
    """The area (lots,) of a way on a plot that only it uses, NaN for most; plot 1-12-45-4 has one
    of 3 m by 2 m."""
    city = town.city
    ends = city.points[city.lots.front]
    wide = np.hypot(*(ends[:, 1] - ends[:, 0]).T) > _PASSAGE_M * 3
    drawn = city.rng("passages")
    has: Bools = wide & (drawn.random(len(wide)) < _WITH_PASSAGE) & ~city.home_lots
    area = np.round(_PASSAGE_M * drawn.uniform(2.0, 8.0, len(wide)), 2)
    own = (city.lots.block == 0) & (city.lots.number == fixture.PASSAGE_NUMBER)
    area[own] = fixture.PASSAGE_M2
    return np.where(has | own, area, np.nan)
