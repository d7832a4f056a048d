"""Read: an arriving layer as batches of rows, whoever reads its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyproj import CRS

from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.stages import curves, iran_system
from pipeline.stages.ahead import Ahead
from pipeline.stages.batch import Found, Lines, Raw
from pipeline.stages.map import as_text
from pipeline.stages.personal import Cut
from pipeline.stages.readers.base import Layer


@dataclass
class Source:
    """One open-able arrival. ``crs`` is the one its coordinates are in, None for plain tables;
    ``geometry`` names the column that is the row's shape."""

    feed: Feed
    layer: Layer
    crs: CRS | None
    geometry: str | None
    found: Found = field(default_factory=Found)
    cut: Cut | None = None
    begun: Ahead[pa.Table] | None = None

    @property
    def label(self) -> str:
        """What people call the file."""
        return self.layer.label

    @property
    def features(self) -> int:
        """How many rows there are, as another reader counts them."""
        return self.layer.features

    @property
    def names(self) -> list[str]:
        """The columns, and the geometries that are not the row's shape."""
        rest = (one for one in self.layer.geometries if one != self.geometry)
        names = [*self.layer.names, *rest]
        return [iran_system.one(name) for name in names] if self._is_drawn else names

    @property
    def _is_drawn(self) -> bool:
        """Whether texts are as DOS programs drew them."""
        return iran_system.is_declared(self.feed.source.encoding)

    def begin(self, rows: int) -> Ahead[pa.Table]:
        """Begins to read, so that the first of ``batches`` is there when it is asked for."""
        self.end()
        self.layer.seen = 0
        self.begun = Ahead(self.layer.tables(rows))
        return self.begun

    def end(self) -> None:
        """What was begun and not asked for is left."""
        if self.begun is not None:
            self.begun.close()
        self.begun = None

    def batches(self, rows: int) -> Iterator[Raw]:
        """All rows of the file, about ``rows`` at a time, in its order."""
        begun, first = self.begun or self.begin(rows), 1
        self.begun = None
        with closing(begun):
            for table in begun:
                yield self._raw(table, first)
                first += table.num_rows
        # Counted once more only where the two do not agree: that reads the whole file again.
        if self.layer.seen != self.layer.features and self.layer.seen != self.layer.recounted():
            raise ArrivalError(
                f"says it has {self.layer.features} rows, {self.layer.seen} could be read",
                where=self.label,
                todo="The file is damaged: ask for it again.",
            )

    def warned(self) -> Found:
        """What the reader warned of so far, each warning once."""
        found = Found()
        for said in sorted(self.layer.heard):
            # A reader may quote what it read.
            found.whole("file.warning", detail=None if self.cut else said)
        return found

    def rows_of(self, lines: Lines, rows: int) -> Iterator[Raw]:
        """The rows of ``lines`` again, as they arrived."""
        for raw in self.batches(rows):
            chosen = np.isin(raw.lines, lines)
            if chosen.any():
                yield taken(raw, chosen)

    def _raw(self, table: pa.Table, first: int) -> Raw:
        lines = np.arange(first, first + table.num_rows, dtype=np.int64)
        wkb = None
        if self.geometry is not None:
            place = table.schema.get_field_index(self.geometry)
            wkb = curves.stroked(table.column(place).combine_chunks(), curves.tolerance(self.crs))
            table = table.remove_column(place)
        if self.layer.days_late:
            table = self._in_usual_days(table)
        if self._is_drawn:
            table = iran_system.table(table)
        if self.cut is not None:
            table, personal = self.cut.apart(table)
            return Raw(lines, self._untold(table, lines), wkb, personal)
        return Raw(lines, table, wkb)

    def _in_usual_days(self, table: pa.Table) -> pa.Table:
        """Numbers that the feed takes for days, as other workbooks count them."""
        days = {name for one in self.feed.columns if one.parser == "excel" for name in one.sources}
        for place, column in enumerate(table.schema):
            kind = column.type
            if column.name in days and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                moved = pc.add(table.column(place), pa.scalar(self.layer.days_late, kind))
                table = table.set_column(place, column, moved)
        return table

    def _untold(self, table: pa.Table, lines: Lines) -> pa.Table:
        """Of odd rows only what names them: a person's name may have moved into any column."""
        odd = self._odd(lines)
        if not odd.any() or self.cut is None:
            return table
        kept = pa.array(~odd)
        columns = [
            one if name in self.cut.keys
            else pc.if_else(kept, one.combine_chunks(), pa.scalar(None, one.type))
            for name, one in zip(table.column_names, table.columns, strict=True)
        ]  # fmt: skip
        return pa.table(columns, schema=table.schema)

    def _odd(self, lines: Lines) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.isin(lines, list(self.layer.odd))

    def given(self, raw: Raw) -> Raw:
        """The rows of a plain table in which anything stands."""
        if raw.wkb is not None:
            return raw
        nothing = blank(raw.columns)
        if raw.personal is not None:
            nothing &= blank(raw.personal)
        if self.layer.odd:
            nothing &= ~self._odd(raw.lines)
        return taken(raw, ~nothing) if nothing.any() else raw

    def meant(self, raw: Raw) -> Raw:
        """The rows that the feed's ``where`` takes."""
        where = self.feed.source.where
        if where is None:
            return raw
        values = as_text(raw.columns.column(where.column).combine_chunks())
        values = pc.utf8_trim_whitespace(values)
        if where.empty:
            chosen = pc.fill_null(pc.equal(values, ""), fill_value=True)
        else:
            chosen = pc.is_in(values, pa.array(where.values))
        return taken(raw, np.asarray(chosen.to_numpy(zero_copy_only=False), dtype=bool))


def blank(table: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows with nothing in any column, as a table has below what was formatted or cleared."""
    nothing = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        if not nothing.any():
            break
        values = column.combine_chunks()
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            bare = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(values)), 0)
            empty = pc.fill_null(bare, fill_value=True)
        else:
            empty = values.is_null(nan_is_null=True)
        nothing &= np.asarray(empty.to_numpy(zero_copy_only=False), dtype=bool)
    return nothing


def taken(raw: Raw, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Raw:
    """The chosen rows of a batch."""
    mask = pa.array(chosen)
    return Raw(
        raw.lines[chosen],
        raw.columns.filter(mask),
        None if raw.wkb is None else raw.wkb.filter(mask),
        None if raw.personal is None else raw.personal.filter(mask),
    )


def joined(pieces: list[Raw]) -> Raw:
    """Several parts of a file as one; ``pieces`` are of one layer, in its order."""
    drawn = [one.wkb for one in pieces if one.wkb is not None]
    personal = [one.personal for one in pieces if one.personal is not None]
    return Raw(
        np.concatenate([one.lines for one in pieces]),
        pa.concat_tables([one.columns for one in pieces]),
        pa.concat_arrays(drawn) if drawn else None,
        pa.concat_tables(personal) if personal else None,
    )
