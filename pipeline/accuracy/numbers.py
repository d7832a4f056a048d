"""Positional accuracy by ASPRS (edition 2, 2023) and NSSDA, from differences at check points.

ASPRS 2023 tells root mean squares, with the error of the check points themselves added in
quadrature, and asks for at least 30 points. NSSDA tells 95 % figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.terrain.grid import Floats

ENOUGH = 30
_OUTLIER = 3.0
_HORIZONTAL, _UNEQUAL, _VERTICAL = 1.7308, 2.4477, 1.9600
_ALIKE = 0.6  # least ratio of the two axes' RMSE for the formula of unequal axes to hold

Verdict = Literal["pass", "fail", "too_few"]


@dataclass(frozen=True, slots=True)
class Axis:
    """Differences (product less truth) along one axis, in metres."""

    name: str
    mean: float
    deviation: float
    least: float
    most: float
    rmse: float
    rmse_with_points: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """``rmse`` over all axes, without and with the check points' own error; ``nssda95`` None
    where the axes are too unlike for its formula; ``outliers`` beyond three RMSE; ``quadrants``
    how many points lie north-east, north-west, south-west, south-east of the middle."""

    kind: Literal["horizontal", "vertical"]
    count: int
    axes: tuple[Axis, ...]
    rmse: float
    rmse_with_points: float
    nssda95: float | None
    limit: float | None
    verdict: Verdict | None
    outliers: tuple[str, ...]
    quadrants: tuple[int, int, int, int]


def judge(
    names: list[str],
    places: Floats,
    differences: Floats,
    sigma: tuple[float, float],
    limit: float | None,
) -> Accuracy:
    """``differences`` (n, 2) are horizontal, (n, 1) vertical; ``sigma`` of the check points,
    horizontal and vertical, in metres; ``limit`` for the RMSE with the points' error.

    Fewer than 30 points are never a pass or a fail.
    """
    vertical = differences.shape[1] == 1
    own = sigma[1] if vertical else sigma[0]
    labels = ("z",) if vertical else ("x", "y")
    axes = tuple(_axis(n, values, own) for n, values in zip(labels, differences.T, strict=True))
    length = np.hypot(*differences.T) if not vertical else np.abs(differences[:, 0])
    rmse = float(np.sqrt((length**2).mean()))
    whole = float(np.sqrt(sum(axis.rmse_with_points**2 for axis in axes)))
    far = np.flatnonzero(length > _OUTLIER * rmse)
    return Accuracy(
        "vertical" if vertical else "horizontal", len(names), axes, rmse, whole,
        _nssda(axes, rmse), limit, _verdict(len(names), whole, limit),
        tuple(names[n] for n in far), _quadrants(places),
    )  # fmt: skip


def _axis(name: str, values: Floats, own: float) -> Axis:
    rmse = float(np.sqrt((values**2).mean()))
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    most, whole = float(values.max()), float(np.hypot(rmse, own))
    return Axis(name, float(values.mean()), deviation, float(values.min()), most, rmse, whole)


def _nssda(axes: tuple[Axis, ...], rmse: float) -> float | None:
    if len(axes) == 1:
        return _VERTICAL * rmse
    low, high = sorted(axis.rmse for axis in axes)
    if high == 0 or np.isclose(low, high, rtol=0.01):
        return _HORIZONTAL * rmse
    return _UNEQUAL * 0.5 * (low + high) if low / high >= _ALIKE else None


def _verdict(count: int, rmse: float, limit: float | None) -> Verdict | None:
    if limit is None:
        return None
    if count < ENOUGH:
        return "too_few"
    return "pass" if rmse <= limit else "fail"


def _quadrants(places: Floats) -> tuple[int, int, int, int]:
    east, north = (places > (places.min(axis=0) + places.max(axis=0)) / 2).T
    masks = (east & north, ~east & north, ~east & ~north, east & ~north)
    ne, nw, sw, se = (int(mask.sum()) for mask in masks)
    return ne, nw, sw, se
