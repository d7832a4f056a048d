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
    ends = (index[:, 0] + 4 + index[:, 1]) * _WORD
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
    index = _index(shx)
    data = np.memmap(shp, dtype=np.uint8, mode="r")
    at = index[:, 0] * _WORD
    if not len(at) or int(at.max()) + 4 > len(data) or int(at.min()) < _HEADER:
        return True
    number = sum(data[at + byte].astype(np.int64) << (24 - 8 * byte) for byte in range(4))
    return bool((np.diff(number) == 1).all() or (np.diff(number) == 0).all())


def _index(shx: Path) -> npt.NDArray[np.int64]:
    """Place and length of each shape, in words of two bytes."""
    raw = shx.read_bytes()[_HEADER:]
    whole = len(raw) // 8 * 8
    return np.frombuffer(raw[:whole], dtype=">i4").astype(np.int64).reshape(-1, 2)


def _said(shp: Path) -> int:
    """The length of the file in bytes, as its header has it."""
    with shp.open("rb") as stream:
        return int.from_bytes(stream.read(28)[24:28], "big") * _WORD
