"""Overlaps and narrow gaps among the rows of one layer, by shapely's coverage functions.

Only rows with an edge that does not match their neighbours' are looked at closely; in a clean
fabric that is none, and the cost is that of one pass over all edges.
"""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.fabric.faults import GRID_M, Faults, areal, wide
from pipeline.fabric.part import Ints, Mask, Part, Shapes, unions


def no_overlap(rule: FabricRule, part: Part, metres: float) -> Faults:
    """Pairs of rows that share more area than the tolerance; the lower id owns the finding."""
    found = Faults()
    part = part.only(part.having(rule.where))
    one, two = _suspects(part, rule)
    shared = areal(np.asarray(shapely.intersection(part.shapes[one], part.shapes[two])))
    areas = shapely.area(shared)
    bad = areas * metres**2 > rule.tolerance
    one, two, areas = one[bad], two[bad], areas[bad]
    smaller = np.minimum(part.areas[one], part.areas[two])
    details = [
        f"{area * metres**2:.2f} m2, {area / least:.1%} of the smaller"
        for area, least in zip(areas, smaller, strict=True)
    ]
    found.add(
        "fabric.overlap", part.texts(one), shared[bad], values=part.texts(two), details=details
    )
    return found


def _suspects(part: Part, rule: FabricRule) -> tuple[Ints, Ints]:
    """Places of pairs that may overlap, the owner (an own row) first.

    Of two rows that overlap at least one has an edge that does not match, not always both.
    """
    places = np.flatnonzero(~shapely.is_empty(part.unmatched))
    one, two = part.tree.query(part.shapes[places], predicate="intersects")
    pairs = np.sort(np.column_stack([places[one], two]), axis=1)
    one, two = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0).T
    chosen = part.own[one]
    if rule.per:
        group = part.joined(rule.per).dictionary_encode().indices.fill_null(-1)
        number = np.asarray(group)
        chosen &= number[one] == number[two]
    return one[chosen], two[chosen]


def no_gap(rule: FabricRule, part: Part, metres: float) -> Faults:
    """Gaps narrower than the tolerance along the edges of own rows, each told once."""
    found = Faults()
    width = rule.tolerance / metres
    edges = part.narrow(width)
    places = np.flatnonzero(~shapely.is_empty(edges))
    if not len(places):
        return found
    along = np.asarray(shapely.buffer(edges[places], width, cap_style="flat", join_style="mitre"))
    empty = np.asarray(shapely.difference(along, _around(part, along)))
    gaps, index = shapely.get_parts(areal(empty), return_index=True)
    owner = places[index]
    kept = wide(gaps, GRID_M / metres) & _between(part, gaps, width)
    gaps, owner = gaps[kept], owner[kept]
    gaps, owner = _once(gaps, owner, part.own)
    others = _neighbours(part, gaps, owner, width)
    details = [
        f"{area * metres**2:.3f} m2, {length * metres / 2:.2f} m long"
        for area, length in zip(shapely.area(gaps), shapely.length(gaps), strict=True)
    ]
    found.add("fabric.sliver", part.texts(owner), gaps, values=others, details=details)
    return found


def _around(part: Part, along: Shapes) -> Shapes:
    """For each strip the union of all rows that it meets."""
    strip, row = part.tree.query(along, predicate="intersects")
    met, ground = unions(strip, part.shapes[row])
    made = np.full(len(along), None, dtype=object)
    made[met] = ground
    return made


def _between(part: Part, gaps: Shapes, width: float) -> Mask:
    """True for gaps that lie between rows: both long sides meet one, not the open."""
    gap, row = part.tree.query(gaps, predicate="dwithin", distance=width * 1e-6)
    shared = shapely.length(shapely.intersection(shapely.boundary(gaps)[gap], part.shapes[row]))
    touched = np.bincount(gap, weights=shared, minlength=len(gaps))
    return np.asarray(touched > 0.8 * (shapely.length(gaps) - 2 * width))


def _once(gaps: Shapes, owner: Ints, own: Mask) -> tuple[Shapes, Ints]:
    """Of strips that are found from both sides the one of the lower row, if that is an own one."""
    if not len(gaps):
        return gaps, owner
    one, two = shapely.STRtree(gaps).query(gaps, predicate="intersects")
    pair = owner[one] < owner[two]
    one, two = one[pair], two[pair]
    shared = shapely.area(shapely.intersection(gaps[one], gaps[two]))
    again = np.zeros(len(gaps), dtype=bool)
    again[two[shared > 0.5 * shapely.area(gaps[two])]] = True
    kept = ~again & own[owner]
    return gaps[kept], owner[kept]


def _neighbours(part: Part, gaps: Shapes, owner: Ints, width: float) -> list[str]:
    """The keys of the other rows along each gap."""
    gap, row = part.tree.query(gaps, predicate="dwithin", distance=width * 1e-3)
    names: list[list[str]] = [[] for _ in range(len(gaps))]
    for place, key, number in zip(gap.tolist(), part.texts(row), row.tolist(), strict=True):
        if number != owner[place]:
            names[place].append(key)
    return [", ".join(sorted(each)[:4]) for each in names]
