"""Deliveries as a hostile sender would make them: nothing is altered or lost without a word."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline.errors import ArrivalError
from pipeline.stages import misfit
from pipeline.stages.draft import draft
from pipeline.stages.passing import passing

# What a column of each type holds in the hands of other programs, and how it is read.
AS_WRITTEN = {
    "INTEGER": ([1, "abc", "12,5", 3.7, "۱۲"], ["1", "abc", "12,5", "3.7", "۱۲"]),
    "MEDIUMINT": ([1, 2**40], ["1", "1099511627776"]),
    "SMALLINT": ([70_000], ["70000"]),
    "BOOLEAN": ([1, 2, "بله"], ["1", "2", "بله"]),
    "REAL": ([0.1 + 0.2, "12,5", 3.0], ["0.30000000000000004", "12,5", "3"]),
    "FLOAT": ([123456789.12, 0.1], ["123456789.12", "0.1"]),
    "DATETIME": (["1396-02-31T10:00:00Z", "x"], ["1396-02-31T10:00:00Z", "x"]),
    "VARCHAR(20)": (["a", None], ["a", None]),
    "BIGINT": ([2**60, "x"], [str(2**60), "x"]),
    "DOUBLE PRECISION": ([1.5, None], ["1.5", None]),
}


def store(path: Path, kind: str, values: list[Any]) -> Path:
    """A GeoPackage of points with a column ``v`` as another program declares it."""
    wkb = pa.array([shapely.to_wkb(shapely.Point(488600, 3833100))], pa.binary())
    one = pa.table({"k": ["0"], "geometry": wkb})
    pyogrio.write_arrow(
        one, path, driver="GPKG", layer="t", geometry_name="geometry", geometry_type="Point",
        crs="EPSG:32639",
    )  # fmt: skip
    with sqlite3.connect(path) as made:
        told = made.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (trigger,) in told.fetchall():
            made.execute(f'DROP TRIGGER "{trigger}"')
        made.execute(f"ALTER TABLE t ADD COLUMN v {kind}")
        (shape,) = made.execute("SELECT geom FROM t").fetchone()
        made.execute("DELETE FROM t")
        rows = [(shape, str(number), value) for number, value in enumerate(values)]
        made.executemany("INSERT INTO t (geom, k, v) VALUES (?, ?, ?)", rows)
        made.execute("UPDATE gpkg_ogr_contents SET feature_count = ?", [len(rows)])
    made.close()
    return path


@pytest.mark.parametrize("ahead", [False, True], ids=["when asked", "begun before"])
@pytest.mark.parametrize("kind", AS_WRITTEN)
def test_any_value_of_any_column_of_a_geopackage_is_as_it_is_written(
    tmp_path: Path, reading: Any, kind: str, ahead: bool
) -> None:
    values, shown = AS_WRITTEN[kind]
    path = store(tmp_path / "a.gpkg", kind, values)
    misfit.begin(["parcels", str(path)] if ahead else [])
    rows = reading.rows(path)
    assert [row["v"] for row in rows] == shown
    assert all(row["geom"].equals(shapely.Point(488600, 3833100)) for row in rows)


def test_good_values_keep_their_types(tmp_path: Path, reading: Any) -> None:
    for kind, values in (("INTEGER", [1, None]), ("REAL", [0.5, None]), ("BOOLEAN", [True, None])):
        rows = reading.rows(store(tmp_path / f"{kind}.gpkg", kind, values))
        assert [row["v"] for row in rows] == values
    days = ["2024-01-01T10:00:00Z", None]
    rows = reading.rows(store(tmp_path / "day.gpkg", "DATETIME", days))
    assert [row["v"] for row in rows] == [dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC), None]


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What SQLite is asked of whole tables."""
    seen: list[str] = []
    asked = misfit.asked

    def noted(place: str, query: str) -> misfit.Rows:
        if query.startswith("SELECT 1 FROM"):
            seen.append(query)
        return asked(place, query)

    monkeypatch.setattr(misfit, "asked", noted)
    return seen


@pytest.mark.parametrize(
    "kind", ["INTEGER", "MEDIUMINT", "SMALLINT", "BOOLEAN", "REAL", "DATETIME"]
)
def test_a_table_that_was_looked_through_before_is_not_looked_through_again(
    tmp_path: Path, reading: Any, questions: list[str], kind: str
) -> None:
    path = store(tmp_path / "a.gpkg", kind, [None])
    misfit.begin([str(path)])
    assert reading.rows(path)[0]["v"] is None
    assert len(questions) == 1
    # Nothing is kept of it.
    reading.rows(path)
    assert len(questions) == 2


