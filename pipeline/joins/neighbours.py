"""Neighbours: which areas of one layer share how long a border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries
from pipeline.joins.side import Ints


@dataclass(frozen=True)
class Borders:
    """Pairs (pairs,) of areas, each from both sides: where they stand among all of them, and the
    length of their border in m."""

    one: Ints
    other: Ints
    length: Floats


def borders(
    subjects: Geometries, others: Geometries, same: Ints, *, metres: float, least_m: float,
    reach_m: float,
) -> Borders:  # fmt: skip
    """Borders of ``subjects`` (n,) with ``others`` (m,), told from both sides; ``same`` (n,) is
    where each subject stands among the others.

    A border shorter than ``least_m`` is a corner. Vertices that lie on the neighbour's edge only
    nearly, as after a change of CRS, are brought together within ``reach_m``.
    """
    subject, other = shapely.STRtree(others).query(subjects)
    one = same[subject]
    # Where both sides are asked for, one look at a pair serves both.
    asked = np.zeros(len(others), dtype=bool)
    asked[same] = True
    first = (one != other) & ~(asked[other] & (one > other))
    # Always cut in one order: whoever is asked for, the length is the same to the last bit.
    one, other = np.minimum(one, other)[first], np.maximum(one, other)[first]
    long = _alongside(others[one], others[other], least_m / metres)
    one, other = one[long], other[long]
    rings = shapely.boundary(others)
    length = _shared(rings[one], rings[other], metres, least_m, reach_m)
    good = length >= least_m
    one, other, length = one[good], other[good], length[good]
    return Borders(np.concatenate([one, other]), np.concatenate([other, one]), np.tile(length, 2))


def _shared(
    one: Geometries, other: Geometries, metres: float, least_m: float, reach_m: float
) -> Floats:
    """Length (m) of what two boundaries have in common."""
    length = shapely.length(shapely.intersection(one, other)) * metres
    doubtful = np.flatnonzero(length < least_m)
    near = shapely.dwithin(one[doubtful], other[doubtful], reach_m / metres)
    doubtful = doubtful[near]
    snapped = shapely.intersection(one[doubtful], other[doubtful], grid_size=reach_m / metres)
    length[doubtful] = shapely.length(snapped) * metres
    return np.asarray(length)


def _alongside(one: Geometries, other: Geometries, least: float) -> np.ndarray:
    """True where the boxes have more in common than a corner."""
    a, b = shapely.bounds(one), shapely.bounds(other)
    common = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.asarray(common.max(axis=1) >= least)
