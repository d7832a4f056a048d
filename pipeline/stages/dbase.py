"""dBASE: a .dbf as the bytes that stand in it, for what GDAL does not tell of it.

GDAL makes a date of any eight digits (31 Ordibehesht becomes 2 March) and 0 of a number that it
cannot read, and does not say which rows are marked as deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]

_HEADER, _ENTRY = 32, 32
_DELETED = ord("*")
NUMBERS = ("N", "F")
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
# Shapefiles have asterisks where there is no number.
_NO_NUMBER = r"(?i)^(\*+|nan)$"
_EIGHT, _NO_DATE = r"^(\d{4})(\d{2})(\d{2})$", "00000000"
_ROWS = 2**16


@dataclass(frozen=True)
class Column:
    """One column: its kind (C, N, F, D, L, …), and where it stands in a record."""

    name: bytes
    kind: str
    at: int
    size: int


@dataclass(frozen=True)
class Dbase:
    """A table; nothing of it is in memory."""

    path: Path

    @cached_property
    def _data(self) -> np.memmap[tuple[int], np.dtype[np.uint8]]:
        return np.memmap(self.path, dtype=np.uint8, mode="r")

    @cached_property
    def _head(self) -> tuple[int, int, int]:
        """Records, bytes of the header, bytes of a record."""
        head = self._data[:_HEADER].tobytes()
        return (
            int.from_bytes(head[4:8], "little"),
            int.from_bytes(head[8:10], "little"),
            int.from_bytes(head[10:12], "little"),
        )

    @property
    def count(self) -> int:
        """The records that the header promises."""
        return self._head[0]

    @cached_property
    def columns(self) -> list[Column]:
        """All columns; the first byte of a record is its mark of deletion."""
        found, at = [], 1
        for place in range(_HEADER, self._head[1] - _ENTRY, _ENTRY):
            entry = self._data[place : place + _ENTRY].tobytes()
            if entry[:1] == b"\r":
                break
            kind, size = entry[11:12].decode("latin-1"), entry[16]
            if kind == "C":  # long texts have their size in two bytes
                size += 256 * entry[17]
            found.append(Column(entry[:11].split(b"\x00")[0], kind, at, size))
            at += size
        return found

    @cached_property
    def records(self) -> Bytes:
        """All records, a row each; those that the header promises and the file has."""
        count, start, width = self._head
        count = min(count, (len(self._data) - start) // width) if width else 0
        return self._data[start : start + count * width].reshape(count, max(width, 1))

    @cached_property
    def alive(self) -> npt.NDArray[np.intp]:
        """Places of the records that are not marked as deleted."""
        return np.flatnonzero(self.records[:, 0] != _DELETED)

    def texts(self, column: Column, places: npt.NDArray[np.intp], encoding: str) -> pa.Array:
        """What stands in ``column`` of the records at ``places``; null where that is nothing."""
        cells = np.ascontiguousarray(self.records[places, column.at : column.at + column.size])
        raw = pa.array(cells.view(f"S{column.size}").ravel(), type=pa.binary())
        coded = raw.dictionary_encode()
        known = [one.decode(encoding, "replace") for one in coded.dictionary.to_pylist()]
        shown = pc.utf8_trim(pa.array(known, type=pa.string()), " \x00")
        empty = pc.equal(shown, "")
        if column.kind in NUMBERS:
            empty = pc.or_(empty, pc.match_substring_regex(shown, _NO_NUMBER))
        return pc.if_else(empty, pa.scalar(None, pa.string()), shown).take(coded.indices)

    def unreadable(self, column: Column) -> bool:
        """Whether a column of numbers holds anything else, such as a comma."""
        for first in range(0, len(self.alive), _ROWS):
            shown = self.texts(column, self.alive[first : first + _ROWS], "latin-1")
            if pc.all(pc.match_substring_regex(shown, _NUMBER)).as_py() is False:
                return True
        return False


def dates(written: pa.Array) -> pa.Array:
    """Eight digits as a date is written in the calendar of its year; all else as it stands."""
    given = pc.if_else(pc.equal(written, _NO_DATE), pa.scalar(None, pa.string()), written)
    return of_calendar(pc.replace_substring_regex(given, _EIGHT, r"\1-\2-\3"))


def of_calendar(written: pa.Array) -> pa.Array:
    """ISO dates, of Jalali years with the slashes that are used there."""
    return pc.replace_substring_regex(written, r"^(1[345]\d\d)-(\d\d)-(\d\d)$", r"\1/\2/\3")
