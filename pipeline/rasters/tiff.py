"""The inside of a tiled TIFF: its directories, and where the bytes of each tile are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SUBFILE, OFFSETS, COUNTS, TABLES = 254, 324, 325, 347
MASK = 4  # of SUBFILE: this directory is the mask of another
_WIDTH, _HEIGHT = 256, 257
_TYPES = {1: "u1", 2: "u1", 3: "<u2", 4: "<u4", 7: "u1", 16: "<u8"}

Whole = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Array:
    """Values of a tag: numpy's type of them, and where in the file they stand."""

    dtype: str
    place: int
    values: NDArray[np.generic]

    def holds(self, values: Whole) -> bool:
        """Whether these values can stand in its place."""
        return bool(values.max(initial=0) <= np.iinfo(self.dtype).max)


@dataclass(frozen=True, slots=True)
class Directory:
    """One image of the file: ``tags`` that are arrays of numbers or bytes."""

    tags: dict[int, Array]

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self._one(_WIDTH), self._one(_HEIGHT)

    @property
    def is_mask(self) -> bool:
        """Whether it says which pixels of another are valid."""
        return bool(self._one(SUBFILE) & MASK)

    def _one(self, tag: int) -> int:
        return int(str(self.tags[tag].values[0])) if tag in self.tags else 0

    def whole(self, tag: int) -> Whole:
        """The numbers of a tag."""
        return self.tags[tag].values.astype(np.uint64)


def directories(path: Path) -> list[Directory]:
    """All directories of a little-endian TIFF or BigTIFF; ValueError if it is none."""
    with path.open("rb") as stream:
        head = stream.read(16)
        big = head[2:4] == b"+\0"
        if head[:2] != b"II" or head[2:4] not in (b"*\0", b"+\0"):
            raise ValueError("no little-endian TIFF")
        place = struct.unpack_from("<Q" if big else "<I", head, 8 if big else 4)[0]
        found = []
        while place:
            stream.seek(place)
            count = struct.unpack("<Q" if big else "<H", stream.read(8 if big else 2))[0]
            entry = 20 if big else 12
            first = place + (8 if big else 2)
            block = stream.read(count * entry + (8 if big else 4))
            tags = {}
            for number in range(count):
                tag, kind = struct.unpack_from("<HH", block, number * entry)
                size = struct.unpack_from("<Q" if big else "<I", block, number * entry + 4)[0]
                if kind in _TYPES:
                    at = first + number * entry + (12 if big else 8)
                    tags[tag] = _array(path, kind, size, at, big=big)
            found.append(Directory(tags))
            place = struct.unpack_from("<Q" if big else "<I", block, count * entry)[0]
    return found


def _array(path: Path, kind: int, size: int, at: int, *, big: bool) -> Array:
    dtype = _TYPES[kind]
    fits = np.dtype(dtype).itemsize * size <= (8 if big else 4)
    with path.open("rb") as stream:
        stream.seek(at)
        if not fits:
            at = struct.unpack("<Q" if big else "<I", stream.read(8 if big else 4))[0]
        stream.seek(at)
        values = np.frombuffer(stream.read(np.dtype(dtype).itemsize * size), dtype)
    return Array(dtype, at, values)
