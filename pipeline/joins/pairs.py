"""Pairs: which rows say the same, and which points lie where; by whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.geo import Floats, Geometries
from pipeline.joins.side import Ints


@dataclass(frozen=True)
class Pairs:
    """Pairs (pairs,): the place of a subject, the id of an object, how far the subject's point
    lies from the object in units of the CRS (NaN where that was not asked), and the latest ``run``
    of the rows that made the pair, but for the subject."""

    subject: Ints
    object: Ints
    distance: Floats
    run: Ints

    @staticmethod
    def of(
        subject: Ints, found: Ints, distance: Floats | None = None, run: Ints | None = None
    ) -> Pairs:
        """Each pair once, by subject and object, with its latest run."""
        far = np.full(len(subject), np.nan) if distance is None else distance
        runs = np.zeros(len(subject), dtype=np.int64) if run is None else run
        order = np.lexsort((-runs, found, subject))
        subject, found, far, runs = subject[order], found[order], far[order], runs[order]
        fresh = np.ones(len(subject), dtype=bool)
        fresh[1:] = (subject[1:] != subject[:-1]) | (found[1:] != found[:-1])
        return Pairs(subject[fresh], found[fresh], far[fresh], runs[fresh])

    def take(self, chosen: np.ndarray) -> Pairs:
        """Those of ``chosen``, a mask or places."""
        return Pairs(
            self.subject[chosen], self.object[chosen], self.distance[chosen], self.run[chosen]
        )


def equal(left: list[pa.Array], right: pa.Array) -> tuple[Ints, Ints]:
    """Places of rows that say the same: any key of ``left``, each (n,), and ``right`` (m,).

    Null says nothing. A hash join: cost grows with n + m and the number of pairs.
    """
    coded = right.dictionary_encode()
    codes = np.asarray(coded.indices.fill_null(-1), dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    ones, others = [], []
    for values in left:
        wanted = pc.index_in(values, value_set=coded.dictionary)
        known = np.flatnonzero(np.asarray(wanted.is_valid()))
        code = np.asarray(wanted.take(pa.array(known)), dtype=np.int64)
        first = np.searchsorted(ranked, code, side="left")
        count = np.searchsorted(ranked, code, side="right") - first
        ones.append(np.repeat(known, count))
        start = np.repeat(first - np.append(0, np.cumsum(count)[:-1]), count)
        others.append(order[start + np.arange(int(count.sum()))])
    return np.concatenate(ones).astype(np.int64), np.concatenate(others).astype(np.int64)


def nearest(points: Geometries, areas: Geometries, reach: float) -> tuple[Ints, Ints, Floats]:
    """For each point the areas it lies in, or else the nearest within ``reach``; all of equals.

    ``points`` (n,) without a shape have none.
    """
    tree = shapely.STRtree(areas)
    point, area = tree.query(points, predicate="dwithin", distance=reach)
    far = np.asarray(shapely.distance(points[point], areas[area]))
    least = np.full(len(points), np.inf)
    np.minimum.at(least, point, far)
    kept = far <= least[point] + _SAME
    return point[kept].astype(np.int64), area[kept].astype(np.int64), far[kept]


_SAME = 1e-6
"""Distances that differ by less are the same."""