def test_what_was_found_in_another_file_of_that_name_is_not_believed(
    tmp_path: Path, reading: Any, questions: list[str]
) -> None:
    path = store(tmp_path / "a.gpkg", "INTEGER", [1])
    misfit.begin([str(path)])
    store(tmp_path / "b.gpkg", "INTEGER", ["abc"]).replace(path)
    assert [row["v"] for row in reading.rows(path)] == ["abc"]
    assert len(questions) >= 1


def test_sqlite_is_read_as_it_is_written_too(tmp_path: Path, reading: Any) -> None:
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (k TEXT, v INTEGER, day TIMESTAMP)")
        rows = [("0", "abc", "1396-02-31 10:00"), ("1", 2**40, None)]
        made.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    made.close()
    read = reading.rows(path)
    assert [row["v"] for row in read] == ["abc", str(2**40)]
    assert [row["day"] for row in read] == ["1396-02-31 10:00", None]


def test_the_number_of_a_row_is_a_column_if_a_feed_asks_for_it(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(n) for n in (1, 2)])
    assert not bench.check(path).counts
    columns = {"parcel_code": "code", "registration_plate": "fid"}
    rest = ["use", "plate", "deed", "changed"]
    outcome = bench.check(path, bench.feed(columns=columns, ignore=rest))
    assert outcome.account.inserted == 2


def collection(path: Path, ids: list[Any], **properties: Any) -> Path:
    """A GeoJSON of points with what stands as ``id`` beside their properties."""
    shape = {"type": "Point", "coordinates": [50.87, 34.64]}
    features = [
        {"type": "Feature", "properties": {"a": n, **properties}, "geometry": shape}
        | ({} if one is ... else {"id": one})
        for n, one in enumerate(ids)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        ([5, 5, 7], ["5", "5", "7"]),
        ([5, "b", ...], ["5", "b", None]),
        ([2**60, -1, None], [str(2**60), "-1", None]),
    ],
)
def test_ids_beside_the_properties_are_a_column_if_a_feed_asks_for_them(
    tmp_path: Path, reading: Any, ids: list[Any], shown: list[str | None]
) -> None:
    for name, more in (("id", {}), ("feature_id", {"id": "own"})):
        path = collection(tmp_path / f"{name}.geojson", ids, **more)
        with reading.opened(path) as layer:
            wanted = name if name not in layer.names else "feature_id"
            layer.want({wanted})
            rows = [row for part in layer.tables(2) for row in part.to_pylist()]
        assert [row[wanted] for row in rows] == shown
        assert wanted in layer.names


def test_a_draft_says_that_rows_are_numbered(tmp_path: Path, schemas: Any) -> None:
    drafted = draft(collection(tmp_path / "a.geojson", [5, 7]), "poi", schemas)
    assert 'numbers its rows itself: "id"' in drafted.toml


def test_texts_that_json_would_cut_and_numbers_that_it_cuts_are_told(
    tmp_path: Path, reading: Any
) -> None:
    path = collection(tmp_path / "a.geojson", [1], name="a\0b")
    with pytest.raises(ArrivalError, match="NUL character"):
        reading.rows(path)
    path = collection(tmp_path / "b.geojson", [1, 2])
    path.write_text(
        path.read_text().replace('"a": 0', '"a": 0.5').replace('"a": 1', f'"a": {10**19}')
    )
    with reading.opened(path) as layer:
        assert [part.num_rows for part in layer.tables(9)] == [2]
    assert [one for one in layer.heard if "last figures are lost" in one]


def test_moments_of_flatgeobuf_are_as_they_are_written(tmp_path: Path, reading: Any) -> None:
    days = ["1396-02-31T10:00:00Z", "2024-01-01T10:00:00+03:30"]
    source, made = store(tmp_path / "a.gpkg", "DATETIME", days), tmp_path / "a.fgb"
    subprocess.run(["ogr2ogr", made, source], check=True)
    assert [row["v"] for row in reading.rows(made)] == days


