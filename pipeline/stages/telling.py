"""Telling: what a file says of the encoding of its text, and what its bytes show where it does not.

Only formats that leave it open are looked at: Shapefile and DBF, CSV, DXF. The whole file is looked
through, so that text which is not ASCII cannot hide behind the first thousand rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.stages.dbase import Dbase
from pipeline.stages.encoding import Trial, pieces, python_name, try_encodings

BINARY_DXF = b"AutoCAD Binary DXF"
TABLES = (".csv", ".tsv", ".txt")
_BLOCK = 2**22
_BOMS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
# The DBF header's byte 29. What is often written by default (0, 3, 0x57) says nothing.
_LANGUAGES = {
    0x01: "cp437", 0x02: "cp850", 0x64: "cp852", 0x65: "cp866", 0x66: "cp865", 0x67: "cp861",
    0x6A: "cp737", 0x6B: "cp857", 0x78: "cp950", 0x79: "cp949", 0x7A: "cp936", 0x7B: "cp932",
    0x7C: "cp874", 0x7D: "cp1255", 0x7E: "cp1256", 0xC8: "cp1250", 0xC9: "cp1251",
    0xCA: "cp1254", 0xCB: "cp1253", 0xCC: "cp1257",
}  # fmt: skip
_VERSION = re.compile(rb"\$ACADVER\s+1\s+(AC\d{4})|\$ACADVER\x00\x01\x00?(AC\d{4})")
_PAGE = re.compile(rb"\$DWGCODEPAGE\s+3\s+([\w-]+)|\$DWGCODEPAGE\x00\x03\x00?([\w-]+)")
_UTF8_SINCE = b"AC1021"
_MOST = 2000


@dataclass(frozen=True)
class Told:
    """``said``: what the file declares; ``trial``: what its bytes show, where it declares nothing
    or is often wrong. Neither where all is ASCII, or where the format itself decides."""

    said: str | None = None
    trial: Trial | None = None


def told_by(path: Path) -> Told:
    """What ``path`` tells of the encoding of its text."""
    suffix = path.suffix.lower()
    if suffix in (".shp", ".dbf"):
        return _dbf(path)
    if suffix in TABLES:
        return _table(path)
    return _drawing(path) if suffix == ".dxf" else Told()


def _dbf(path: Path) -> Told:
    for sidecar in (path.with_suffix(".cpg"), path.with_suffix(".CPG")):
        with suppress(OSError):
            said = sidecar.read_text(encoding="ascii", errors="replace").strip()
            # What names no encoding says nothing.
            if python_name(said):
                return Told(said)
    for table in (path.with_suffix(".dbf"), path.with_suffix(".DBF")):
        with suppress(OSError, ValueError):
            with table.open("rb") as stream:
                head = stream.read(32)
            if len(head) == 32 and head[29] in _LANGUAGES:
                return Told(_LANGUAGES[head[29]])
            return Told(trial=try_encodings(_dbf_texts(table)))
    return Told()


def _dbf_texts(file: Path) -> Iterator[bytes]:
    """Cells that are not ASCII, of the columns of characters, and such names of columns."""
    table = Dbase(file)
    fields = [one for one in table.columns if one.kind == "C"]
    yield from (one.name for one in fields)
    rows = table.records
    step = max(1, _BLOCK // max(rows.shape[1], 1))
    for first in range(0, len(rows), step):
        block = rows[first : first + step]
        for one in fields:
            cells = block[:, one.at : one.at + one.size]
            for place in np.flatnonzero((cells >= 0x80).any(axis=1))[:_MOST]:
                yield cells[place].tobytes().rstrip(b" \x00")


def _table(path: Path) -> Told:
    with path.open("rb") as stream:
        head = stream.read(4)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Told(name)
    return Told(trial=try_encodings(_lines(path)))


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        rest = b""
        while block := stream.read(_BLOCK):
            whole, mark, rest = (rest + block).rpartition(b"\n")
            yield from pieces(whole + mark)
        yield from pieces(rest)


def _drawing(path: Path) -> Told:
    """From R2007 on a drawing is UTF-8, whatever its code page says; before, the code page is
    often what the program had at hand."""
    with path.open("rb") as stream:
        head = stream.read(2**16)
    version = _found(_VERSION, head) or b"AC1009"
    page = (_found(_PAGE, head) or b"").decode("ascii")
    said = "UTF-8" if version >= _UTF8_SINCE else page if python_name(page) else None
    # Coordinates of a binary drawing look like text.
    trial = None if head.startswith(BINARY_DXF) else try_encodings(_lines(path), said)
    if trial is None or not trial.sure:
        return Told(said, None if said else trial)
    agrees = said is not None and python_name(said) == python_name(trial.encoding)
    return Told(said, None if agrees else trial)


def _found(pattern: re.Pattern[bytes], head: bytes) -> bytes | None:
    match = pattern.search(head)
    return (match[1] or match[2]) if match else None
