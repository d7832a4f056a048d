"""Header: what the first bytes of WKB tell of every geometry, without making any of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.geo import Floats

_Bytes = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.int64]
# One byte of order and four of the kind; kinds with heights begin at 1000 (ISO) or have one of the
# upper two bits set (PostGIS).
_HEAD, _ISO, _KIND = 5, 1000, 0x1FFFFFFF
# Where the first point begins, by kind: after the counts of parts, rings and points.
_FIRST = {1: 5, 2: 9, 3: 13, 4: 14, 5: 18, 6: 22}
_POINT = 16


def with_heights(wkb: pa.Array) -> int:
    """How many geometries have heights or measures."""
    data, starts, lengths = _raw(wkb)
    code = _codes(data, starts[lengths >= _HEAD])
    return int(((code >> 30 > 0) | ((code & _KIND) >= _ISO)).sum())


def first_points(wkb: pa.Array) -> Floats:
    """x and y of each geometry's first point, by row; of mixtures and of what is empty none."""
    data, starts, lengths = _raw(wkb)
    there = lengths >= _HEAD + _POINT
    starts, lengths = starts[there], lengths[there]
    kind = (_codes(data, starts) & _KIND) % _ISO
    found = [np.zeros((0, 2))]
    for one, skip in _FIRST.items():
        rows = starts[(kind == one) & (lengths >= skip + _POINT)]
        for order, kind_of in ((1, "<f8"), (0, ">f8")):
            mine = rows[data[rows] == order]
            if len(mine):
                numbers = data[mine[:, None] + np.arange(skip, skip + _POINT)]
                found.append(numbers.view(kind_of).astype(np.float64))
    return np.concatenate(found)


def _raw(wkb: pa.Array) -> tuple[_Bytes, _Numbers, _Numbers]:
    """All bytes, and where each geometry begins and how long it is."""
    wide = wkb.cast(pa.large_binary())
    _, offsets, data = wide.buffers()
    if data is None or not len(wide):
        return np.zeros(0, dtype=np.uint8), *(np.zeros(0, dtype=np.int64),) * 2
    ends = np.frombuffer(offsets, dtype=np.int64, count=len(wide) + 1, offset=8 * wide.offset)
    return np.frombuffer(data, dtype=np.uint8), ends[:-1], np.diff(ends)


def _codes(data: _Bytes, starts: _Numbers) -> _Numbers:
    head = data[starts[:, None] + np.arange(_HEAD)] if len(starts) else np.zeros((0, 5), np.uint8)
    return np.asarray(np.where(head[:, 0] == 1, _number(head[:, 1:]), _number(head[:, :0:-1])))


def _number(digits: np.ndarray[Any, np.dtype[np.uint8]]) -> _Numbers:
    return np.asarray(digits.astype(np.int64) @ (256 ** np.arange(4, dtype=np.int64)))
