"""Whole: what only a look at the whole delivery can tell: doubled keys, guards on its size."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.contracts.layer import LayerContract
from pipeline.db.ledger import Account
from pipeline.errors import GuardError
from pipeline.stages.batch import Context, Found, Lines, Mask, Rows
from pipeline.stages.judge import Judged

# Between the parts of a key: no text holds it, so that "a b" and "c" is not "a" and "b c".
_BETWEEN = "\x1f"

Hashes = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass
class Keys:
    """The keys and unique fields of all rows so far, as columns."""

    layer: LayerContract
    lines: list[Lines] = field(default_factory=list)
    columns: dict[tuple[str, ...], list[pa.Array]] = field(default_factory=dict)
    seen: dict[tuple[str, ...], Hashes] = field(default_factory=dict)
    repeated: bool = False

    def add(self, rows: Rows) -> Mask:
        """Remembers the keys of one batch; True for rows whose key came before."""
        self.lines.append(rows.lines)
        again = np.zeros(len(rows), dtype=bool)
        for names in self._identities():
            parts = [rows.columns[name].cast(pa.string()) for name in names]
            joined = pc.binary_join_element_wise(*parts, _BETWEEN, null_handling="emit_null")
            self.columns.setdefault(names, []).append(joined)
            again |= self._again(names, joined)
        self.repeated |= bool(again.any())
        return again

    def _again(self, names: tuple[str, ...], keys: pa.Array) -> Mask:
        """By 64-bit hashes: if two keys ever had the same, the account would not close."""
        hashes = np.fromiter(map(hash, keys.to_pylist()), dtype=np.int64, count=len(keys))
        fresh, first = np.unique(hashes, return_index=True)
        before = self.seen.get(names, np.zeros(0, dtype=np.int64))
        known = np.zeros(len(fresh), dtype=bool)
        if len(before):
            known = before[np.minimum(np.searchsorted(before, fresh), len(before) - 1)] == fresh
        again = np.ones(len(keys), dtype=bool)
        again[first] = known
        # A stable sort of two sorted halves is a merge.
        self.seen[names] = np.sort(np.append(before, fresh[~known]), kind="stable")
        return again & np.asarray(keys.is_valid())

    def _identities(self) -> list[tuple[str, ...]]:
        unique = [(f.name,) for f in self.layer.fields if f.unique and (f.name,) != self.layer.key]
        return [self.layer.key, *unique]

    def doubled(self) -> Found:
        """Every row whose key another row has too: key.duplicate, with the lines that share it."""
        found = Found()
        if not self.repeated:
            return found
        lines = np.concatenate(self.lines)
        for names, pieces in self.columns.items():
            keys = pa.chunked_array(pieces).combine_chunks()
            for key, where in _shared(keys).items():
                shared = lines[where]
                found.mark(
                    "key.duplicate",
                    shared,
                    field_name=" ".join(names),
                    values=[key.replace(_BETWEEN, " ")] * len(shared),
                    details=f"rows {', '.join(map(str, shared[:8]))}{' …' * (len(shared) > 8)}",
                )
        return found

    def of(self, lines: Lines) -> dict[int, str | None]:
        """The key of each of ``lines``, as people read it."""
        if not self.lines:
            return {}
        every = np.concatenate(self.lines)
        chosen = np.isin(every, lines)
        keys = pa.chunked_array(self.columns[self.layer.key]).combine_chunks()
        found = pc.replace_substring(keys.filter(pa.array(chosen)), _BETWEEN, " ").to_pylist()
        return dict(zip(every[chosen].tolist(), found, strict=True))


@dataclass
class Shapes:
    """One 64-bit hash for each good row's geometry, to find the same shape drawn twice."""

    lines: list[Lines] = field(default_factory=list)
    hashes: list[Hashes] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        """Remembers the geometries of one batch's good rows."""
        if judged.wkb is None or judged.rows.geometry is None:
            return
        drawn = judged.good & ~shapely.is_missing(judged.rows.geometry)
        self.lines.append(judged.rows.lines[drawn])
        found = map(hash, judged.wkb[drawn])
        self.hashes.append(np.fromiter(found, dtype=np.int64, count=int(drawn.sum())))

    def doubled(self) -> Found:
        """geometry.duplicate for every row after the first that has the same geometry."""
        found = Found()
        if not self.lines:
            return found
        lines, hashes = np.concatenate(self.lines), np.concatenate(self.hashes)
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        original = first[inverse]
        again = original != np.arange(len(lines))
        details = [f"row {line}" for line in lines[original[again]]]
        found.mark("geometry.duplicate", lines[again], details=details)
        return found


def _shared(keys: pa.Array) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
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


def guard(account: Account, context: Context, before: int | None, where: str) -> Found:
    """Refuses a delivery of too few rows (GuardError); too many is a finding.

    ``before`` is the number of rows of the delivery that is published, None for the first one.
    """
    feed, layer = context.feed.limits, context.layer.limits
    meant = account.arrived - account.skipped
    least = layer.min_rows if feed.min_rows is None else feed.min_rows
    most = layer.max_rows if feed.max_rows is None else feed.max_rows
    drop = layer.max_drop_share if feed.max_drop_share is None else feed.max_drop_share
    if meant < least:
        raise GuardError(
            f"{meant} rows arrived, at least {least} were expected",
            where=where,
            todo="What was published stays. Ask for all of it, or change the feed's limits.",
        )
    full = context.feed.delivery == "full"
    if full and before is not None and meant < before * (1 - drop):
        raise GuardError(
            f"{meant} rows arrived, {before} came last time: a drop of more than {drop:.0%}",
            where=where,
            todo="What was published stays. If it is meant, raise max_drop_share in the feed.",
        )
    found = Found()
    if most is not None and meant > most:
        found.whole("rows.too_many", value=meant, detail=most)
    return found
