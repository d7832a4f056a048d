"""Header: what the first bytes of WKB tell of every geometry, without making any of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.geo import Floats
from pipeline.stages.wkb import HEAD, codes, codes_at, raw

# Kinds with heights begin at 1000 (ISO) or have one of the upper two bits set (PostGIS).
_ISO, _KIND = 1000, 0x1FFFFFFF
# Where the first point begins, by kind: after the counts of parts, rings and points.
_FIRST = {1: 5, 2: 9, 3: 13, 4: 14, 5: 18, 6: 22}
_POINT = 16


def with_heights(wkb: pa.Array) -> int:
    """How many geometries have heights or measures."""
    code = codes(wkb)
    return int(((code >> 30 > 0) | ((code & _KIND) >= _ISO)).sum())


def first_points(wkb: pa.Array) -> Floats:
    """x and y of each geometry's first point, by row; of mixtures and of what is empty none."""
    data, starts, lengths = raw(wkb)
    there = lengths >= HEAD + _POINT
    starts, lengths = starts[there], lengths[there]
    kind = (codes_at(data, starts) & _KIND) % _ISO
    found = [np.zeros((0, 2))]
    for one, skip in _FIRST.items():
        rows = starts[(kind == one) & (lengths >= skip + _POINT)]
        for order, kind_of in ((1, "<f8"), (0, ">f8")):
            mine = rows[data[rows] == order]
            if len(mine):
                numbers = sliding_window_view(data, _POINT)[mine + skip]
                found.append(numbers.view(kind_of).astype(np.float64))
    return np.concatenate(found)
