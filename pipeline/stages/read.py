"""Read: an arriving file as Arrow batches, by GDAL through pyogrio's stream."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
from pyproj import CRS

from pipeline import text
from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.stages.batch import Found, Lines, Raw
from pipeline.stages.map import as_text

# RuntimeError and ValueError are what pyogrio's and Arrow's own errors are.
_READ_ERRORS = (RuntimeError, ValueError, pa.ArrowException, OSError)
WKB_NAMES = ("geoarrow.wkb", "ogc.wkb")
_TODO = {"Nonlinear": "Ask for straight segments (ogr2ogr -nlt CONVERT_TO_LINEAR)."}
_LONGEST = 200
_SOURCE_PLACE = re.compile(r"/\S+\.(?:cpp|c|h)\b,?(?: \d+)?:? ?")
# A feed names columns, so that a first line is always their names, whatever it looks like.
OPTIONS: dict[str, dict[str, str]] = {"CSV": {"HEADERS": "YES"}, "XLSX": {"HEADERS": "FORCE"}}
# Dates stay as they are written (a Jalali date is none for GDAL), and nothing is fetched.
pyogrio.set_gdal_config_options({"OGR_GEOJSON_DATE_AS_STRING": "YES", "GML_DOWNLOAD_SCHEMA": "NO"})


@dataclass
class Source:
    """One open-able arrival. ``crs`` is the one its coordinates are in, None for plain tables.

    ``declared``: whether file or feed say how text is encoded; if not, only UTF-8 is taken.
    """

    feed: Feed
    label: str
    place: str
    sheet: str
    encoding: str | None
    crs: CRS | None
    names: list[str]
    features: int
    declared: bool = True
    assumed: bool = False
    found: Found = field(default_factory=Found)
    heard: set[str] = field(default_factory=set)

    def batches(self, rows: int) -> Iterator[Raw]:
        """All rows of the file, about ``rows`` at a time, in its order."""
        first = 1
        with ExitStack() as stack:
            with explained(self.label, self.heard):
                stream = pyogrio.open_arrow(
                    self.place,
                    layer=self.sheet,
                    batch_size=rows,
                    use_pyarrow=True,
                    encoding=self.encoding,
                    **OPTIONS.get(self.feed.source.driver, {}),
                )
                _, reader = stack.enter_context(stream)
            while (batch := self._next(reader)) is not None:
                yield self._raw(pa.Table.from_batches([batch]), first)
                first += batch.num_rows
        if first - 1 != self.features:
            raise ArrivalError(
                f"says it has {self.features} rows, {first - 1} could be read",
                where=self.label,
                todo="The file is damaged: ask for it again.",
            )

    def _next(self, reader: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with explained(self.label, self.heard):
            batch = next(reader, None)
            if batch is not None:
                batch.validate(full=True)
                self.assumed |= not self.declared and not all(_plain(c) for c in batch.columns)
            return batch

    def warned(self) -> Found:
        """What GDAL warned of so far, each warning once, and what had to be assumed."""
        found = Found()
        for said in sorted(self.heard):
            found.whole("file.warning", detail=said)
        if self.assumed:
            found.whole("encoding.assumed", value="UTF-8")
        return found

    def rows_of(self, lines: Lines, rows: int) -> Iterator[Raw]:
        """The rows of ``lines`` again, as they arrived."""
        for raw in self.batches(rows):
            chosen = np.isin(raw.lines, lines)
            if chosen.any():
                yield _take(raw, chosen)

    def _raw(self, table: pa.Table, first: int) -> Raw:
        lines = np.arange(first, first + table.num_rows, dtype=np.int64)
        wkb = None
        for place, column in reversed(list(enumerate(table.schema))):
            if (column.metadata or {}).get(b"ARROW:extension:name", b"").decode() in WKB_NAMES:
                wkb = table.column(place).combine_chunks()
                table = table.remove_column(place)
        return Raw(lines, table, wkb)

    def meant(self, raw: Raw) -> Raw:
        """The rows that the feed's ``where`` takes."""
        where = self.feed.source.where
        if where is None:
            return raw
        values = as_text(raw.columns.column(where.column).combine_chunks())
        values = pc.utf8_trim_whitespace(values)
        chosen = pc.is_in(values, pa.array(where.values)).to_numpy(zero_copy_only=False)
        return _take(raw, np.asarray(chosen, dtype=bool))


def _take(raw: Raw, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Raw:
    mask = pa.array(chosen)
    return Raw(
        raw.lines[chosen],
        raw.columns.filter(mask),
        None if raw.wkb is None else raw.wkb.filter(mask),
    )


def _plain(values: pa.Array) -> bool:
    return not pa.types.is_string(values.type) or text.is_plain(values)


@contextmanager
def explained(label: str, heard: set[str]) -> Iterator[None]:
    """Turns GDAL's errors into one line, and adds its warnings to ``heard``."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield
        except _READ_ERRORS as error:
            undecoded = "utf" in str(error).lower() and "invalid" in str(error).lower()
            if isinstance(error, UnicodeError) or undecoded:
                raise ArrivalError(
                    "its text is not in the declared encoding, which is UTF-8 where none is",
                    where=label,
                    todo="Declare encoding in the feed's [source], such as CP1256.",
                ) from None
            said = brief(error, label)
            todo = next((do for sign, do in _TODO.items() if sign in said), "Ask for it again.")
            raise ArrivalError(f"cannot be read: {said}", where=label, todo=todo) from None
    heard.update(brief(str(item.message), label) for item in warned)


def brief(error: object, label: str) -> str:
    """What GDAL says, on one line, without the folders of this machine or of its own."""
    said = _SOURCE_PLACE.sub("", " ".join(str(error).split()))
    for part in said.replace("'", " ").replace('"', " ").replace(";", " ").split():
        if "/" in part and part.rstrip(".,:").endswith(label.rsplit("/", 1)[-1]):
            said = said.replace(part.rstrip(".,:"), label)
    said = said.rstrip(" .;,:")
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
