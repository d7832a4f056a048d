"""Delivery: what is kept of a feed's latest file, so that the next one is judged where it differs.

A row that arrives as it arrived last time, under the same contract and from the same code, and that
had no finding then, is what it was: it need not be judged, staged or compared again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.geo import Floats
from pipeline.stages.batch import Found, Lines, Mask, Raw
from pipeline.stages.context import Context
from pipeline.stages.map import as_text
from pipeline.stages.whole import BETWEEN, Digests, Keys, Shapes, digests

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_NOTHING = np.uint64(0xC2B2AE3D27D4EB4F)
#: A record is written anew when more than one row in so many differs from its base.
_MOST_CARRIED = 8
_WRITE = pa.ipc.IpcWriteOptions(compression="lz4")


def row_digests(raw: Raw, names: list[str]) -> Digests:
    """A 64-bit hash of each row's geometry and of its columns ``names``, as they arrived."""
    made, parts = np.zeros(len(raw.lines), dtype=np.uint64), []
    for values in (raw.columns.column(name).combine_chunks() for name in names):
        if _plain(values.type):
            made = _mixed(made, _numbers(values))
        else:
            parts.append(as_text(values).cast(pa.binary()))
    if raw.wkb is not None:
        parts.append(raw.wkb)
    if not parts:
        return made
    # One hash of all parts of a row costs half of one of each; which are there is mixed in.
    joined = pc.binary_join_element_wise(
        *parts, BETWEEN.encode(), null_handling="replace", null_replacement=b""
    )
    return _mixed(_mixed(made, digests(joined)), _absent(parts))


def _mixed(one: Digests, other: Digests) -> Digests:
    with np.errstate(over="ignore"):
        mixed = (one ^ other) * _MIX
    mixed ^= mixed >> _SHIFT
    return mixed


def _absent(parts: list[pa.Array]) -> Digests:
    """A bit for each part of a row that is not there."""
    bits = np.zeros(len(parts[0]), dtype=np.uint64)
    for number, values in enumerate(parts):
        if values.null_count:
            bits ^= np.asarray(values.is_null()).astype(np.uint64) << np.uint64(number % 64)
    return bits


def _plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    )


def _numbers(values: pa.Array) -> Digests:
    wide = pa.float64() if pa.types.is_floating(values.type) else pa.int64()
    plain = values.cast(wide).fill_null(0)
    found = np.asarray(plain.to_numpy(zero_copy_only=False)).view(np.uint64)
    return np.where(np.asarray(values.is_null()), _NOTHING, found) if values.null_count else found


class Record:
    """What is kept of the rows of this run, collected while they are judged."""

    def __init__(self, context: Context) -> None:
        """Nothing has arrived yet."""
        self.names = wanted_columns(context)
        self.digests: list[Digests] = []
        self.unclean: list[Lines] = []
        self.sizes: list[Floats] = []

    def add(self, raw: Raw, found: Found, sizes: Floats | None) -> None:
        """Remembers a judged batch."""
        self.sizes.append(np.zeros(len(raw.lines)) if sizes is None else sizes)
        self.digests.append(row_digests(raw, self.names))
        self.unclean.append(np.unique(np.array(found.line, dtype=np.int64)))

    def table(self, keys: Keys, shapes: Shapes, unclean: Lines) -> pa.Table:
        """One line a row that has a key: digest, key, hash of the shape, size, whether it is clean.

        ``unclean`` are lines that the whole delivery has condemned or told something of.
        """
        lines, key = keys.every()
        made = pa.table({
            "digest": np.concatenate([*self.digests, np.zeros(0, dtype=np.uint64)]),
            "key": key,
            "shape": _shapes_of(shapes, lines),
            "size": np.concatenate([*self.sizes, np.zeros(0)]),
            "clean": ~np.isin(lines, np.concatenate([*self.unclean, unclean])),
        })  # fmt: skip
        return made.filter(made["key"].is_valid())


def _shapes_of(shapes: Shapes, lines: Lines) -> Digests:
    """The hash of each line's shape, 0 where it has none."""
    drawn, hashes = shapes.every()
    found = np.zeros(len(lines), dtype=np.uint64)
    if len(drawn):
        at = np.minimum(np.searchsorted(drawn, lines), len(drawn) - 1)
        found = np.where(drawn[at] == lines, hashes[at], found)
    return found


@dataclass(frozen=True)
class Carried:
    """What a record is, beside the rows of one before it: which of those it still has, a bit a row,
    and an Arrow stream of the others."""

    kept: bytes
    added: bytes


