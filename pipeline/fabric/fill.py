"""Fillings: a container's ground must be filled by the rows of another layer, without gaps."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.fabric.faults import GRID_M, Faults, areal, wide
from pipeline.fabric.part import Ints, Mask, Part, Shapes, unions


def filled_by(rule: FabricRule, part: Part, others: Part, metres: float) -> Faults:
    """What of own rows no other row covers: slivers, and gaps that are larger."""
    found = Faults()
    others = others.only(others.having(rule.other_where))
    asked = np.flatnonzero(part.own & part.having(rule.where) & ~_evidently_full(part, others))
    noise = max(rule.tolerance, GRID_M) / metres
    empty = _unfilled(part.shapes[asked], others)
    gaps, index = shapely.get_parts(areal(empty), return_index=True)
    kept = wide(gaps, noise)
    gaps, owner = gaps[kept], asked[index[kept]]
    areas = shapely.area(gaps)
    thin = (areas * metres**2 < (rule.sliver_m2 or 0.0)) | ~wide(
        gaps, (rule.sliver_m or 0.0) / metres
    )
    for code, some in (("fabric.sliver", thin), ("fabric.gap", ~thin)):
        details = [f"{area * metres**2:.3f} m2" for area in areas[some]]
        names = _beside(gaps[some], others)
        found.add(code, part.texts(owner[some]), gaps[some], values=names, details=details)
    return found


def _evidently_full(part: Part, others: Part) -> Mask:
    """Containers whose covered rows have the same area together and match along all edges.

    Rows that match all their neighbours do not overlap each other: equal sums leave no gap.
    """
    container, row = others.covered(part)
    matched = shapely.is_empty(others.unmatched)
    filled = np.bincount(container, weights=others.areas[row], minlength=len(part))
    bad = np.bincount(container, weights=~matched[row], minlength=len(part))
    # 1e-9 of an area of 1e8 m2 is below the grid; the sum itself is exact to about 1e-12.
    return np.asarray((np.abs(filled - part.areas) <= 1e-9 * part.areas) & (bad == 0))


def _unfilled(shapes: Shapes, others: Part) -> Shapes:
    made = shapes.copy()
    one, other = others.tree.query(shapes, predicate="intersects")
    met, ground = unions(one, others.shapes[other])
    made[met] = shapely.difference(shapes[met], ground)
    return made


def _beside(gaps: Shapes, others: Part) -> list[str | None]:
    """The keys of up to four rows along each gap."""
    gap, row = others.tree.query(gaps, predicate="dwithin", distance=1e-6)
    return beside(len(gaps), gap, others.texts(row))


def beside(count: int, place: Ints, keys: list[str]) -> list[str | None]:
    """For each of ``count`` places up to four keys as one text."""
    names: list[list[str]] = [[] for _ in range(count)]
    for at, key in zip(place.tolist(), keys, strict=True):
        names[at].append(key)
    return [", ".join(sorted(each)[:4]) or None for each in names]
