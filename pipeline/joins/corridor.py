"""Corridors: the area of a planned road, from its axis and its widths."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely

from pipeline.contracts.fact import Corridor
from pipeline.fabric.part import unions
from pipeline.geo import Floats, Geometries
from pipeline.joins.side import Ints, Side


def corridors(axes: Side, rule: Corridor, metres: float) -> Geometries:
    """The road that each of ``axes`` (n,) is the axis of; None where no width is given.

    ``metres``: metres in a unit of the CRS. Ends are flat. Where axes of one road meet at an angle,
    the wedge between their ends is road as well: it goes to both, and an overlay counts it once.
    """
    left, right = _halves(axes, rule, metres)
    known = ~np.isnan(left) & ~np.isnan(right) & ~shapely.is_missing(axes.shapes)
    made = np.full(len(axes), None, dtype=object)
    even = known & np.isclose(left, right)
    made[even] = shapely.buffer(axes.shapes[even], left[even], cap_style="flat", join_style="mitre")
    for side, sign, distance in (("left", 1.0, left), ("right", -1.0, right)):
        at = np.flatnonzero(known & ~even & (distance > 0))
        if len(at):
            halves = shapely.buffer(
                axes.shapes[at], sign * distance[at],
                cap_style="flat", join_style="mitre", single_sided=True,
            )  # fmt: skip
            made[at] = halves if side == "left" else shapely.union(made[at], halves)
    _fill_wedges(axes, rule, np.fmax(left, right), made)
    return made


def _halves(axes: Side, rule: Corridor, metres: float) -> tuple[Floats, Floats]:
    """How far the edges lie from the axis to its left and right, in units of the CRS."""
    half = numbers(axes, rule.width) / 2
    sides = [half if name is None else numbers(axes, name) for name in (rule.left, rule.right)]
    left, right = (np.where(np.isnan(one), half, one) / metres for one in sides)
    return left, right


def numbers(axes: Side, name: str) -> Floats:
    """A field of the axes (n,), NaN where it is empty."""
    values = axes.columns[name].cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _fill_wedges(axes: Side, rule: Corridor, reach: Floats, made: Geometries) -> None:
    """Rounds the corner where axes of one road meet: a disc of the narrowest half width there."""
    road = _roads(axes, rule)
    known = np.flatnonzero(~shapely.is_missing(made) & (road >= 0))
    if not len(known):
        return
    parts, of_part = shapely.get_parts(axes.shapes[known], return_index=True)
    ends = np.concatenate([shapely.get_point(parts, 0), shapely.get_point(parts, -1)])
    owner = known[np.concatenate([of_part, of_part])]
    xy = np.round(shapely.get_coordinates(ends), 3)
    keys = np.column_stack([xy, road[owner]])
    _, index = np.unique(keys, axis=0, return_inverse=True)
    index = index.ravel()
    narrow = np.full(int(index.max()) + 1, np.inf)
    np.minimum.at(narrow, index, reach[owner])
    order = np.argsort(owner, kind="stable")
    meeting = order[np.bincount(index)[index[order]] > 1]
    if not len(meeting):
        return
    discs = shapely.buffer(ends[meeting], narrow[index[meeting]], quad_segs=8)
    target, first, count = np.unique(owner[meeting], return_index=True, return_counts=True)
    for turn in range(int(count.max())):
        more = np.flatnonzero(count > turn)
        made[target[more]] = shapely.union(made[target[more]], discs[first[more] + turn])


def _roads(axes: Side, rule: Corridor) -> Ints:
    """A number for each road (n,), -1 where it is not known which."""
    number = np.zeros(len(axes), dtype=np.int64)
    for name in rule.along:
        coded = axes.columns[name].dictionary_encode()
        codes = np.asarray(coded.indices.fill_null(-1), dtype=np.int64)
        number = np.where(
            (codes < 0) | (number < 0), -1, number * (len(coded.dictionary) + 1) + codes
        )
    return number if rule.along else np.full(len(axes), -1, dtype=np.int64)


def strips(lines: Side, depth: str, axes: Geometries, metres: float) -> Geometries:
    """The ground of ``depth`` (a field, m) on that side of each line (n,) where the nearest of
    ``axes`` lies; None where there is no depth, or no axis."""
    wide = numbers(lines, depth) / metres
    made = np.full(len(lines), None, dtype=object)
    known = np.flatnonzero((wide > 0) & ~shapely.is_missing(lines.shapes))
    if not len(known) or not len(axes):
        return made
    parts, of = shapely.get_parts(lines.shapes[known], return_index=True)
    around = [
        shapely.line_interpolate_point(parts, share, normalized=True) for share in (0.49, 0.5, 0.51)
    ]
    nearest = axes[shapely.STRtree(axes).nearest(around[1])]
    link = shapely.get_coordinates(shapely.shortest_line(around[1], nearest)).reshape(-1, 2, 2)
    run = shapely.get_coordinates(around[2]) - shapely.get_coordinates(around[0])
    away = link[:, 1] - link[:, 0]
    left = run[:, 0] * away[:, 1] - run[:, 1] * away[:, 0] > 0
    drawn = shapely.buffer(
        parts, np.where(left, 1.0, -1.0) * wide[known][of],
        cap_style="flat", join_style="mitre", single_sided=True,
    )  # fmt: skip
    met, shapes = unions(of, np.asarray(drawn, dtype=object))
    made[known[met]] = shapes
    return made
