"""Files of every kind are read as their feed declares: points, sheets, archives, lines, dates."""

from __future__ import annotations

import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, GuardError
from pipeline.stages import archive as archives
from pipeline.stages.map import as_text

POI = "SELECT poi_id, ST_X(geom)::float8, ST_Y(geom)::float8 FROM data.poi ORDER BY poi_id"


def test_points_come_from_two_columns(bench: Any, database: Database, query: Any) -> None:
    rows = [
        "1,488000.5,3833000", "2,۴۸۸۰۰۱٫۲۵,\"3,833,001\"", "3,,", "4,x,3833000", "5,488000,",
        "6,3833000,488000",
    ]  # fmt: skip
    path = bench.text("poi.csv", "no,E,N\n" + "\n".join(rows) + "\n")
    source = {"driver": "CSV", "crs": "EPSG:32639", "points": {"x": "E", "y": "N"}}
    feed = bench.feed("poi", columns=bench.filled("poi", {"poi_id": "no"}), source=source)
    outcome = bench.load(database, path, feed)
    assert query(database, POI) == [("1", 488000.5, 3833000.0), ("2", 488001.25, 3833001.0)]
    found = query(database, "SELECT line, code FROM ops.finding WHERE line IS NOT NULL ORDER BY 1")
    assert found == [
        (3, "geometry.missing"), (4, "geometry.unreadable"), (5, "geometry.missing"),
        (6, "geometry.swapped"),
    ]  # fmt: skip
    assert outcome.account.closes


def test_a_workbook_whose_codes_became_numbers(real_data: Path, bench: Any) -> None:
    path = (
        real_data / "cambridge_ma" / "census" / "derived_blocks2000_population_numeric_codes.xlsx"
    )
    columns = {
        "census_year": {"value": 2000}, "census_code": "STFID", "figure_value": "POP2000",
        "census_variable": {"value": "population"},
    }  # fmt: skip
    outcome = bench.check(
        path, bench.feed("census_figure", columns=columns, source={"driver": "XLSX"})
    )
    assert (outcome.account.arrived, outcome.account.inserted) == (886, 886)


def test_closed_lines_become_areas_where_the_feed_says_so(bench: Any) -> None:
    rows = [bench.parcel(n) for n in range(3)]
    for row in rows:
        row["geometry"] = row["geometry"].exterior
    path = bench.geopackage(rows)
    assert bench.check(path).counts == {("geometry.closed_line", None): 3}
    outcome = bench.check(path, bench.feed(source={"polygonize": True}))
    assert (outcome.account.inserted, outcome.counts) == (3, {})


def test_heights_and_measures_are_dropped_and_parts_promoted(
    bench: Any, database: Database, query: Any
) -> None:
    high = shapely.force_3d(bench.square(0), z=930)
    many = shapely.MultiPolygon([bench.square(1)])
    path = bench.geopackage([bench.parcel(0, geometry=high), bench.parcel(1, geometry=many)])
    assert bench.load(database, path).counts == {("geometry.heights", None): 1}
    kinds = query(database, "SELECT DISTINCT GeometryType(geom), ST_NDims(geom) FROM data.parcel")
    assert kinds == [("MULTIPOLYGON", 2)]


def test_a_geometry_that_may_be_missing_is_not_missed(bench: Any) -> None:
    geometry = bench.schemas.layer("parcel").geometry.model_copy(update={"required": False})
    path = bench.geopackage([bench.parcel(0), bench.parcel(1, geometry=None, deed=None)])
    outcome = bench.check(path, schemas=bench.changed("parcel", geometry=geometry))
    assert (outcome.account.inserted, dict(outcome.counts)) == (2, {})


def test_a_number_of_rows_that_another_program_left_behind_is_not_believed(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(n) for n in range(400)])
    with closing(sqlite3.connect(path)) as file, file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            file.execute(f'DROP TRIGGER "{name}"')
        file.execute("DELETE FROM planted WHERE fid % 40 = 7")
    outcome = bench.check(path)
    assert (outcome.account.arrived, outcome.account.inserted) == (390, 390)
    assert dict(outcome.counts) == {}


def test_a_feed_that_takes_no_row_is_refused(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(n, office="a") for n in range(3)])
    feed = bench.feed(source={"where": {"column": "office", "values": ["b"]}})
    with pytest.raises(GuardError, match=r"planted\.gpkg: 0 rows arrived, at least 1"):
        bench.check(path, feed)


def test_a_zipped_file_is_read_in_place(bench: Any) -> None:
    inner = bench.geopackage([bench.parcel(n) for n in range(3)])
    path = bench.folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "folder {1}/plots.gpkg")
        archive.writestr("readme.txt", "hello")
        archive.writestr("__MACOSX/._plots.gpkg", "rubbish")
    assert bench.check(path).account.inserted == 3
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(inner, "second.gpkg")
    with pytest.raises(ArrivalError, match=r"all\.zip: holds several layers: folder \{1\}/plots"):
        bench.check(path)


