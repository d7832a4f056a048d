"""CSV, TSV and TXT: GDAL reads them, after a look of our own at where its rows begin and end.

A quotation mark that is not closed swallows the lines behind it, a value too many is left out, and
so is what stands behind a NUL byte: GDAL says nothing of any of these. The csv module counts rows
and values by the rules of RFC 4180; where both do not agree, the file is refused or the row told.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ArrivalError
from pipeline.stages.readers.base import Layer
from pipeline.stages.readers.gdal import GdalDataset, GdalLayer

_SEPARATORS = (",", ";", "\t", "|", " ")
_LONGEST = 2**31 - 1
_ROWS, _BLOCK = 2**16, 2**22
# WKB of no kind that there is.
_NO_SHAPE = b"\x01\x00\x00\x00\x00"
_BOM = b"\xef\xbb\xbf"
_SWALLOWED, _MOST = 3, 10_000


@dataclass
class _Look:
    """What a way through the file has shown: its rows, and those with too many or few values.

    ``surplus``: by the row's number, what stands behind the last column; ``swallowing``: rows with
    a value that looks like rows. ``short``: how many lack a value, ``first`` the first of them.
    """

    rows: int = 0
    surplus: dict[int, str] = field(default_factory=dict)
    swallowing: list[int] = field(default_factory=list)
    short: int = 0
    first: int = 0
    warned: set[str] = field(default_factory=set)


class DelimitedDataset(GdalDataset):
    """A table of text."""

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The table, its rows counted by the csv module."""
        layer = super().layer(sheet, encoding)
        if not isinstance(layer, GdalLayer):
            return layer
        _refuse_bytes(Path(self.place), self.label)
        if not layer.names:
            raise ArrivalError("names no columns", where=self.label, todo="Ask for it again.")
        separator = _separator(Path(self.place), len(layer.names))
        if separator is None:
            return layer
        found = _look(Path(self.place), separator, len(layer.names), self.label)
        layer.heard |= found.warned
        if found.short:
            layer.heard.add(
                f"{found.short} rows have fewer values than there are columns, "
                f"the first is row {found.first}"
            )
        made = DelimitedLayer(**vars(layer), beyond=found.surplus)
        made.drawn = tuple(one for one in layer.names if _is_drawn(one))[: len(layer.geometries)]
        made.features = found.rows
        made.odd = dict.fromkeys(found.swallowing, "row.swallows")
        if found.surplus:
            made.odd |= dict.fromkeys(found.surplus, "row.surplus")
            made.names = [*made.names, f"field_{len(made.names) + 1}"]
        return made


@dataclass
class DelimitedLayer(GdalLayer):
    """Its rows, with a column for what stands behind the last one where anything does."""

    beyond: dict[int, str] = field(default_factory=dict)

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream of GDAL, and the values that it leaves out."""
        first = 1
        for table in super().tables(rows):
            shown = self._undrawn(table)
            yield self._whole(shown, first) if self.beyond else shown
            first += table.num_rows

    def _undrawn(self, table: pa.Table) -> pa.Table:
        """Where text is no WKT, GDAL gives no shape: it is not taken for a row without one."""
        if len(self.drawn) != 1 or len(self.geometries) != 1:
            return table
        written = table.column(self.drawn[0]).combine_chunks()
        name = next(iter(self.geometries))
        place = table.schema.get_field_index(name)
        shapes = table.column(place).combine_chunks()
        given = pc.greater(pc.binary_length(pc.utf8_trim_whitespace(written)), 0)
        lost = pc.and_(shapes.is_null(), pc.fill_null(given, fill_value=False))
        if not pc.any(lost).as_py():
            return table
        mended = pc.if_else(lost, pa.scalar(_NO_SHAPE, shapes.type), shapes)
        return table.set_column(place, table.schema.field(place), mended)

    def _whole(self, table: pa.Table, first: int) -> pa.Table:
        values = [self.beyond.get(row) for row in range(first, first + table.num_rows)]
        return table.append_column(self.names[-1], pa.array(values, type=pa.string()))


def _is_drawn(name: str) -> bool:
    """Whether GDAL makes shapes of a column that is called so."""
    return name.upper() == "WKT" or name.upper().startswith("_WKT")


def _refuse_bytes(path: Path, label: str) -> None:
    """A NUL byte, or what is not UTF-8, with its line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            place = block.find(b"\x00")
            if place >= 0:
                raise ArrivalError(
                    f"holds a NUL byte in line {line + block.count(b'\n', 0, place)}, behind which "
                    "the line would be lost",
                    where=label,
                    todo="Ask for the file again, as UTF-8.",
                )
            before = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                wrong = max(error.start - before, 0)
                raise ArrivalError(
                    f"is not in one encoding: line {line + block.count(b'\n', 0, wrong)} is not "
                    "UTF-8, as the file is by what is declared or was detected",
                    where=label,
                    todo="Declare the right encoding in the feed's [source], such as CP1256, or "
                    "ask for a file in one.",
                ) from None
            line += block.count(b"\n")


