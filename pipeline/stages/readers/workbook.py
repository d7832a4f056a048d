"""Excel: GDAL reads the cells; here it is told which of them only seem to be empty.

Of merged cells the first alone has the value, and a formula that no spreadsheet program has worked
out yet has none: either way a row lacks what people see in it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyogrio

from pipeline.errors import ArrivalError
from pipeline.stages.container import Opened
from pipeline.stages.map import as_text
from pipeline.stages.readers.base import Layer
from pipeline.stages.readers.gdal import GdalDataset, GdalLayer, offline
from pipeline.stages.readers.opendocument import covered, in_short_repeats

_BLOCK, _SHOWN, _MOST = 2**22, 3, 10_000
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*ref="([A-Z]+(\d+):[A-Z]+(\d+))"')
_CELL_ENDS = re.compile(rb"</(?:\w+:)?c>")
_FORMULA, _VALUE = re.compile(rb"<(?:\w+:)?f[ />]"), re.compile(rb"<(?:\w+:)?(?:v>[^<]|is[ >])")
_REFERENCE = re.compile(rb'<(?:\w+:)?c [^>]*?r="([A-Z]+\d+)"')
_BOOK = "xl/workbook.xml"
_SINCE_1904 = re.compile(rb'date1904="(?:1|true|on)"')
_HIDDEN = re.compile(rb'<(?:\w+:)?row [^>]*?hidden="(?:1|true)"[^>]*(?<!/)>')
_RICH = re.compile(rb'<(?:\w+:)?c [^>]*?r="([A-Z]+\d+)"[^>]*>\s*<(?:\w+:)?is>\s*<(?:\w+:)?r>')
# From 1 January 1904 on, where other workbooks count from the last day of 1899.
DAYS_LATE = 1462
_BROKEN = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ET.ParseError, NotImplementedError)


class WorkbookDataset(GdalDataset):
    """A workbook of Excel or LibreOffice."""

    def __init__(self, arrival: Opened) -> None:
        """Nothing is opened before it is asked for."""
        if arrival.place.suffix.lower() == ".ods":
            arrival = in_short_repeats(arrival)
        super().__init__(arrival)
        self.header = arrival.header

    def _options(self) -> dict[str, str]:
        return super()._options() if self.header == 1 else {"HEADERS": "DISABLE"}

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The sheet, with what is said of cells that only seem to be empty."""
        layer = super().layer(sheet, encoding)
        if self.header > 1 and isinstance(layer, GdalLayer):
            layer = self._below(layer)
        if isinstance(layer, GdalLayer) and _counts_from_1904(Path(self.place)):
            if self.header > 1:
                raise ArrivalError(
                    "counts its days from 1904, and has lines above its columns' names",
                    where=self.label,
                    todo="Ask for it without these lines, or as CSV.",
                )
            layer = LateLayer(**vars(layer))
            layer.days_late = DAYS_LATE
        # What is broken GDAL has read all the same, or says itself.
        with suppress(*_BROKEN), zipfile.ZipFile(Path(self.place)) as book:
            part = _part(book, sheet) if _BOOK in book.namelist() else None
            if part is not None:
                layer.heard |= set(_told(book, part, self.header))
            if "content.xml" in book.namelist():
                layer.heard |= set(covered(book, self.header))
        return layer

    def _below(self, layer: GdalLayer) -> Layer:
        """The sheet from its header on."""
        with offline(self.label, self.heard):
            _, top = pyogrio.read_arrow(
                self.place, layer=layer.sheet, max_features=self.header, **layer.options
            )
        if top.num_rows < self.header:
            raise ArrivalError(
                f"has no row {self.header}, which should name its columns",
                where=self.label,
                todo="Correct header in the feed's [source].",
            )
        named = (as_text(column.combine_chunks())[-1].as_py() for column in top.columns)
        names = [told or own for told, own in zip(named, layer.names, strict=True)]
        made = WorkbookLayer(**vars(layer), header=self.header)
        made.names, made.features = names, layer.features - self.header
        return made


