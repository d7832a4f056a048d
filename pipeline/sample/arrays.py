"""Ragged arrays: groups of different size in one flat array, worked on without loops over rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Objects = NDArray[np.object_]


def objects(values: Any) -> Objects:
    """What shapely answers for an array, typed as the array it is."""
    return np.asarray(values, dtype=object)


def only_where(mask: Bools, values: Objects) -> Objects:
    """``values`` where ``mask``, else None."""
    found = np.full(len(mask), None, dtype=object)
    found[mask] = values[mask]
    return found


def offsets(counts: Ints) -> Ints:
    """Where each group begins, and at the end the total: (n,) counts give (n + 1,) offsets."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def owners(counts: Ints) -> tuple[Ints, Ints]:
    """For each item its group and its place within the group; counts (n,), both (sum(counts),)."""
    group = np.repeat(np.arange(len(counts)), counts)
    return group, np.arange(len(group)) - offsets(counts)[:-1][group]


def ranges(starts: Ints, counts: Ints) -> Ints:
    """The whole numbers start, start + 1 ... of each group, one group after the other."""
    group, within = owners(counts)
    return starts[group] + within


def partition(counts: Ints, weights: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """Divides ``lengths`` (n,) into ``counts`` parts each, in proportion to ``weights`` (sum,).

    Returns start and end of every part (sum,), in the unit of ``lengths``, rounded to mm: parts of
    one group touch exactly, the last ends exactly at the group's length.
    """
    first = offsets(counts)[:-1]
    group, within = owners(counts)
    total = np.add.reduceat(weights, first) if len(first) else np.zeros(0)
    running = np.cumsum(weights)
    before = running[first] - weights[first]
    ends = np.round((running - before[group]) / total[group] * lengths[group], 3)
    last = within == counts[group] - 1
    ends[last] = lengths[group][last]
    starts = np.where(within == 0, 0.0, np.roll(ends, 1))
    return starts, ends


def clusters(x: Floats, y: Floats, k: int, first: int = 0) -> Ints:
    """Groups points into ``k`` compact clusters (Lloyd's method); point ``first`` is in group 0.

    Seeds are chosen by distance alone, so the same points always give the same groups.
    """
    points = np.column_stack([x, y])
    k = min(k, len(points))
    seeds = [first]
    nearest = np.full(len(points), np.inf)
    for _ in range(k - 1):
        nearest = np.minimum(nearest, _distance2(points, points[seeds[-1]]))
        seeds.append(int(np.argmax(nearest)))
    centres = points[seeds]
    for _ in range(8):
        label = _nearest(points, centres)
        size = np.maximum(np.bincount(label, minlength=k), 1)
        centres = np.column_stack(
            [np.bincount(label, weights=points[:, axis], minlength=k) / size for axis in (0, 1)]
        )
    label = _nearest(points, centres)
    label = np.unique(label, return_inverse=True)[1]
    home = label[first]
    return np.where(label == home, 0, np.where(label < home, label + 1, label)).astype(np.int64)


def _distance2(points: Floats, centre: Floats) -> Floats:
    return np.asarray(((points - centre) ** 2).sum(axis=1), dtype=np.float64)


def _nearest(points: Floats, centres: Floats) -> Ints:
    """Index of the nearest centre, in pieces so that the distance table stays small."""
    pieces = [
        ((part[:, None, :] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        for part in np.array_split(points, max(1, len(points) * len(centres) // 2_000_000))
    ]
    return np.concatenate(pieces).astype(np.int64)


def pick(rng: np.random.Generator, choices: dict[Any, float], size: int) -> Objects:
    """``size`` values drawn from ``choices`` (value -> relative frequency), as an object array."""
    values = np.empty(len(choices), dtype=object)
    values[:] = list(choices)
    share = np.array(list(choices.values()), dtype=np.float64)
    drawn: Objects = values[rng.choice(len(values), size, p=share / share.sum())]
    return drawn
