"""Tables: no row and no value is lost between a file and its reader without a word."""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
import struct
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.report import workbook as written_book
from pipeline.stages import container
from pipeline.stages.draft import draft
from pipeline.stages.readers import features, open_dataset
from pipeline.stages.readers import workbook as books

LINES = ["id,name,x,y", *(f"{n},n{n},{488000 + n},3833000" for n in range(10))]
#: 31 Ordibehesht, 31 Tir and 31 Shahrivar, which no Gregorian month of that number has.
JALALI = {"13960231": dt.date(2017, 5, 21), "13960431": dt.date(2017, 7, 22),
          "13960631": dt.date(2017, 9, 22), "13961229": dt.date(2018, 3, 20)}  # fmt: skip


def written(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    """A file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(*changed: tuple[int, str], name: str = "a.csv") -> str:
    """The lines with some of them exchanged."""
    lines = list(LINES)
    for place, line in changed:
        lines[place] = line
    return "\n".join(lines) + "\n"


def places(bench: Any, driver: str = "CSV", **source: Any) -> Feed:
    """A feed of points of interest."""
    drawn = (
        {"points": {"x": "x", "y": "y"}, "crs": "EPSG:32639"}
        if driver in ("CSV", "XLSX", "ODS")
        else {}
    )
    columns = {"poi_id": "id", "name_fa": "name", "poi_category": {"value": "park"}}
    return bench.feed(
        "poi", columns=columns, source={"driver": driver, **drawn, **source}, ignore=["field_5"]
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (table((3, '2,"n2,488002,3833000')), "quotation mark of line 4 .* up to line 11"),
        (table((10, '9,"n9,488009,3833000')), "quotation mark of line 11"),
        (
            table((3, '2,"n2,488002,3833000'), (7, '6,n6","488006,3833000')),
            "quotation mark of line 4",
        ),
        (table((4, "3,n\x003,488003,3833000")), "NUL byte in line 5"),
        (table().encode("utf-16-le"), "NUL byte in line 1"),
    ],
)
def test_what_would_swallow_rows_is_refused_with_its_line(
    bench: Any, content: str | bytes, said: str
) -> None:
    with pytest.raises(ArrivalError, match=said):
        bench.check(written(bench.folder, content), places(bench, encoding="UTF-8"))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ([(3, "2,n2,with a comma,488002,3833000")], "row.surplus"),
        ([(3, "2,n2,488002,3833000,beyond")], "row.surplus"),
        ([(3, '2,"n2,488002,3833000'), (7, '6,n6",488006,3833000')], "row.swallows"),
    ],
)
def test_a_row_whose_end_is_in_doubt_is_set_aside(
    bench: Any, changed: list[tuple[int, str]], code: str
) -> None:
    outcome = bench.check(written(bench.folder, table(*changed)), places(bench))
    assert (code, None) in outcome.counts
    assert outcome.account.quarantined == 1
    assert outcome.account.inserted == outcome.account.arrived - 1


def test_a_value_too_many_is_kept_with_its_row_and_looked_for_in_every_delivery(
    bench: Any, database: Any, query: Any
) -> None:
    feed = places(bench)
    assert bench.load(database, written(bench.folder, table()), feed).account.inserted == 10
    again = written(bench.folder, table((3, "2,n2,488002,3833000,beyond,it")))
    outcome = bench.load(database, again, feed)
    assert (outcome.account.unchanged, outcome.account.quarantined) == (9, 1)
    asked = "SELECT raw ->> 'field_5', reasons FROM ops.quarantine WHERE run_id = %s"
    assert query(database, asked, outcome.run) == [("beyond,it", ["row.surplus"])]
    assert query(database, "SELECT count(*) FROM data.poi") == [(10,)]


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        (table((3, '2,"n2" x,488002,3833000')), 1),
        (table((3, '2,n 5" pipe,488002,3833000')), 0),
        (table((3, '2,"n\n2",488002,3833000')), 0),
        (table().replace("\n", "\r"), 0),
        (table().replace(",", ";"), 0),
        (table().replace(",", "|"), 0),
        ("sep=;\r\n" + table().replace(",", ";"), 0),
        (b"\xef\xbb\xbfsep=,\n" + table().encode(), 0),
        (table().rstrip("\n"), 0),
    ],
)
def test_what_only_looks_odd_is_taken(bench: Any, content: str | bytes, warned: int) -> None:
    outcome = bench.check(written(bench.folder, content), places(bench))
    assert (outcome.account.arrived, outcome.account.inserted) == (10, 10)
    assert outcome.counts[("file.warning", None)] == warned


def test_rows_with_too_few_values_are_counted(bench: Any) -> None:
    path = written(bench.folder, table((3, "2,n2,488002"), (5, "4")))
    outcome = bench.check(path, places(bench))
    assert outcome.account.quarantined == 2
    with container.opened(path) as arrival:
        layer = open_dataset(arrival).layer("a", None)
        assert layer.heard == {
            "2 rows have fewer values than there are columns, the first is row 3"
        }


def test_a_file_of_types_beside_a_table_is_not_believed(bench: Any, reading: Any) -> None:
    path = written(bench.folder, "id,x\n007,1\n010,2\n")
    written(bench.folder, '"Integer","Real"', "a.csvt")
    assert [row["id"] for row in reading.rows(path)] == ["007", "010"]


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]))


@given(rows=st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_properly_comes_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, reading: Any, rows: list[tuple[str, ...]]
) -> None:
    lines = [["id", "one", "two", "three"], *([str(n), *row] for n, row in enumerate(rows))]
    quoted = ("".join(f'"{c.replace(chr(34), chr(34) * 2)}",' for c in row)[:-1] for row in lines)
    path = written(tmp_path_factory.mktemp("csv"), "\n".join(quoted) + "\n")
    found = reading.rows(path, encoding="UTF-8")
    assert [row["id"] for row in found] == [str(n) for n in range(len(rows))]
    cells = [tuple(row[name] or "" for name in ("one", "two", "three")) for row in found]
    assert cells == rows


def test_rows_with_nothing_in_them_are_left_out_and_counted(bench: Any) -> None:
    path = written(bench.folder, table() + ",,,\n , ,,\n\n" + "10,n10,488010,3833000\n")
    outcome = bench.check(path, places(bench))
    assert (outcome.account.arrived, outcome.account.skipped) == (13, 2)
    assert (outcome.account.inserted, outcome.account.quarantined) == (11, 0)
    assert outcome.counts[("rows.blank", None)] == 1


@pytest.mark.parametrize("shown", ["#N/A", "#REF!", "#DIV/0!", "Err:502"])
def test_a_formula_that_failed_is_no_name(bench: Any, shown: str) -> None:
    outcome = bench.check(
        written(bench.folder, table((3, f"2,{shown},488002,3833000"))), places(bench)
    )
    assert outcome.counts[("value.formula", "name_fa")] == 1
    assert outcome.account.quarantined == 1


def dbf(
    path: Path, columns: list[tuple[str, str, int]], rows: list[tuple[str, ...]],
    deleted: frozenset[int] = frozenset(),
) -> Path:  # fmt: skip
    """A table of dBASE III, cells as they are given."""
    width, head = 1 + sum(size for _, _, size in columns), 33 + 32 * len(columns)
    data = struct.pack("<4BIHH20x", 3, 120, 1, 1, len(rows), head, width)
    for name, kind, size in columns:
        data += struct.pack("<11sc4xBB14x", name.encode(), kind.encode(), size, 0)
    data += b"\r"
    for number, row in enumerate(rows):
        data += b"*" if number in deleted else b" "
        for (_, _, size), cell in zip(columns, row, strict=True):
            data += cell.encode().ljust(size)[:size]
    path.write_bytes(data + b"\x1a")
    return path


def test_jalali_dates_of_dbase_are_the_days_they_name(
    bench: Any, reading: Any, database: Any, query: Any
) -> None:
    rows = [(str(n), day) for n, day in enumerate(JALALI)]
    path = dbf(bench.folder / "a.dbf", [("ID", "C", 4), ("DAY", "D", 8)], rows)
    columns = bench.filled(
        "case_file", {"case_no": "ID", "opened_on": {"from": "DAY", "parser": "jalali"}}
    )
    feed = bench.feed("case_file", columns=columns, source={"driver": "ESRI Shapefile"})
    assert bench.load(database, path, feed).account.inserted == len(JALALI)
    found = query(database, "SELECT opened_on FROM data.case_file ORDER BY case_no")
    assert [day for (day,) in found] == list(JALALI.values())
    assert query(database, "SELECT count(*) FROM ops.original") == [(0,)]
    odd = dbf(
        bench.folder / "b.dbf", [("ID", "C", 4), ("DAY", "D", 8)],
        [("1", "20170302"), ("2", "00000000"), ("3", ""), ("4", "1396/2/3"), ("5", "abcdefgh")],
    )  # fmt: skip
    shown = [row["DAY"] for row in reading.rows(odd, encoding="UTF-8")]
    assert shown == ["2017-03-02", None, None, "1396/2/3", "abcdefgh"]


def test_numbers_of_dbase_that_cannot_be_read_are_not_made_0(reading: Any, tmp_path: Path) -> None:
    cells = ["12.5", "12,5", "******", "abc", "1e5", "", "-3", "NaN"]
    columns = [("ID", "C", 4), ("SIZE", "N", 10), ("GOOD", "N", 4), ("NONE", "N", 4)]
    path = dbf(
        tmp_path / "a.dbf", columns, [(str(n), one, "7", "****") for n, one in enumerate(cells)]
    )
    rows = reading.rows(path, encoding="UTF-8")
    assert [row["SIZE"] for row in rows] == [
        "12.5", "12,5", None, "abc", "1e5", None, "-3", None,
    ]  # fmt: skip
    assert [row["GOOD"] for row in rows] == [7] * len(cells)
    assert {row["NONE"] for row in rows} == {None}
    with container.opened(path) as arrival:
        layer = open_dataset(arrival).layer("a", "UTF-8")
        assert [part.num_rows for part in layer.tables(3)] == [3, 3, 2]
        assert layer.heard == set()


def test_deleted_rows_of_dbase_are_left_out_and_told(reading: Any, tmp_path: Path) -> None:
    rows = [(str(n), "13960231") for n in range(10)]
    gone = frozenset({0, 2, 5})
    path = dbf(tmp_path / "a.dbf", [("ID", "C", 4), ("DAY", "D", 8)], rows, gone)
    found = reading.rows(path, encoding="UTF-8")
    assert [row["ID"] for row in found] == [str(n) for n in range(10) if n not in gone]
    with container.opened(path) as arrival:
        layer = open_dataset(arrival).layer("a", "UTF-8")
        assert layer.heard == {"3 rows are marked as deleted and left out"}


def points(path: Path, driver: str, **columns: list[Any]) -> Path:
    """Points with some columns, written by GDAL."""
    count = len(next(iter(columns.values())))
    wkb = [shapely.to_wkb(shapely.Point(488000 + n, 3833000)) for n in range(count)]
    made = pa.table({**columns, "shape": pa.array(wkb, type=pa.binary())})
    pyogrio.write_arrow(
        made, path, driver=driver, layer="a", geometry_name="shape", geometry_type="Point",
        crs="EPSG:32639",
    )  # fmt: skip
    return path


@pytest.mark.parametrize(("driver", "name"), [("GPKG", "a.gpkg"), ("SQLite", "a.sqlite")])
def test_dates_of_databases_are_the_text_that_they_are(
    tmp_path: Path, reading: Any, driver: str, name: str
) -> None:
    days = [dt.date(2020, 1, 1)] * 4
    path = points(tmp_path / name, driver, id=["0", "1", "2", "3"], day=days)
    with sqlite3.connect(path) as store:
        for (trigger,) in store.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            store.execute(f'DROP TRIGGER "{trigger}"')
        store.execute("UPDATE a SET day = '1396-02-31' WHERE id = '1'")
        store.execute("UPDATE a SET day = 'nothing' WHERE id = '2'")
    store.close()
    rows = reading.rows(path, "a")
    assert [row["day"] for row in rows] == ["2020-01-01", "1396/02/31", "nothing", "2020-01-01"]
    assert [row["id"] for row in rows] == ["0", "1", "2", "3"]


def test_values_of_gml_are_as_they_are_written(tmp_path: Path, reading: Any) -> None:
    path = points(
        tmp_path / "a.gml", "GML", code=["0017", "0018"], day=["1396-02-31", "2017-01-01"]
    )
    path.with_suffix(".xsd").unlink()
    with container.opened(path) as arrival:
        names = open_dataset(arrival).layer("a", None).names
        assert not {"lowerCorner", "upperCorner"} & set(names)
    rows = reading.rows(path)
    assert [(row["code"], row["day"]) for row in rows] == [
        ("0017", "1396-02-31"), ("0018", "2017-01-01"),
    ]  # fmt: skip


def test_features_of_a_topology_without_a_geometry_are_rows(tmp_path: Path, reading: Any) -> None:
    kinds = ["Point", None, "Point"]
    parts = [
        {"type": kind, "coordinates": [50.87, 34.64], "properties": {"id": str(n)}}
        for n, kind in enumerate(kinds)
    ]
    layer = {"type": "GeometryCollection", "geometries": parts}
    content = json.dumps({"type": "Topology", "arcs": [], "objects": {"a": layer}})
    for name in ("a.topojson", "a.json"):
        rows = reading.rows(written(tmp_path, content, name))
        assert [row["id"] for row in rows] == ["0", "1", "2"]
        assert rows[1]["geometry"].is_empty


# A file with a NUL in it is refused whatever else it holds.
_NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=3)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["", "a,b", 'q"u', "back\\", "[{", "]}", "\u200c"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(elements=st.lists(_VALUES, max_size=6), tail=_VALUES, block=st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_elements_of_a_list_of_features_are_counted(
    tmp_path_factory: pytest.TempPathFactory, elements: list[Any], tail: Any, block: int
) -> None:
    content = {"type": "FeatureCollection", "features": elements, "z": tail}
    path = written(tmp_path_factory.mktemp("json"), json.dumps(content), "a.geojson")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_BLOCK", block)
        patch.setattr(features, "_HEAD", 60)
        assert features.count(path) == len(elements)


@pytest.mark.parametrize("odd", [None, 7, {"type": "Feeture", "properties": {"id": "x"}}])
def test_what_is_no_feature_does_not_just_vanish(tmp_path: Path, reading: Any, odd: Any) -> None:
    point = {"type": "Point", "coordinates": [50.87, 34.64]}
    good = {"type": "Feature", "properties": {"id": "1"}, "geometry": point}
    content = {"type": "FeatureCollection", "features": [good, odd, good]}
    path = written(tmp_path, json.dumps(content), "a.geojson")
    with reading.opened(path) as layer:
        assert (sum(part.num_rows for part in layer.tables(9)), layer.features) == (2, 3)


def test_a_shapefile_says_which_part_of_it_is_missing(bench: Any) -> None:
    columns = {"poi_id": "id", "poi_category": {"value": "park"}}
    feed = bench.feed("poi", columns=columns, source={"driver": "ESRI Shapefile"})
    for part, said in ((".dbf", "it has none .* in its .dbf"), (".shx", "comes without its .shx")):
        path = points(bench.folder / f"a{part[1:]}.shp", "ESRI Shapefile", id=["1", "2"])
        path.with_suffix(part).unlink()
        with pytest.raises(ArrivalError, match=said):
            bench.check(path, feed)


def workbook(path: Path, sheet: bytes) -> Path:
    """A workbook of one sheet."""
    made = path.with_name("plain.xlsx")
    pyogrio.write_arrow(pa.table({"id": ["1"], "name": ["n"]}), made, driver="XLSX", layer="a")
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data + sheet if "sheet1" in name and "rels" not in name else data)
    return path


@pytest.mark.parametrize("block", [9, 100, 2**22])
def test_cells_that_only_seem_to_be_empty_are_told(
    tmp_path: Path, reading: Any, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pa.table({"id": ["1", "2", "3"], "name": ["n1", None, None], "size": ["7", "8", "9"]})
    written_book.write(tmp_path / "plain.xlsx", "a", rows)
    with (
        zipfile.ZipFile(tmp_path / "plain.xlsx") as old,
        zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name).decode()
            data = re.sub(r'(<c r="C3"[^>]*>).*?</c>', r"\1<f>1+1</f></c>", data)
            data = re.sub(r'<c r="C4"[^>]*>.*?</c>', '<c r="C4"><f>1+1</f><v>2</v></c>', data)
            merged = '<mergeCells><mergeCell ref="A1:B1"/><mergeCell ref="B2:B4"/></mergeCells>'
            new.writestr(name, data.replace("</worksheet>", f"{merged}</worksheet>"))
    monkeypatch.setattr(books, "_BLOCK", block)
    with reading.opened(tmp_path / "a.xlsx") as layer:
        assert layer.heard == {
            "merged cells (1), of which the first alone has a value: B2:B4",
            "formulas without a value (1), read as empty: C3",
        }
        assert [row["size"] for part in layer.tables(9) for row in part.to_pylist()][1] is None


def test_workbooks_are_looked_into_before_they_are_opened(tmp_path: Path, reading: Any) -> None:
    with pytest.raises(ArrivalError, match="more than 300 times its size"):
        reading.rows(workbook(tmp_path / "bomb.xlsx", b" " * (100 * 2**20)))
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(ArrivalError, match="protected by a password"):
        reading.rows(written(tmp_path, locked, "locked.xlsx"))
    with pytest.raises(ArrivalError, match="is no workbook"):
        reading.rows(written(tmp_path, b"PK\x03\x04" + b"\0" * 50, "cut.xlsx"))


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.ods"])
def test_a_title_above_the_names_of_columns_is_left_out(bench: Any, name: str) -> None:
    """As offices send their lists: a title, an empty line, then the names."""
    rows = [["فهرست اماکن شهر", "", "", ""], ["", "", "", ""], ["id", "name", "x", "y"]]
    rows += [[f"0{n}", f"n{n}", str(488000 + n), "3833000"] for n in range(7)]
    path, driver = bench.folder / name, name[2:].upper()
    if driver == "CSV":
        path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    else:
        columns = {str(place): [row[place] for row in rows] for place in range(4)}
        pyogrio.write_arrow(pa.table(columns), path, driver=driver, layer="a")
    above = 3 if driver == "CSV" else 4  # GDAL has written names of its own
    with pytest.raises(ArrivalError, match="has no column id"):
        bench.check(path, places(bench, driver))
    outcome = bench.check(path, places(bench, driver, header=above), batch_rows=2)
    assert (outcome.account.arrived, outcome.account.inserted) == (7, 7)
    with container.opened(path, header=above) as arrival:
        dataset = open_dataset(arrival)
        layer = dataset.layer(dataset.sheets[0], None)
        assert next(row["id"] for part in layer.tables(2) for row in part.to_pylist()) == "00"
    drafted = draft(path, "poi", bench.schemas, header=above)
    assert f"header = {above}" in drafted.toml
    assert '"name"' in drafted.toml
    if driver != "CSV":
        with pytest.raises(ArrivalError, match="has no row 50"):
            bench.check(path, places(bench, driver, header=50))


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg"])
def test_what_must_be_utf8_is_not_said_to_need_a_declaration(
    tmp_path: Path, reading: Any, name: str
) -> None:
    if name.endswith("gpkg"):
        path = points(tmp_path / name, "GPKG", name=["abc"])
        path.write_bytes(path.read_bytes().replace(b"abc", b"\xe1\xe2\xe3"))
    else:
        feature = {"type": "Feature", "properties": {"name": "شهر"}, "geometry": None}
        content = json.dumps(
            {"type": "FeatureCollection", "features": [feature]}, ensure_ascii=False
        )
        path = written(tmp_path, content.encode("cp1256"), name)
    with pytest.raises(ArrivalError, match="not UTF-8, as it must be"):
        reading.rows(path)