@dataclass
class WorkbookLayer(GdalLayer):
    """The rows below the one that names the columns; to GDAL columns have names of its own."""

    header: int = 1

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream of GDAL without what is above."""
        above = self.header
        for table in super().tables(rows):
            begun = min(above, table.num_rows)
            above -= begun
            self.seen -= begun
            if begun < table.num_rows:
                yield table.slice(begun).rename_columns(self.names)


@dataclass
class LateLayer(GdalLayer):
    """Days that are counted from 1904 on, as Excel for the Mac did: GDAL counts from 1900."""

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream of GDAL, with the dates that are meant."""
        for table in super().tables(rows):
            yield _later(table)


def _later(table: pa.Table) -> pa.Table:
    late = pa.scalar(timedelta(days=DAYS_LATE))
    for place, column in enumerate(table.schema):
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            moved = pc.add(table.column(place), late).cast(column.type)
            table = table.set_column(place, column, moved)
    return table


def _counts_from_1904(place: Path) -> bool:
    with suppress(*_BROKEN), zipfile.ZipFile(place) as book:
        return bool(_SINCE_1904.search(book.read(_BOOK)))
    return False


def _part(book: zipfile.ZipFile, sheet: str) -> str | None:
    """The member of the archive that holds ``sheet``."""
    targets = {
        one.get("Id"): one.get("Target", "")
        for one in ET.fromstring(book.read("xl/_rels/workbook.xml.rels"))  # noqa: S314 - no DTD is read
    }
    for one in ET.fromstring(book.read(_BOOK)).iter():  # noqa: S314
        if one.tag.rpartition("}")[2] == "sheet" and one.get("name") == sheet:
            found = next((v for k, v in one.attrib.items() if k.rpartition("}")[2] == "id"), None)
            target = targets.get(found)
            return None if target is None else _within(target)
    return None


def _within(target: str) -> str:
    """A part's name from what a relation calls it."""
    return target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)


def _told(book: zipfile.ZipFile, part: str, header: int) -> Iterator[str]:
    merged: list[str] = []
    unworked: list[str] = []
    rich: list[str] = []
    hidden = 0
    for cells in _pieces(book, part):
        if _FORMULA.search(cells):
            unworked += _without_value(cells)
        merged += [
            found[1].decode() for found in _MERGED.finditer(cells)
            # The title above a table is merged, and so are names of columns side by side.
            if int(found[3]) > header
        ]  # fmt: skip
        rich += [found.decode() for found in _RICH.findall(cells)]
        hidden += len(_HIDDEN.findall(cells))
        del merged[_MOST:], unworked[_MOST:], rich[_MOST:]
    if merged:
        yield f"merged cells ({len(merged)}), of which the first alone has a value: {_some(merged)}"
    if unworked:
        yield f"formulas without a value ({len(unworked)}), read as empty: {_some(unworked)}"
    if rich:
        yield f"texts in several forms ({len(rich)}), whose first part alone is read: {_some(rich)}"
    if hidden:
        yield f"rows that the sheet hides ({hidden}) are read like the others"


def _pieces(book: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The sheet in parts that end where a cell ends."""
    with book.open(part) as stream:
        rest = b""
        while block := stream.read(_BLOCK):
            whole, mark, rest = (rest + block).rpartition(b"</")
            # What begins at the last mark may not be all there.
            rest = mark + rest
            last = whole.rfind(b"<c ")
            if last > 0:
                whole, rest = whole[:last], whole[last:] + rest
            yield whole
        yield rest


def _without_value(cells: bytes) -> list[str]:
    found = []
    for cell in _CELL_ENDS.split(cells):
        formula = _FORMULA.search(cell)
        if formula and not _VALUE.search(cell, formula.start()):
            # Empty cells before it end with their beginning.
            names = _REFERENCE.findall(cell, 0, formula.start())
            found.append(names[-1].decode() if names else "?")
    return found


def _some(names: list[str]) -> str:
    more = " …" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
