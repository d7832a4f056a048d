"""GeoPackage and SQLite: GDAL reads them, but for what it makes of values that are not of the type
of their column, and of columns whose type it does not know.

SQLite keeps any value in any column. GDAL makes 0 of the text in a column of integers, 3 of 3.7, 12
of ``12,5``, 2 March of 31 Ordibehesht, a number of seven digits of a longer one (FLOAT), and leaves
out a GeoPackage's columns that are called VARCHAR or BIGINT. Such columns are read as text, by
SQL; which they are is asked of SQLite itself.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio

from pipeline.db.arrival import unsettled
from pipeline.errors import ArrivalError
from pipeline.stages import dbase
from pipeline.stages.container import Opened
from pipeline.stages.misfit import asked, misfits, quoted
from pipeline.stages.readers.base import Layer, wkb_field
from pipeline.stages.readers.gdal import GdalDataset, GdalLayer, offline

# A GeoPackage's geometry begins with magic, version, flags, SRS id and a box of 0 to 8 doubles.
_BOX_DOUBLES = np.array([0, 4, 6, 6, 8, 0, 0, 0])
_GEOMETRIES = (
    "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON",
    "GEOMETRYCOLLECTION", "CIRCULARSTRING", "COMPOUNDCURVE", "CURVEPOLYGON", "MULTICURVE",
    "MULTISURFACE", "CURVE", "SURFACE", "POLYHEDRALSURFACE", "TIN", "TRIANGLE",
)  # fmt: skip
# Whole numbers without their .0, others with as many digits as bring the same number back.
_TEXT = (
    "CASE typeof({0}) WHEN 'real' THEN CASE"
    " WHEN {0} = CAST({0} AS INTEGER) AND abs({0}) < 9007199254740992"
    " THEN CAST(CAST({0} AS INTEGER) AS TEXT)"
    " WHEN CAST(CAST({0} AS TEXT) AS REAL) = {0} THEN CAST({0} AS TEXT)"
    " ELSE printf('%!.17g', {0}) END"
    " WHEN 'blob' THEN hex({0}) ELSE CAST({0} AS TEXT) END AS {0}"
)


class DatabaseDataset(GdalDataset):
    """A GeoPackage, or a database of SQLite."""

    def __init__(self, arrival: Opened) -> None:
        """Of a database that is open elsewhere, or was not closed, a copy is read."""
        beside = unsettled(arrival.place)
        super().__init__(_settled(arrival, beside) if beside else arrival)
        if beside:
            self.heard.add("was not closed by the program that wrote it; what it had saved is read")

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The table, with all its columns; that of its row's number if a feed asks for it."""
        layer = super().layer(sheet, encoding)
        if not isinstance(layer, GdalLayer):
            return layer
        made = DatabaseLayer(**vars(layer))
        made.names = [*made.names, *made.unknown()]
        made.spare = (layer.fid,) if layer.fid else ()
        return made


def _settled(arrival: Opened, beside: list[Path]) -> Opened:
    """A copy in which SQLite has put what was saved where it belongs, and taken back the rest."""
    copy = arrival.folder / "settled" / arrival.place.name
    copy.parent.mkdir()
    for part in (arrival.place, *beside):
        shutil.copyfile(part, copy.with_name(part.name))
    with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as store:  # else GDAL says it
        store.execute("PRAGMA journal_mode = DELETE").fetchall()
    return replace(arrival, place=copy)


