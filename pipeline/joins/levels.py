"""Levels: the height that a plan gives a street before an edge, between the points it names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.geo import Floats, Mask
from pipeline.joins.side import Ints


@dataclass(frozen=True)
class Heights:
    """Pairs (pairs,) of an edge and a point of the same street and kind: ``edge`` and ``point``
    (indices), ``kind`` (a number), where they are ``along`` the street, the edge at ``at``, and the
    ``height`` there."""

    edge: Ints
    point: Ints
    kind: Ints
    at: Floats
    along: Floats
    height: Floats


@dataclass(frozen=True)
class Found:
    """Heights (rows,) of edges by kind: the nearest point, whether the edge lies ``between`` two
    points, and how ``far`` the nearest is along the street."""

    edge: Ints
    kind: Ints
    point: Ints
    height: Floats
    between: Mask
    far: Floats


def between(pairs: Heights) -> Found:
    """The height at each edge: on the straight between the points before and after it; beyond the
    last point, that of the last."""
    behind = pairs.along <= pairs.at
    last, first = _nearest(pairs, behind), _nearest(pairs, ~behind)
    key = np.unique(np.stack([pairs.edge, pairs.kind], axis=1), axis=0)
    before, after = (_placed(key, pairs, chosen) for chosen in (last, first))
    both = (before >= 0) & (after >= 0)
    far = [
        np.where(place >= 0, np.abs(pairs.along[place] - pairs.at[place]), np.inf)
        for place in (before, after)
    ]
    nearest = np.where(far[0] <= far[1], before, after)
    height = pairs.height[nearest].copy()
    one, two = before[both], after[both]
    share = far[0][both] / (far[0][both] + far[1][both])
    height[both] = pairs.height[one] * (1 - share) + pairs.height[two] * share
    return Found(
        key[:, 0], key[:, 1], pairs.point[nearest], height, both, np.minimum(far[0], far[1])
    )


def _nearest(pairs: Heights, chosen: Mask) -> Ints:
    """Of the ``chosen`` pairs the nearest of each edge and kind."""
    at = np.flatnonzero(chosen)
    far = np.abs(pairs.along[at] - pairs.at[at])
    order = at[np.lexsort((pairs.point[at], far, pairs.kind[at], pairs.edge[at]))]
    fresh = np.ones(len(order), dtype=bool)
    edge, kind = pairs.edge[order], pairs.kind[order]
    fresh[1:] = (edge[1:] != edge[:-1]) | (kind[1:] != kind[:-1])
    return order[fresh]


def _placed(key: Ints, pairs: Heights, chosen: Ints) -> Ints:
    """For each of ``key`` (rows, 2) its pair among ``chosen``, -1 where it has none."""
    found = np.full(len(key), -1, dtype=np.int64)
    if not len(chosen):
        return found
    many = int(max(pairs.kind.max(), key[:, 1].max())) + 1
    wanted, known = key[:, 0] * many + key[:, 1], pairs.edge[chosen] * many + pairs.kind[chosen]
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    hit = known[at] == wanted
    found[hit] = chosen[at[hit]]
    return found
