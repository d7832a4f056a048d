"""WKB by the column: what kind each value is, and how judged geometries are written again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.geo import Geometries, Mask

# OGC's numbers, which are not GEOS's.
_CODES = {
    "Point": 1,
    "LineString": 2,
    "Polygon": 3,
    "MultiPoint": 4,
    "MultiLineString": 5,
    "MultiPolygon": 6,
}
_HEAD = np.dtype([("order", "u1"), ("code", "<u4")])
_ONE_PART = {
    name: b"\x01" + number.to_bytes(4, "little") + b"\x01\x00\x00\x00"
    for name, number in _CODES.items()
}


def codes(wkb: pa.Array) -> npt.NDArray[np.uint32]:
    """The type in the first five bytes of each value, 0 where there is none."""
    heads = pc.binary_slice(wkb, 0, _HEAD.itemsize)
    whole = pc.fill_null(pc.equal(pc.binary_length(heads), _HEAD.itemsize), fill_value=False)
    read = np.frombuffer(b"".join(heads.filter(whole).to_pylist()), dtype=_HEAD)
    found = np.zeros(len(wkb), dtype=np.uint32)
    found[np.asarray(whole)] = np.where(read["order"] == 0, read["code"].byteswap(), read["code"])
    return found


def written(geometries: Geometries) -> pa.Array:
    """Geometries as 2D WKB. PostGIS gives them the SRID of the column that they come to."""
    return pa.array(shapely.to_wkb(geometries, output_dimension=2), type=pa.binary())


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
    return pc.replace_with_mask(made, pa.array(other), written(geometries[other]))