@dataclass
class Former:
    """The rows of the delivery before, and which of them have come again.

    The first of ``rows`` stand in the record's base, at the places ``base`` among its ``whole``.
    """

    rows: pa.Table
    known: Digests
    places: npt.NDArray[np.intp]
    line: Lines
    base: npt.NDArray[np.intp]
    whole: int

    @classmethod
    def of(cls, rows: pa.Table, added: pa.Table | None = None, kept: Mask | None = None) -> Former:
        """From a record, none of whose rows has come again yet: the ``rows`` that are still
        ``kept``, then those ``added`` since."""
        whole = len(rows)
        base = np.arange(whole) if kept is None else np.flatnonzero(kept)
        if added is not None:
            rows = pa.concat_tables([rows.take(pa.array(base)), added])
        digests = rows["digest"].to_numpy()
        clean = np.flatnonzero(rows["clean"].to_numpy(zero_copy_only=False))
        order = clean[np.argsort(digests[clean])]
        line = np.zeros(len(rows), dtype=np.int64)
        return cls(rows, digests[order], order, line, base, whole)

    def again(self, lines: Lines, digests: Digests) -> tuple[Mask, Lines]:
        """Which rows have come as before, and earlier lines that are not to be trusted after all.

        Rows that come twice are judged, both of them.
        """
        if not len(self.known):
            return np.zeros(len(lines), dtype=bool), lines[:0]
        at = np.minimum(np.searchsorted(self.known, digests), len(self.known) - 1)
        same = self.known[at] == digests
        places, mine = self.places[at[same]], lines[same]
        earlier = self.line[places]
        self.line[places] = mine
        # Of rows that come twice in this batch the last has overwritten the others' lines.
        double = np.unique(places[(earlier != 0) | (self.line[places] != mine)])
        if len(double):
            twice = np.isin(places, double)
            self.line[double] = 0
            same[np.flatnonzero(same)[twice]] = False
            earlier = earlier[twice]
        else:
            earlier = earlier[:0]
        return same, np.unique(earlier[earlier > 0])

    def in_doubt(self, keys: Keys, shapes: Shapes) -> Lines:
        """Lines of rows as before that share their key or their shape with a row that is new."""
        if not len(self.taken):
            return self.line[:0]
        _, key = keys.every()
        clash = pc.or_(
            pc.is_in(self.rows["key"], value_set=key.drop_null()),
            pc.is_in(self.rows["shape"], value_set=pa.array(shapes.every()[1])),
        )
        found: Lines = self.line[clash.to_numpy() & (self.line != 0)]
        return found

    def give_back(self, lines: Lines) -> None:
        """Those rows are judged after all."""
        self.line[np.isin(self.line, lines)] = 0

    @property
    def taken(self) -> npt.NDArray[np.intp]:
        """Places of the rows that have come again as they were."""
        return np.flatnonzero(self.line)

    @property
    def size(self) -> float:
        """What they measure together, in m2 or m."""
        return float(self.rows["size"].to_numpy()[self.taken].sum())

    def taken_over(self) -> pa.Table:
        """Their part of the record."""
        return self.rows.take(pa.array(self.taken))

    def carried(self, rows: pa.Table) -> Carried | None:
        """The record of this delivery as what differs from the one before, ``rows`` being new; None
        where so much does that all is better written anew."""
        again = self.taken
        of_base = np.searchsorted(again, len(self.base))
        added = pa.concat_tables([self.rows.take(pa.array(again[of_base:])), rows])
        if (self.whole - of_base + len(added)) * _MOST_CARRIED > self.whole:
            return None
        kept = np.zeros(self.whole, dtype=bool)
        kept[self.base[again[:of_base]]] = True
        return Carried(np.packbits(kept).tobytes(), _stored(added))

    def gone(self, keys: Keys) -> list[str]:
        """Keys of the delivery before that have not come again, in this form or another."""
        missing = self.rows.filter(pa.array(self.line == 0))["key"]
        _, arrived = keys.every()
        lost = pc.invert(pc.is_in(missing, value_set=arrived.drop_null()))
        return [str(key) for key in missing.filter(lost).to_pylist()]


def wanted_columns(context: Context) -> list[str]:
    """Source columns that a feed consumes, in a fixed order."""
    feed = context.feed
    read = (*context.columns, *context.dates)
    names = [source for column in read for source in column.sources]
    if feed.source.points:
        names += [feed.source.points.x, feed.source.points.y]
    if feed.source.level:
        names.append(feed.source.level)
    return list(dict.fromkeys(names))


def keep(connection: Connection, run: int, rows: pa.Table) -> None:
    """Stores the record of ``run``."""
    values = {"run": run, "rows": _stored(rows)}
    connection.execute(queries.load("delivery")["keep"], values)


def carry(connection: Connection, before: int, run: int, carried: Carried) -> None:
    """Makes the record of the run ``before`` that of ``run``, whose transaction this is."""
    values = {"before": before, "run": run, "kept": carried.kept, "added": carried.added}
    connection.execute(queries.load("delivery")["carry"], values)


def _stored(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_WRITE) as stream:
        stream.write_table(rows)
    return cast("bytes", sink.getvalue().to_pybytes())


def _read(stored: bytes) -> pa.Table:
    return pa.ipc.open_stream(pa.py_buffer(stored)).read_all()


def forget_earlier(connection: Connection, run: int) -> None:
    """Only the latest delivery of a feed is compared with."""
    connection.execute(queries.load("delivery")["forget"], {"run": run})


def former(connection: Connection, run: int, context: Context) -> Former | None:
    """The record of the delivery that ``run`` brought, if there is one that can be trusted.

    Rows that are known by their place in the file have no former self, of persons we keep nothing
    that could be compared, and where a field beside the key must be unique, only a look at every
    row can tell.
    """
    if context.personal or any(column.row for column in context.columns):
        return None
    key = context.layer.key
    if any(field.unique and key != (field.name,) for field in context.layer.fields):
        return None
    query = queries.load("delivery")["former"]
    row = connection.execute(query, {"run": run}, binary=True).fetchone()
    if row is None:
        return None
    base, kept, added = (cast("bytes | None", one) for one in row)
    rows = _read(base or b"")
    # Records of earlier days have no sizes: every row is judged once more.
    if "size" not in rows.schema.names:
        return None
    if kept is None or added is None:
        return Former.of(rows)
    bits = np.unpackbits(np.frombuffer(kept, dtype=np.uint8), count=len(rows))
    return Former.of(rows, _read(added), bits.astype(bool))
