"""Heights as colours, as MapLibre and its like take them for terrain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Heights = NDArray[np.float32]
Colours = NDArray[np.uint8]


def mapbox(z: Heights) -> Colours:
    """Mapbox's coding: height = -10000 + 0.1 (65536 R + 256 G + B); the fourth band is opacity.

    ``z`` (rows, columns) has NaN where there is no height: 0 m, transparent.
    """
    known = np.isfinite(z)
    code = np.rint((np.where(known, z, 0.0).astype(np.float64) + 10_000.0) * 10).astype(np.int64)
    bands = [code >> 16 & 255, code >> 8 & 255, code & 255, np.where(known, 255, 0)]
    return np.stack(bands).astype(np.uint8)


def terrarium(z: Heights) -> Colours:
    """Terrarium's coding: height = 256 R + G + B / 256 - 32768; else as ``mapbox``."""
    known = np.isfinite(z)
    code = np.rint((np.where(known, z, 0.0).astype(np.float64) + 32_768.0) * 256).astype(np.int64)
    bands = [code >> 16 & 255, code >> 8 & 255, code & 255, np.where(known, 255, 0)]
    return np.stack(bands).astype(np.uint8)


CODINGS = {"terrain-rgb": mapbox, "terrarium": terrarium}