def _lines(path: Path) -> io.TextIOWrapper:
    """Each byte as one character: what parts values is ASCII in every encoding that comes here."""
    raw = path.open("rb")
    if raw.read(len(_BOM)) != _BOM:
        raw.seek(0)
    return io.TextIOWrapper(raw, encoding="latin-1", newline="")


def _separator(path: Path, columns: int) -> str | None:
    """What parts the names of the first line into as many columns as GDAL has found."""
    csv.field_size_limit(_LONGEST)
    for one in _SEPARATORS:
        with _lines(path) as stream:
            try:
                head = next((row for row in csv.reader(stream, delimiter=one) if row), [])
            except csv.Error:
                continue
        if len(head) == columns:
            return one
    return None


def _look(path: Path, separator: str, columns: int, label: str) -> _Look:
    """One way through the file, rows by the block; a second one where something is odd."""
    found = _Look()
    with _lines(path) as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        odd = False
        try:
            while len(sizes := np.fromiter(map(len, islice(reader, _ROWS)), dtype=np.int64)):
                found.rows += int((sizes > 0).sum())
                odd |= bool(((sizes != columns) & (sizes > 0)).any())
        except csv.Error:
            odd = True
        # A row of several lines may be several rows.
        odd |= reader.line_num != found.rows
    found.rows -= 1
    return _look_closely(path, separator, columns, label) if odd else found


def _look_closely(path: Path, separator: str, columns: int, label: str) -> _Look:
    """Row by row, for the few files in which something is odd."""
    found = _Look(rows=-1)
    with _lines(path) as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        for begun, row in _rows(reader, label, found):
            if row is None or row:
                found.rows += 1
            if not row or not found.rows:
                continue
            if len(row) > columns and any(row[columns:]):
                found.surplus[found.rows] = _decoded(separator.join(row[columns:]))
                _refuse_too_much(found, label)
            elif len(row) < columns:
                found.short += 1
                found.first = found.first or found.rows
            if reader.line_num > begun and _swallows(row, separator, columns):
                found.swallowing.append(found.rows)
    return found


def _rows(
    reader: Iterator[list[str]], label: str, found: _Look
) -> Iterator[tuple[int, list[str] | None]]:
    """Each row with the line it begins in; None for one whose marks are odd, but on its line."""
    while True:
        begun = reader.line_num + 1  # type: ignore[attr-defined]
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            ended = reader.line_num  # type: ignore[attr-defined]
            if ended > begun or "end of data" in str(error):
                raise ArrivalError(
                    f"a quotation mark of line {begun} is not closed as it should be; "
                    f"all up to line {ended} would be one value",
                    where=label,
                    todo="Ask for the file again, or correct that line.",
                ) from None
            found.warned.add(f"line {begun} has a quotation mark within a value")
            yield begun, None
        else:
            yield begun, row


def _refuse_too_much(found: _Look, label: str) -> None:
    if len(found.surplus) > _MOST:
        first = next(iter(found.surplus))
        raise ArrivalError(
            f"has more values than columns in {_MOST} rows and more, the first is row {first}",
            where=label,
            todo="Ask for a file whose first line names every column.",
        )


def _swallows(row: list[str], separator: str, columns: int) -> bool:
    """Whether a value of several lines has a line within that is like a row."""
    if columns < _SWALLOWED:
        return False
    within = (line for value in row for line in value.splitlines()[1:-1])
    return any(line.count(separator) == columns - 1 for line in within)


def _decoded(written: str) -> str:
    return written.encode("latin-1").decode("utf-8", "replace")
