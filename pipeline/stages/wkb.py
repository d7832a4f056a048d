"""WKB by the column: what kind each value is, and how judged geometries are written again."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.geo import Geometries, Mask, promote

# OGC's numbers, which are not GEOS's.
_CODES = {
    "Point": 1,
    "LineString": 2,
    "Polygon": 3,
    "MultiPoint": 4,
    "MultiLineString": 5,
    "MultiPolygon": 6,
}
_Bytes = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.int64]
# One byte of order and four of the kind.
HEAD = 5
_ONE_PART = {
    name: b"\x01" + number.to_bytes(4, "little") + b"\x01\x00\x00\x00"
    for name, number in _CODES.items()
}


def codes(wkb: pa.Array) -> npt.NDArray[np.uint32]:
    """The type in the first five bytes of each value, 0 where there is none."""
    data, starts, lengths = raw(wkb)
    there = lengths >= HEAD
    found = np.zeros(len(wkb), dtype=np.uint32)
    found[there] = codes_at(data, starts[there])
    return found


def raw(wkb: pa.Array) -> tuple[_Bytes, _Numbers, _Numbers]:
    """All bytes, and where each value begins and how long it is (0 where there is none)."""
    wide = wkb.cast(pa.large_binary())
    _, offsets, data = wide.buffers()
    if data is None or not len(wide):
        return np.zeros(0, dtype=np.uint8), *(np.zeros(len(wide), dtype=np.int64),) * 2
    ends = np.frombuffer(offsets, dtype=np.int64, count=len(wide) + 1, offset=8 * wide.offset)
    lengths = np.diff(ends)
    if wide.null_count:
        lengths[np.asarray(wide.is_null())] = 0
    return np.frombuffer(data, dtype=np.uint8), ends[:-1], lengths


def codes_at(data: _Bytes, starts: _Numbers) -> npt.NDArray[np.uint32]:
    """The types of the geometries that begin at ``starts``."""
    if not len(starts):
        return np.zeros(0, dtype=np.uint32)
    little = sliding_window_view(data, HEAD - 1)[starts + 1].view("<u4").ravel()
    big = data[starts] == 0
    return np.asarray(np.where(big, little.byteswap(), little) if big.any() else little)


def written(geometries: Geometries, dimension: Literal[2, 3] = 2) -> pa.Array:
    """Geometries as WKB. PostGIS gives them the SRID of the column that they come to."""
    return pa.array(shapely.to_wkb(geometries, output_dimension=dimension), type=pa.binary())


def written_again(
    geometries: Geometries, wanted: str, arrived: pa.Array, as_arrived: Mask
) -> pa.Array:
    """The same, where those that are ``as_arrived`` need no writing: their bytes are there already.

    A single part that became the ``wanted`` multi part only has its head put before it.
    """
    kind = codes(arrived)
    whole = as_arrived & (kind == _CODES[wanted])
    part = as_arrived & (kind == _CODES[wanted.removeprefix("Multi")]) & ~whole
    made = pc.if_else(
        pa.array(part), pc.binary_join_element_wise(_ONE_PART[wanted], arrived, b""), arrived
    )
    other = ~(whole | part)
    if not other.any():
        return made
    return pc.replace_with_mask(made, pa.array(other), written(promote(geometries[other], wanted)))
