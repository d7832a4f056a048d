"""OpenDocument: a sheet whose rows stand for very many, written so that GDAL reads it.

A row that is the same many times over, most often a blank one, stands there once with a number.
GDAL refuses more than 10,000 of them; as several such rows they are the same sheet.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.stages.container import Opened

_CONTENT, _BLOCK, _LONGEST = "content.xml", 2**22, 64
_MOST = 10_000
_REPEATED = re.compile(rb'number-rows-repeated="(\d+)"')
_ROW = re.compile(
    rb"<((?:\w+:)?table-row)\b[^>]*?\bnumber-rows-repeated=\"\d+\"[^>]*?(?:/>|(?<!/)>.*?</\1>)",
    re.DOTALL,
)

_MARKS = re.compile(rb"(</(?:\w+:)?table-row>)|<(?:\w+:)?covered-table-cell\b")
_VALUE, _END = re.compile(rb"office:value|<(?:\w+:)?p\b"), re.compile(rb"</(?:\w+:)?table>")


def in_short_repeats(arrival: Opened) -> Opened:
    """``arrival``, or a copy without rows that stand for more than GDAL takes."""
    try:
        with zipfile.ZipFile(arrival.place) as book:
            if not _repeats_long(book):
                return arrival
            copy = arrival.folder / "repeated" / arrival.place.name
            copy.parent.mkdir()
            _write(book, copy)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError):
        return arrival  # GDAL says what is wrong
    return replace(arrival, place=copy)


def covered(book: zipfile.ZipFile, header: int) -> Iterator[str]:
    """What is said of merged cells below the line that names the columns."""
    rows = found = 0
    with book.open(_CONTENT) as stream:
        rest = b""
        while block := stream.read(_BLOCK):
            whole, mark, rest = (rest + block).rpartition(b"<")
            rest = mark + rest
            for end in _MARKS.finditer(whole):
                rows += bool(end[1])
                found += rows >= header and not end[1]
    if found:
        yield f"merged cells ({found}) below the first of each are read as empty"


def _repeats_long(book: zipfile.ZipFile) -> bool:
    with book.open(_CONTENT) as stream:
        rest = b""
        while block := stream.read(_BLOCK):
            rest += block
            if any(int(found) > _MOST for found in _REPEATED.findall(rest)):
                return True
            rest = rest[-_LONGEST:]
    return False


def _write(book: zipfile.ZipFile, copy: Path) -> None:
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for member in book.infolist():
            content = book.read(member)
            if member.filename == _CONTENT:
                content = _ROW.sub(lambda row: b"".join(_parted(row)), content)
            made.writestr(member.filename, content)


def _parted(found: re.Match[bytes]) -> Iterator[bytes]:
    """One row as several, each of which stands for as many as GDAL takes; below all values one is
    enough."""
    row, left = found[0], int(_REPEATED.findall(found[0])[0])
    end = _END.search(found.string, found.end())
    if end is not None and not _VALUE.search(found.string, found.start(), end.start()):
        left = min(left, 1)
    while left:
        some = min(left, _MOST)
        yield _REPEATED.sub(b'number-rows-repeated="%d"' % some, row, count=1)
        left -= some