def sheet(path: Path, *rows: str) -> Path:
    """An OpenDocument of one sheet."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    body = f'<table:table table:name="a">{"".join(rows)}</table:table>'
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        made.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>{body}"
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def cells(*values: str, times: int = 1) -> str:
    """A row that stands for ``times`` rows."""
    shown = (
        "".join(
            f'<table:table-cell office:value-type="string"><text:p>{one}</text:p>'
            "</table:table-cell>"
            for one in values
        )
        or '<table:table-cell table:number-columns-repeated="1024"/>'
    )
    return f'<table:table-row table:number-rows-repeated="{times}">{shown}</table:table-row>'


@pytest.mark.parametrize(
    ("below", "rows"),
    [
        ([cells(times=20_000)], 1),
        ([cells(times=900_000), cells(times=100_000)], 1),
        ([cells(times=12_000), cells("3", "4")], 12_002),
        ([cells("1", "2", times=11_999)], 12_000),
    ],
)
def test_rows_of_opendocument_that_stand_for_many_are_read(
    tmp_path: Path, reading: Any, below: list[str], rows: int
) -> None:
    read = reading.rows(sheet(tmp_path / "a.ods", cells("a", "b"), cells("1", "2"), *below))
    assert len(read) == rows
    assert (read[0]["a"], read[-1]["a"]) == ("1", "3" if "3" in below[-1] else "1")


def test_merged_cells_of_opendocument_are_told(tmp_path: Path, reading: Any) -> None:
    merged = "<table:table-row><table:covered-table-cell/></table:table-row>"
    path = sheet(tmp_path / "a.ods", cells("a", "b"), cells("1", "2"), merged, cells("3", "4"))
    with reading.opened(path) as layer:
        assert layer.heard == {"merged cells (1) below the first of each are read as empty"}


def book(path: Path, rows: str, head: str = "") -> Path:
    """A workbook of Excel; the style 1 is a date's."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    linked = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    links = "".join(
        f'<Relationship Id="r{n}" Type="{linked}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(
            (("worksheet", "worksheets/sheet1.xml"), ("styles", "styles.xml"))
        )
    )
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kinds}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" '
        f'ContentType="{kinds}.worksheet+xml"/></Types>',
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{linked}">{head}<sheets>'
        '<sheet name="a" sheetId="1" r:id="r0"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/'
        f'package/2006/relationships">{links}</Relationships>',
        "xl/styles.xml": f'<styleSheet {space}><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>",
    }  # fmt: skip
    with zipfile.ZipFile(path, "w") as made:
        for name, content in parts.items():
            made.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>\n{content}')
    return path


def said(place: str, text: str) -> str:
    """A cell with a text."""
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def test_days_that_are_counted_from_1904_are_the_days_that_excel_shows(
    bench: Any, reading: Any
) -> None:
    rows = (
        f'<row r="1">{said("A1", "code")}{said("B1", "day")}{said("C1", "count")}</row>'
        '<row r="2"><c r="A2"><v>1</v></c><c r="B2" s="1"><v>42000</v></c>'
        '<c r="C2"><v>42000</v></c></row>'
    )
    path = book(bench.folder / "a.xlsx", rows, '<workbookPr date1904="1"/>')
    # 1904-01-01 and 42,000 days; Excel's own help has 1462 between the two systems.
    meant = dt.date(1904, 1, 1) + dt.timedelta(days=42_000)
    assert [row["day"] for row in reading.rows(path)] == [meant]
    table = "archive_document"
    columns = {"issued_on": {"from": "count", "parser": "excel"}}
    feed = bench.feed(
        table,
        columns=bench.filled(table, columns),
        source={"driver": "XLSX"},
        ignore=["code", "day"],
    )
    context = bench.context(feed)
    with passing(path, context, 10) as (work, _):
        (raw,) = work.source.batches(10)
    assert raw.columns.column("count").to_pylist() == [42_000 + 1462]
    plain = book(bench.folder / "b.xlsx", rows)
    assert [row["day"] for row in reading.rows(plain)] == [dt.date(2014, 12, 27)]


def test_what_a_workbook_hides_or_says_in_parts_is_told(tmp_path: Path, reading: Any) -> None:
    rich = '<c r="A3" t="inlineStr"><is><r><t>one </t></r><r><t>two</t></r></is></c>'
    rows = (
        f'<row r="1">{said("A1", "name")}</row><row r="2" hidden="1">{said("A2", "a")}</row>'
        f'<row r="3">{rich}</row>'
    )
    with reading.opened(book(tmp_path / "a.xlsx", rows)) as layer:
        assert layer.heard == {
            "rows that the sheet hides (1) are read like the others",
            "texts in several forms (1), whose first part alone is read: A3",
        }
