"""Whether two masts see each other over the ground between them.

The ground is raised by the curve of the earth as radio sees it (4/3 of its radius, ITU-R P.530);
six tenths of the first Fresnel zone must be free for a link that loses nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_RADIUS_M = 6_371_000 * 4 / 3
_LIGHT_M_S = 299_792_458
_FREE_SHARE = 0.6
Metres = npt.NDArray[np.float64]


def told(answer: dict[str, Any], places: list[dict[str, Any]], of: str) -> dict[str, Any]:
    """The places (``along_m``, ``ground_m``) with how far the sight passes above them, and whether
    it is free. ``answer`` has the masts (m above ground) and the frequency (GHz).

    Where the ground of an end is not known nothing can be told; in between it is left out.
    """
    along = np.array([one["along_m"] for one in places], dtype=np.float64)
    ground = np.array(
        [np.nan if one["ground_m"] is None else one["ground_m"] for one in places], dtype=np.float64
    )
    above = clearance(along, ground, answer["from_mast_m"], answer["to_mast_m"])
    need = _FREE_SHARE * fresnel(along, answer["frequency_ghz"])
    known = ~np.isnan(above)
    marked = [
        {**one, "clearance_m": _rounded(height), "needed_m": _rounded(least)}
        for one, height, least in zip(places, above, need, strict=True)
    ]
    if not known[[0, -1]].all():
        return {of: marked, "in_sight": None, "free": None, "worst": None,
                "without_height": int((~known).sum())}  # fmt: skip
    spare = np.where(known, above - need, np.inf)
    return {
        of: marked,
        "in_sight": bool((above[known] >= 0).all()),
        "free": bool((spare[known] >= 0).all()),
        "worst": marked[int(spare.argmin())],
        "without_height": int((~known).sum()),
    }


def clearance(along: Metres, ground: Metres, first_m: float, last_m: float) -> Metres:
    """How far (m) the line between the tops of two masts passes above the curved ground."""
    length = along[-1]
    tops = ground[0] + first_m, ground[-1] + last_m
    line = tops[0] + (tops[1] - tops[0]) * along / length
    bulge = along * (length - along) / (2 * _RADIUS_M)
    return np.asarray(line - ground - bulge)


def fresnel(along: Metres, frequency_ghz: float) -> Metres:
    """The radius (m) of the first Fresnel zone along the way."""
    wave = _LIGHT_M_S / (frequency_ghz * 1e9)
    return np.asarray(np.sqrt(wave * along * (along[-1] - along) / along[-1]))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)
