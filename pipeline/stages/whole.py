"""Whole: what only a look at the whole delivery can tell: doubled keys and geometries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from xxhash import xxh3_64_intdigest

from pipeline.contracts.layer import LayerContract
from pipeline.stages.batch import Found, Lines, Rows
from pipeline.stages.judge import Judged

# Between the parts of a key: no text holds it, so that "a b" and "c" is not "a" and "b c".
BETWEEN = "\x1f"

Digests = npt.NDArray[np.uint64]


def digests(values: pa.Array) -> Digests:
    """A 64-bit hash (xxh3) of each text or binary value, none null; the same in every process."""
    if not len(values):
        return np.zeros(0, dtype=np.uint64)
    plain = values.cast(pa.binary())
    _, places, data = plain.buffers()
    first, count = plain.offset, len(plain)
    edges = np.frombuffer(places, dtype=np.int32)[first : first + count + 1].tolist()
    # The bytes where they are: to make an object of each value takes longer than to hash it.
    parts = map(memoryview(data or b"").__getitem__, map(slice, edges, edges[1:]))
    return np.fromiter(map(xxh3_64_intdigest, parts), dtype=np.uint64, count=count)


@dataclass
class Keys:
    """The keys and unique fields of all rows so far, as columns."""

    layer: LayerContract
    lines: list[Lines] = field(default_factory=list)
    columns: dict[tuple[str, ...], list[pa.Array]] = field(default_factory=dict)

    def add(self, rows: Rows) -> None:
        """Remembers the keys of one batch."""
        self.lines.append(rows.lines)
        for names in self._identities():
            parts = [rows.columns[name].cast(pa.string()) for name in names]
            joined = pc.binary_join_element_wise(*parts, BETWEEN, null_handling="emit_null")
            self.columns.setdefault(names, []).append(joined)

    def _identities(self) -> list[tuple[str, ...]]:
        unique = [(f.name,) for f in self.layer.fields if f.unique and (f.name,) != self.layer.key]
        return [self.layer.key, *unique]

    def every(self) -> tuple[Lines, pa.Array]:
        """The lines of all rows, and their keys."""
        if not self.lines:
            return np.zeros(0, dtype=np.int64), pa.array([], pa.string())
        keys = pa.chunked_array(self.columns[self.layer.key]).combine_chunks()
        return np.concatenate(self.lines), keys

    def doubled(self) -> Found:
        """Every row whose key another row has too: key.duplicate, with the lines that share it."""
        found = Found()
        for names, pieces in self.columns.items():
            every = pa.chunked_array(pieces)
            # One null is among the distinct values, however many there are.
            if len(every) - every.null_count == len(every.unique()) - bool(every.null_count):
                continue
            keys, lines = every.combine_chunks(), np.concatenate(self.lines)
            for key, where in _shared(keys).items():
                shared = np.sort(lines[where])
                found.mark(
                    "key.duplicate",
                    shared,
                    field_name=" ".join(names),
                    values=[key.replace(BETWEEN, " ")] * len(shared),
                    details=f"rows {', '.join(map(str, shared[:8]))}{' …' * (len(shared) > 8)}",
                )
        return found

    def of(self, lines: Lines) -> dict[int, str | None]:
        """The key of each of ``lines``, as people read it."""
        every, keys = self.every()
        chosen = np.isin(every, lines)
        found = pc.replace_substring(keys.filter(pa.array(chosen)), BETWEEN, " ").to_pylist()
        return dict(zip(every[chosen].tolist(), found, strict=True))


@dataclass
class Shapes:
    """One 64-bit hash for each good row's geometry, to find the same shape drawn twice."""

    lines: list[Lines] = field(default_factory=list)
    hashes: list[Digests] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        """Remembers the geometries of one batch's good rows."""
        if judged.wkb is None or judged.rows.geometry is None:
            return
        drawn = judged.good & ~shapely.is_missing(judged.rows.geometry)
        self.lines.append(judged.rows.lines[drawn])
        self.hashes.append(digests(judged.wkb.filter(pa.array(drawn))))

    def every(self) -> tuple[Lines, Digests]:
        """The lines of all rows that have a shape, in the file's order, and its hash."""
        lines = np.concatenate([*self.lines, np.zeros(0, dtype=np.int64)])
        order = np.argsort(lines, kind="stable")
        hashes = np.concatenate([*self.hashes, np.zeros(0, dtype=np.uint64)])
        return lines[order], hashes[order]

    def doubled(self) -> tuple[Found, Lines]:
        """geometry.duplicate for every row after the first that has the same geometry, and the
        lines of all that share theirs."""
        found = Found()
        lines, hashes = self.every()
        _, first, inverse, times = np.unique(
            hashes, return_index=True, return_inverse=True, return_counts=True
        )
        original = first[inverse]
        again = original != np.arange(len(lines))
        details = [f"row {line}" for line in lines[original[again]]]
        found.mark("geometry.duplicate", lines[again], details=details)
        return found, lines[times[inverse] > 1]


def _shared(keys: pa.Array) -> dict[str, npt.NDArray[np.intp]]:
    """Positions of the rows that share each doubled key, in the file's order."""
    coded = keys.dictionary_encode()
    codes = np.asarray(coded.indices.fill_null(-1))
    times = np.bincount(codes[codes >= 0], minlength=len(coded.dictionary))
    doubled = np.flatnonzero(times > 1)
    if not len(doubled):
        return {}
    places = np.flatnonzero(np.isin(codes, doubled))
    order = places[np.argsort(codes[places], kind="stable")]
    groups = np.split(order, np.cumsum(times[doubled])[:-1])
    names = coded.dictionary.take(pa.array(doubled)).to_pylist()
    return dict(zip(names, groups, strict=True))
