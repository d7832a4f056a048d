"""A small writer of XLSX workbooks, with numbers and texts mixed in one column as people do."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from pipeline.sample.arrays import Objects

_STAMP = (2026, 1, 1, 0, 0, 0)
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def write(path: Path, sheets: dict[str, pd.DataFrame]) -> None:
    """Writes ``sheets`` (name -> table, its columns as first row) to ``path``."""
    names = list(sheets)
    parts = {
        "[Content_Types].xml": _content_types(len(names)),
        "_rels/.rels": _relations([(f"{_OFFICE}/officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": _workbook(names),
        "xl/_rels/workbook.xml.rels": _relations(
            [(f"{_OFFICE}/worksheet", f"worksheets/sheet{n + 1}.xml") for n in range(len(names))]
        ),
    }
    for number, frame in enumerate(sheets.values(), start=1):
        parts[f"xl/worksheets/sheet{number}.xml"] = _sheet(frame)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as book:
        for name, content in parts.items():
            book.writestr(zipfile.ZipInfo(name, _STAMP), content, zipfile.ZIP_DEFLATED)


def _content_types(count: int) -> str:
    sheets = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        for n in range(1, count + 1)
    )
    return (
        f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f"{sheets}</Types>"
    )


def _relations(targets: list[tuple[str, str]]) -> str:
    items = "".join(
        f'<Relationship Id="rId{n}" Type="{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, start=1)
    )
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{items}</Relationships>'


def _workbook(names: list[str]) -> str:
    sheets = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>'
        for n, name in enumerate(names, start=1)
    )
    return (
        f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>'
    )


def _sheet(frame: pd.DataFrame) -> str:
    letters = [chr(ord("A") + n) for n in range(len(frame.columns))]
    header = "".join(
        _text(f"{letter}1", str(name)) for letter, name in zip(letters, frame.columns, strict=True)
    )
    line = np.arange(2, len(frame) + 2).astype(str).astype(object)
    cells = np.full(len(frame), "", dtype=object)
    for letter, name in zip(letters, frame.columns, strict=True):
        cells = cells + _cells(letter, line, frame[name].to_numpy(dtype=object))
    rows = "".join('<row r="' + line + '">' + cells + "</row>")
    return (
        f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData><row r="1">{header}</row>{rows}'
        "</sheetData></worksheet>"
    )


def _cells(letter: str, line: Objects, values: Objects) -> Objects:
    """The XML of one column; each distinct value is written out once."""
    made: dict[object, tuple[str, str]] = {}
    found = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        parts = made.get(value)
        if parts is None:
            parts = made[value] = _around(value)
        found[at] = f'<c r="{letter}{line[at]}"{parts[0]}{parts[1]}</c>' if parts[0] else ""
    return found


def _around(value: Any) -> tuple[str, str]:
    if pd.isna(value):
        return "", ""
    if isinstance(value, str):
        return ' t="inlineStr"><is><t>', f"{escape(value)}</t></is>"
    return "><v>", f"{value}</v>"


def _text(reference: str, value: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
