"""Rotations of frames: angles of three kinds, matrices, and what betrays wrong ones."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipeline.terrain.grid import Floats

Unit = Literal["deg", "grad", "rad"]
TO_RADIANS: dict[str, float] = {"deg": np.pi / 180, "grad": np.pi / 200, "rad": 1.0}
_QUARTERS: dict[str, float] = {"deg": 90.0, "grad": 100.0, "rad": np.pi / 2}
_NEAR = 6.0  # degrees; a flight keeps its heading within this
STEEPEST_DEG = 5.0  # of a vertical photograph


def matrices(angles: Floats) -> Floats:
    """Rotations from camera to ground, (n, 3, 3), for omega, phi, kappa in radians, (n, 3).

    The camera looks along -z, x is right and y up in the image: R = Rx(omega) Ry(phi) Rz(kappa).
    """
    (so, sp, sk), (co, cp, ck) = np.sin(angles).T, np.cos(angles).T
    rows = [
        [cp * ck, -cp * sk, sp],
        [co * sk + so * sp * ck, co * ck - so * sp * sk, -so * cp],
        [so * sk - co * sp * ck, so * ck + co * sp * sk, co * cp],
    ]
    return np.asarray(np.moveaxis(np.array(rows), -1, 0))


def angles(rotations: Floats) -> Floats:
    """Omega, phi, kappa in radians, (n, 3), of rotations (n, 3, 3)."""
    omega = np.arctan2(-rotations[:, 1, 2], rotations[:, 2, 2])
    phi = np.arcsin(np.clip(rotations[:, 0, 2], -1.0, 1.0))
    kappa = np.arctan2(-rotations[:, 0, 1], rotations[:, 0, 0])
    return np.column_stack([omega, phi, kappa])


def apart_from_orthonormal(rotations: Floats) -> Floats:
    """The largest term of R R' - I of each, (n,); a reflection counts as 2."""
    product = rotations @ np.swapaxes(rotations, 1, 2) - np.eye(3)
    apart = np.abs(product).max(axis=(1, 2))
    return np.where(np.linalg.det(rotations) > 0, apart, np.maximum(apart, 2.0))


def tilt(rotations: Floats) -> Floats:
    """Degrees between the camera's axis and the plumb line, (n,)."""
    return np.asarray(np.degrees(np.arccos(np.clip(rotations[:, 2, 2], -1.0, 1.0))))


def believable(written: Floats, unit: str) -> bool:
    """Whether angles as written are of a vertical flight in ``unit``: little tilt."""
    steepest = np.degrees(np.abs(written[:, :2]) * TO_RADIANS[unit]).max(initial=0.0)
    turn = np.abs(written[:, 2]).max(initial=0.0) * TO_RADIANS[unit]
    return bool(steepest <= STEEPEST_DEG and turn <= 2 * np.pi + 1e-6)


def suggested(written: Floats) -> str | None:
    """The unit that angles as written look like, None if nothing tells.

    A whole turn is 360, 400 or 6.28; strips are mostly flown along an axis of the map, so headings
    gather at quarters: 90 or 100.
    """
    fits = [unit for unit in TO_RADIANS if believable(written, unit)]
    if not fits:
        return None
    if np.abs(written[:, 2]).max(initial=0.0) <= 2 * np.pi:
        wide = np.abs(written).max(initial=0.0) > np.radians(STEEPEST_DEG)
        return "rad" if "rad" in fits and wide else None
    gathered = {unit: _gathered(written[:, 2], unit) for unit in fits if unit != "rad"}
    best = sorted(gathered, key=lambda unit: gathered[unit])
    if len(best) < 2 or gathered[best[1]] - gathered[best[0]] > _NEAR / 2:
        return best[0] if best and gathered[best[0]] <= _NEAR else None
    return None


def _gathered(kappa: Floats, unit: str) -> float:
    """Mean distance of headings from a quarter turn, in degrees."""
    quarter = _QUARTERS[unit]
    away = np.abs(kappa - quarter * np.round(kappa / quarter))
    return float(np.degrees(away.mean() * TO_RADIANS[unit]))