def test_a_zipped_table_is_decoded(bench: Any, database: Database, query: Any) -> None:
    path = bench.folder / "poi.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("poi.csv", "no,name,E,N\n1,ميدان آزادي,488000,3833000\n".encode("cp1256"))
    source = {"driver": "CSV", "encoding": "CP1256", "crs": "EPSG:32639",
              "points": {"x": "E", "y": "N"}}  # fmt: skip
    columns = bench.filled("poi", {"poi_id": "no", "name_fa": "name"})
    assert bench.load(database, path, bench.feed("poi", columns=columns, source=source)).counts == {
        ("crs.assumed", None): 1
    }
    assert query(database, "SELECT name_fa FROM data.poi") == [("میدان آزادی",)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", b"PK no zip", "is no zip file"),
        ("a.shp", b"<OGRVRTDataSource>", "points to other files or hosts"),
        ("a.dat", b"AC1018", "DWG files are not taken. Save it as DXF"),
        ("a.qgz", b"x", ".qgz files are not taken"),
        ("a.geojson", b"{", "is in no format that is read here"),
        (
            "a.csv",
            b"\xbf\xff,1\n1,2\n",
            "does not say how its text is encoded; as ",
        ),
    ],
)
def test_what_is_not_taken_is_told_with_advice(
    bench: Any, name: str, content: bytes, said: str
) -> None:
    path = bench.folder / name
    path.write_bytes(content)
    columns = {"poi_id": "1", "poi_category": {"value": "x"}}
    with pytest.raises(ArrivalError) as caught:
        bench.check(
            path, bench.feed("poi", columns=columns, source={"driver": "CSV", "crs": "EPSG:32639"})
        )
    assert said in str(caught.value)
    assert str(bench.folder) not in str(caught.value)


def test_archives_that_hide_something_are_refused(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.folder / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x" * 100)
        archive.writestr("b.txt", "x")
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 1)
    with pytest.raises(ArrivalError, match="holds more than 1 files"):
        bench.check(path)
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 9)
    monkeypatch.setattr(archives, "_MAX_BYTES", 50)
    with pytest.raises(ArrivalError, match="unpacks to more than"):
        bench.check(path)


def test_a_crs_that_is_unknown_undefined_or_contradicted_stops(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(0)])
    with pytest.raises(ArrivalError, match=r"says its CRS is EPSG:32639 .* declares EPSG:2059"):
        bench.check(path, bench.feed(source={"crs": "EPSG:2059"}))
    with pytest.raises(ArrivalError, match="declares the unknown CRS EPSG:1"):
        bench.check(path, bench.feed(source={"crs": "EPSG:1"}))
    frame = pyogrio.read_dataframe(path).set_crs(None, allow_override=True)
    bare = bench.folder / "bare.gpkg"
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.write_dataframe(frame, bare)
    with pytest.raises(ArrivalError, match=r"bare\.gpkg: the CRS is unknown"):
        bench.check(bare)
    assert bench.check(bare, bench.feed(source={"crs": "EPSG:32639"})).account.inserted == 1


def test_columns_are_surveyed_before_any_row_is_read(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(0)])
    with pytest.raises(ArrivalError, match="has no column nosazi; it has code, use, plate"):
        bench.check(path, bench.feed(columns={"parcel_code": "nosazi"}))
    doubled = bench.text("twice.csv", "a,b,a\n1,2,3\n")
    columns = bench.filled("zone_rule", {"plan_id": "b"})
    with pytest.raises(ArrivalError, match="has several columns called a"):
        bench.check(doubled, bench.feed("zone_rule", columns=columns, source={"driver": "CSV"}))


def test_a_jalali_date_in_geojson_stays_as_it_is_written(bench: Any) -> None:
    """GDAL would take 1396/02/31 for a Gregorian date and make another of it."""
    features = ",".join(
        f'{{"type":"Feature","properties":{{"code":"1-1-1-{n}","day":"1396/02/{day}"}},'
        f'"geometry":{shapely.to_geojson(bench.square(n))}}}'
        for n, day in enumerate(("30", "31", "01"))
    )
    path = bench.text("p.geojson", f'{{"type":"FeatureCollection","features":[{features}]}}')
    columns = {"parcel_code": "code", "source_updated_on": {"from": "day", "parser": "jalali"}}
    outcome = bench.check(
        path, bench.feed(columns=columns, source={"driver": "GeoJSON", "crs": "EPSG:4326"})
    )
    assert outcome.counts == {("geometry.outside", None): 3}


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1.0, 2.5, None, np.nan, 1e20, -0.0]), ["1", "2.5", None, None, "1e+20", "0"]),
        (pa.array([37156.0, 37157.0]), ["37156", "37157"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([["a", None], None]), ['["a",null]', None]),
        (pa.array([b"\x00\xff"]), ["00ff"]),
        (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        (pa.array(["x"], type=pa.large_string()), ["x"]),
        (pa.array([0], type=pa.timestamp("ms")), ["1970-01-01T00:00:00.000"]),
        (
            pa.array([0], type=pa.timestamp("ms", tz="Asia/Tehran")),
            ["1970-01-01T03:30:00.000+0330"],
        ),
        (pa.array([0], type=pa.date32()), ["1970-01-01"]),
        (pa.array([2**63], type=pa.uint64()), ["9223372036854775808"]),
    ],
)
def test_every_kind_of_column_has_a_text(values: pa.Array, texts: list[str | None]) -> None:
    assert as_text(values).to_pylist() == texts
