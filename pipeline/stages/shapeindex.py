"""Shape index: whether the three files of a Shapefile are of one layer, and all there.

GDAL goes by the .shx: what it does not name is not read, where it points to is the row's shape, and
a row of the .dbf beyond it has none. Of none of these does it say a word.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ArrivalError

_HEADER, _WORD = 100, 2
_TODO = "Ask for all its files again, as they were written together."


def refuse_torn(shp: Path, shx: Path, rows: int | None, label: str) -> None:
    """Raises ArrivalError where shapes are missing, or there are more or fewer of them than
    ``rows`` of the .dbf (None where there is none)."""
    index = _index(shx)
    if rows is not None and rows != len(index):
        raise ArrivalError(
            f"has {len(index)} shapes and {rows} rows: its .shx and its .dbf are not of one layer",
            where=label,
            todo=_TODO,
        )
    size = shp.stat().st_size
    # The lengths are those of the .shp: some programs count its heads of records in the .shx.
    ends = index[:, 0] * _WORD + 8 + _numbers(shp, index, 4) * _WORD
    beyond = int((ends > size).sum())
    if beyond:
        raise ArrivalError(
            f"is cut: {beyond} of {len(index)} shapes are not in its .shp", where=label, todo=_TODO
        )
    left = size - (int(ends.max()) if len(ends) else _HEADER)
    if left > 0 and left == _said(shp) - int(ends.max(initial=_HEADER)):
        raise ArrivalError(
            f"has {left} bytes of shapes more than its .shx names", where=label, todo=_TODO
        )


def are_in_order(shp: Path, shx: Path) -> bool:
    """Whether the shapes bear the numbers of their rows, from whatever number on."""
    number = _numbers(shp, _index(shx), 0)
    return bool((np.diff(number) == 1).all() or (np.diff(number) == 0).all())


def _numbers(shp: Path, index: npt.NDArray[np.int64], behind: int) -> npt.NDArray[np.int64]:
    """The number that stands ``behind`` the beginning of each shape; beyond the end they are 0."""
    data = np.memmap(shp, dtype=np.uint8, mode="r") if shp.stat().st_size else np.zeros(0, np.uint8)
    found = np.zeros(len(index), dtype=np.int64)
    at = index[:, 0] * _WORD + behind
    there = (at >= 0) & (at + 4 <= len(data))
    for byte in range(4):
        found[there] = found[there] << 8 | data[at[there] + byte]
    return found


def _index(shx: Path) -> npt.NDArray[np.int64]:
    """Place and length of each shape, in words of two bytes."""
    raw = shx.read_bytes()[_HEADER:]
    whole = len(raw) // 8 * 8
    return np.frombuffer(raw[:whole], dtype=">i4").astype(np.int64).reshape(-1, 2)


def _said(shp: Path) -> int:
    """The length of the file in bytes, as its header has it."""
    with shp.open("rb") as stream:
        return int.from_bytes(stream.read(28)[24:28], "big") * _WORD
