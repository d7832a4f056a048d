"""FlatGeobuf with its index, in memory that does not grow with what a feature holds.

GDAL sorts features by their index itself and keeps some 300 bytes of each until the end. Here the
rows come in the order of a Hilbert curve (PostgreSQL sorts geometries by it, on disk where they
are many), GDAL writes them one after the other without an index, and the index is made of their
boxes: 40 bytes a feature. Header, index and features are then put together.

The format: 8 bytes of magic, a header (a FlatBuffers table after its size), the nodes of a packed
R-tree from the root to the leaves, features, each after its size. A node is a box and a number:
that of its first child among the nodes, or for a leaf where its feature begins among them.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import shapely

_MAGIC = 8
_SIZE = struct.Struct("<I")
_FANOUT = 16
_BLOCK = 1 << 20
_NODE = np.dtype([("box", "<f8", 4), ("first", "<u8")])
#: What no box meets: of features without a geometry.
_NOWHERE = np.array([np.inf, np.inf, -np.inf, -np.inf])
#: Places of fields in the table of a header (header.fbs).
_ENVELOPE, _COUNT = 1, 8
#: Writes rows to a file by GDAL, which makes an index of its own or (``NO``) none.
Write = Callable[[pa.RecordBatchReader, Path, str], None]


def write(rows: pa.RecordBatchReader, path: Path, geometry: str, by_gdal: Write) -> None:
    """Writes ``rows``, sorted in space and with WKB in the column ``geometry``, to ``path``."""
    plain, sample = path.with_suffix(".plain.fgb"), path.with_suffix(".sample.fgb")
    boxes: list[np.ndarray] = []
    first: list[pa.RecordBatch] = []

    def passing() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            if not first:
                first.extend(_one_drawn(batch, geometry))
            boxes.append(_boxes(batch.column(geometry)))
            yield batch

    by_gdal(pa.RecordBatchReader.from_batches(rows.schema, passing()), plain, "NO")
    if not first:
        plain.replace(path)
        return
    # Only a file with an index has a header with all that it needs.
    by_gdal(pa.RecordBatchReader.from_batches(rows.schema, first), sample, "YES")
    leaves = np.empty(sum(map(len, boxes)), _NODE)
    leaves["box"] = np.concatenate(boxes)
    boxes.clear()
    with plain.open("rb") as features, path.open("wb") as made, sample.open("rb") as header:
        begin = _after_header(features)
        leaves["first"] = np.fromiter(_places(features, begin), np.uint64, len(leaves))
        size = _after_header(header)
        header.seek(0)
        made.write(_header(header.read(size), leaves))
        for level in reversed(tree(leaves)):
            made.write(level.tobytes())
        features.seek(begin)
        shutil.copyfileobj(features, made, _BLOCK)


def _one_drawn(batch: pa.RecordBatch, geometry: str) -> list[pa.RecordBatch]:
    """A row that has a geometry, if any has: GDAL makes no index of others."""
    drawn = batch.filter(batch.column(geometry).is_valid())
    return [drawn.slice(0, 1)] if drawn.num_rows else []


def _boxes(column: pa.Array) -> Any:
    """West, south, east, north of each shape."""
    found = shapely.bounds(shapely.from_wkb(column.to_numpy(zero_copy_only=False)))
    return np.where(np.isnan(found), _NOWHERE, found)


def tree(leaves: Any) -> list[Any]:
    """The levels of a packed R-tree from ``leaves`` up to its root, numbered from the root."""
    levels = [leaves]
    while len(levels[-1]) > 1 or len(levels) == 1:
        below = levels[-1]["box"]
        starts = np.arange(0, len(below), _FANOUT)
        above = np.empty(len(starts), _NODE)
        above["box"][:, :2] = np.minimum.reduceat(below[:, :2], starts)
        above["box"][:, 2:] = np.maximum.reduceat(below[:, 2:], starts)
        levels.append(above)
    begin = 0
    for number in range(len(levels) - 1, 0, -1):
        begin += len(levels[number])
        levels[number]["first"] = begin + _FANOUT * np.arange(len(levels[number]))
    return levels


def _after_header(file: BinaryIO) -> int:
    """Where the header of ``file`` ends."""
    file.seek(_MAGIC)
    (size,) = _SIZE.unpack(file.read(_SIZE.size))
    return _MAGIC + _SIZE.size + int(size)


def _places(file: BinaryIO, begin: int) -> Iterator[int]:
    """Where each feature begins, counted from the first; each tells where the next one does, so
    that they can only be gone through one by one."""
    place, held, block = begin, begin, b""
    while True:
        at = place - held
        if at + _SIZE.size > len(block):
            file.seek(place)
            held, at, block = place, 0, file.read(_BLOCK)
            if not block:
                return
        yield place - begin
        place += _SIZE.size + _SIZE.unpack_from(block, at)[0]


def _header(found: bytes, leaves: Any) -> bytes:
    """A header of one feature, as one of all ``leaves``."""
    made = bytearray(found)
    start = _MAGIC + _SIZE.size
    table = start + _SIZE.unpack_from(made, start)[0]
    names = table - struct.unpack_from("<i", made, table)[0]

    def place(field: int) -> int:
        return int(table + struct.unpack_from("<H", made, names + 4 + 2 * field)[0])

    struct.pack_into("<Q", made, place(_COUNT), len(leaves))
    envelope = place(_ENVELOPE)
    numbers = envelope + _SIZE.unpack_from(made, envelope)[0] + _SIZE.size
    box = leaves["box"]
    struct.pack_into("<4d", made, numbers, *box[:, :2].min(axis=0), *box[:, 2:].max(axis=0))
    return bytes(made)