@dataclass
class DatabaseLayer(GdalLayer):
    """One table or view."""

    asked: list[str] = field(default_factory=list)

    def want(self, names: set[str]) -> None:
        """The number of a row, where a feed takes it for a value."""
        self.asked = [one for one in self.spare if one in names and one not in self.names]
        self.names = [*self.names, *self.asked]

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream of GDAL; dates as they are written in the calendar of their year."""
        for table in super().tables(rows):
            yield self._dated(table)
        # Columns whose type GDAL does not know have been read.
        ours = [f"column '{name}' of type" for name in self.names if name not in self.kinds]
        self.heard -= {
            said for said in self.heard
            if any(one in said for one in ours) or said.startswith("Field format '")
        }  # fmt: skip

    def _dated(self, table: pa.Table) -> pa.Table:
        for name, kind in self.kinds.items():
            place = table.schema.get_field_index(name)
            if kind[0] == "OFTDate" and pa.types.is_string(table.schema.types[place]):
                shown = dbase.of_calendar(table.column(place).combine_chunks())
                table = table.set_column(place, name, shown)
        return table

    def recounted(self) -> int:
        """A GeoPackage keeps its number of rows beside them, where other programs do not keep it
        up to date; SQLite counts the rows themselves."""
        if self.driver != "GPKG":
            return self.features
        with offline(self.label, self.heard):
            sql = f"SELECT count(*) AS rows FROM {quoted(self.sheet)}"  # noqa: S608
            _, table = pyogrio.read_arrow(self.place, sql=sql)
        self.features = int(table.column("rows")[0].as_py())
        return self.features

    def unknown(self) -> list[str]:
        """Columns whose type GDAL does not know: it takes them for geometries, and leaves them."""
        known = {*self.names, *self.geometries, self.fid}
        told = asked(self.place, f"PRAGMA table_info({quoted(self.sheet)})")
        return [
            str(name) for _, name, kind, *_ in told
            if name not in known and str(kind).upper() not in (*_GEOMETRIES, "")
        ]  # fmt: skip

    @cached_property
    def _texts(self) -> list[str]:
        """The columns that are read as text: one way through the table, in SQLite's own speed."""
        texts = [name for name, kind in self.kinds.items() if _is_read_as_text(*kind)]
        texts += [name for name in self.names if name not in self.kinds]
        rest = {name: kind for name, kind in self.kinds.items() if name not in texts}
        return texts + misfits(self.place, self.sheet, rest)

    def _open(self, stack: ExitStack, rows: int) -> Iterator[pa.RecordBatch]:
        # Without a condition GDAL goes by the number that a GeoPackage keeps of its rows, and gives
        # some twice where that is too high.
        how: dict[str, Any] = {"where": "1 = 1"} if self.driver == "GPKG" else {}
        if self._texts:
            how = {"sql": self._by_sql([quoted(name) for name in self.geometries])}
        try:
            return self._stream(stack, rows, **how)
        except NotImplementedError:
            # pyogrio streams no layer that says it holds curves.
            curved = next(iter(self.geometries), None)
            if self.driver != "GPKG" or curved is None:
                raise ArrivalError(
                    "holds curves", where=self.label, todo="Ask for it as GeoPackage."
                ) from None
        blob = f"CAST({quoted(curved)} AS BLOB) AS {quoted(curved)}"
        stream = self._stream(stack, rows, sql=self._by_sql([blob]))
        return (_unpacked(batch, curved) for batch in stream)

    def _by_sql(self, geometries: list[str]) -> str:
        """The layer, with the columns that are read as text."""
        names = [
            _TEXT.format(quoted(name)) if name in self._texts else quoted(name)
            for name in self.names
        ]
        return f"SELECT {', '.join([*names, *geometries])} FROM {quoted(self.sheet)}"  # noqa: S608


def _is_read_as_text(kind: str, finer: str) -> bool:
    """Whether GDAL alters good values of such columns: dates, and FLOAT, which it cuts."""
    return kind == "OFTDate" or finer == "OFSTFloat32"


def _unpacked(batch: pa.RecordBatch, curved: str) -> pa.RecordBatch:
    """Geometries of a GeoPackage as WKB; an empty one (a flag of the header) is so by its WKB."""
    place = batch.schema.get_field_index(curved)
    values = [None if one is None else _body(one) for one in batch.column(place).to_pylist()]
    return batch.set_column(place, wkb_field(curved), pa.array(values, type=pa.binary()))


def _body(blob: bytes) -> bytes:
    if blob[:2] != b"GP" or len(blob) < 8:
        return blob
    return blob[8 + 8 * int(_BOX_DOUBLES[(blob[3] >> 1) & 7]) :]
