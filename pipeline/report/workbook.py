"""Workbook: an XLSX in which text stays text, also after somebody has typed into a cell."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ArrivalError

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# What XML cannot hold at all.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
LONGEST = 32_767
_PLAIN, _AS_TEXT, _TITLE = 0, 1, 2
_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}">'
    '<fonts count="2"><font><sz val="11"/><name val="Tahoma"/></font>'
    '<font><b/><sz val="11"/><name val="Tahoma"/></font></fonts>'
    '<fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
    '<borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="3"><xf xfId="0"/><xf xfId="0" numFmtId="49" applyNumberFormat="1"/>'
    '<xf xfId="0" fontId="1" numFmtId="49" applyFont="1" applyNumberFormat="1"/></cellXfs>'
    "</styleSheet>"
)


def write(path: Path, sheet: str, table: pa.Table) -> None:
    """Writes ``table`` as the only sheet of a new workbook; its column names are the first row.

    Characters that no workbook holds are blanks, as cleaning makes them; raises ArrivalError for
    texts longer than a cell.
    """
    _refuse_long(path.name, table)
    parts = {
        "[Content_Types].xml": _content_types(),
        "_rels/.rels": _relations({"officeDocument": "xl/workbook.xml"}),
        "xl/workbook.xml": (
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
            f'<sheet name="{escape(sheet)}" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": _relations(
            {"worksheet": "worksheets/sheet1.xml", "styles": "styles.xml"}
        ),
        "xl/styles.xml": _STYLES,
        "xl/worksheets/sheet1.xml": _sheet(table),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            book.writestr(name, content)


def _refuse_long(where: str, table: pa.Table) -> None:
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if not pa.types.is_string(column.type):
            continue
        length = pc.max(pc.utf8_length(column)).as_py() or 0
        if length > LONGEST:
            raise ArrivalError(
                f"{name} has a text of {length:,} characters, a cell takes {LONGEST:,}",
                where=where,
                todo="Choose .gpkg, which holds all of it.",
            )


def _content_types() -> str:
    kinds = {"workbook": "sheet.main", "worksheets/sheet1": "worksheet", "styles": "styles"}
    parts = "".join(
        f'<Override PartName="/xl/{name}.xml" ContentType="{_TYPE}.{kind}+xml"/>'
        for name, kind in kinds.items()
    )
    return (
        f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{parts}</Types>'
    )


def _relations(targets: dict[str, str]) -> str:
    items = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets.items(), start=1)
    )
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{items}</Relationships>'


def _sheet(table: pa.Table) -> str:
    letters = [_letters(place) for place in range(table.num_columns)]
    title = [
        _text(f"{a}1", name, _TITLE) for a, name in zip(letters, table.schema.names, strict=True)
    ]
    lines = [f'<row r="1">{"".join(title)}</row>']
    for number, row in enumerate(table.to_pylist(), start=2):
        cells = (
            _cell(f"{a}{number}", value) for a, value in zip(letters, row.values(), strict=True)
        )
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    return (
        f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        '</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/>'
        f'<cols><col min="1" max="{max(1, table.num_columns)}" width="22" style="{_AS_TEXT}" '
        f'customWidth="1"/></cols><sheetData>{"".join(lines)}</sheetData></worksheet>'
    )


def _letters(place: int) -> str:
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _cell(place: str, value: object) -> str:
    if value is None:
        return f'<c r="{place}" s="{_AS_TEXT}"/>'
    if isinstance(value, int | float):
        return f'<c r="{place}" s="{_PLAIN}"><v>{value!r}</v></c>'
    return _text(place, str(value), _AS_TEXT)


def _text(place: str, value: str, style: int) -> str:
    shown = escape(_CONTROL.sub(" ", value))
    return (
        f'<c r="{place}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{shown}</t></is></c>'
    )
