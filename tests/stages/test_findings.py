"""Every finding is given by a planted fault, with line, key and field; a clean file has none."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
import shapely.affinity

from pipeline import stages
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError
from pipeline.findings import Catalog, Finding

BOWTIE = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def at(shape: shapely.Geometry, place: int) -> shapely.Geometry:
    """``shape`` moved to the square number ``place``."""
    return shapely.affinity.translate(shape, 488000.0 + place * 40, 3833000.0)


def spiked(place: int) -> shapely.Geometry:
    """A square whose outline runs out to a point and back: a repair takes nothing away."""
    return at(shapely.Polygon([(0, 0), (20, 0), (20, 20), (20, 30), (20, 20), (0, 20)]), place)


def swapped(place: int) -> shapely.Geometry:
    """The square with its axes exchanged."""
    return shapely.transform(at(shapely.box(0, 0, 20, 20), place), lambda xy: xy[:, ::-1])


def ring(place: int, *points: tuple[float, float]) -> bytes:
    """WKB of one ring as it stands: closed or not, of however many points."""
    xy = np.array(points, dtype=float) + np.array([488000.0 + place * 40, 3833000.0])
    return struct.pack("<BIII", 1, 3, 1, len(xy)) + xy.tobytes()


def line(place: int, *points: tuple[float, float]) -> shapely.LineString:
    """A line near the square number ``place``."""
    return at(shapely.LineString(points), place)


# A hole without a polygon round it.
UNREADABLE = struct.pack("<BIIII", 1, 3, 2, 0, 4) + np.zeros((4, 2)).tobytes()
OPEN = [(0, 0), (20, 0), (20, 20), (0, 20)]
STAIR = [(0, 0), (20, 0), (20, 0.0004), (20, 20), (20, 20), (0, 20)]
THORN = [(0, 0), (20, 0), (20, 20), (10.05, 20), (10, 30), (9.95, 20), (0, 20)]
MIXED = shapely.GeometryCollection([shapely.box(0, 0, 20, 20), shapely.Point(1, 1)])
HOLLOW = shapely.from_wkt(
    "MULTIPOLYGON (((489440 3833000, 489460 3833000, 489460 3833020, 489440 3833000)), EMPTY)"
)
INFINITE = shapely.to_wkb(at(shapely.box(0, 0, 20, 20), 3)).replace(
    shapely.to_wkb(shapely.Point(488120.0, 3833000.0))[5:13], bytes.fromhex("000000000000f07f")
)
DEED = ("rule.broken", "deed_near_grid")
TWICE = ("key.duplicate", "parcel_code")
# What is planted in a parcel, and every finding it must give: code and field.
PLANTED: list[tuple[dict[str, Any], set[tuple[str, str | None]]]] = [
    ({"geometry": None}, {("geometry.missing", None)}),
    ({"geometry": shapely.Polygon()}, {("geometry.empty", None)}),
    ({"geometry": UNREADABLE}, {("geometry.unreadable", None)}),
    ({"geometry": INFINITE}, {("geometry.nonfinite", None)}),
    ({"geometry": shapely.Point(488000, 3833000)}, {("geometry.type", None)}),
    ({"geometry": spiked(6)}, {("geometry.repaired", None)}),
    ({"geometry": at(BOWTIE, 7)}, {("geometry.unrepairable", None)}),
    ({"geometry": at(shapely.box(0, 0, 20, 20), 9999)}, {("geometry.outside", None)}),
    ({"geometry": swapped(9)}, {("geometry.swapped", None)}),
    ({"geometry": at(shapely.box(0, 0, 0.5, 0.5), 10), "deed": None}, {("geometry.sliver", None)}),
    ({"geometry": at(shapely.box(0, 0, 20, 20), 100)}, {("geometry.duplicate", None)}),
    ({"code": None}, {("value.missing", "parcel_code")}),
    ({"code": "  "}, {("value.missing", "parcel_code")}),
    ({"deed": "four hundred"}, {("value.type", "area_deed_m2")}),
    ({"changed": "2017-11-18"}, {("value.type", "source_updated_on")}),
    ({"code": "1-1-1-x"}, {("value.pattern", "parcel_code")}),
    ({"deed": "-400"}, {("value.range", "area_deed_m2"), DEED}),
    ({"deed": "1e999"}, {("value.range", "area_deed_m2"), DEED}),
    ({"plate": "1/" * 40}, {("value.too_long", "registration_plate")}),
    ({"use": "moon"}, {("value.code_unknown", "land_use")}),
    ({"plate": "شهر".encode().decode("latin-1")}, {("value.mojibake", "registration_plate")}),
    ({"plate": "?? ????"}, {("value.mojibake", "registration_plate")}),
    ({"code": "01-001-01-0200"}, {TWICE}),
    ({"code": "1-1-1-0"}, {TWICE}),
    ({"deed": "500"}, {DEED}),
    ({"geometry": ring(25, (0, 0), (20, 20), (0, 0))}, {("geometry.degenerate", None)}),
    ({"geometry": ring(26, (0, 0), (20, 20))}, {("geometry.degenerate", None)}),
    ({"geometry": ring(27, *[(5, 5)] * 4)}, {("geometry.degenerate", None)}),
    ({"geometry": ring(28, *OPEN, (0, 0.4))}, {("geometry.unclosed", None)}),
    ({"geometry": ring(29, *OPEN, (0, 0.004))}, {("geometry.closed", None)}),
    ({"geometry": line(30, *OPEN, (0, 0))}, {("geometry.closed_line", None)}),
    ({"geometry": line(31, *OPEN, (0, 0.004))},
     {("geometry.closed_line", None), ("geometry.closed", None)}),
    ({"geometry": line(32, *OPEN, (0, 0.4))}, {("geometry.type", None)}),
    ({"geometry": at(shapely.Polygon(STAIR), 33)}, {("geometry.repeated_points", None)}),
    ({"geometry": at(shapely.Polygon(THORN), 34)}, {("geometry.spike", None)}),
    ({"geometry": at(MIXED, 35)}, {("geometry.collection", None)}),
    ({"geometry": HOLLOW, "deed": None}, {("geometry.empty_part", None)}),
    ({"geometry": at(shapely.box(0, 0, 20, 0.08), 37), "deed": None},
     {("geometry.sliver", None)}),
    ({"geometry": at(shapely.LineString([(3, 3), (3, 3)]), 38)}, {("geometry.type", None)}),
]  # fmt: skip
WARNED = {f"geometry.{what}" for what in (
    "repaired", "sliver", "duplicate", "closed", "closed_line", "repeated_points", "spike",
    "collection", "empty_part")} | {"rule.broken"}  # fmt: skip
# Findings about the whole file have no line; each has its own test below.
WHOLE = {
    "column.unmapped", "crs.assumed", "crs.offset", "encoding.detected", "file.warning",
    "rows.skipped", "value.unusual",
    "rows.too_many", "rule.refused", "geometry.heights", "geometry.three_d", "column.new",
    "column.gone", "column.retyped", "edit.overtaken", "rows.drop", "extent.shift", "nulls.rise",
    "measure.change",
    "code.padded", "code.reversed", "code.undecided", "code.as_before",  # test_codes.py
    "geometry.slanted", "geometry.flat", "geometry.height",  # test_relief.py
    "row.surplus", "row.swallows", "rows.blank", "value.formula",  # test_tables.py
    "valid.backwards", "valid.reversed", "lineage.missing",  # test_versions.py, tests/joins
}  # fmt: skip


def test_every_vector_finding_is_planted_somewhere() -> None:
    planted = {code for _, given in PLANTED for code, _ in given} | WHOLE
    sources = Path(stages.__file__).parent.rglob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    raised = {code for code in Catalog.load().codes if f'"{code}"' in text}
    assert planted == raised


def test_each_planted_fault_is_named_with_line_key_and_field(
    bench: Any, database: Database, query: Any
) -> None:
    """SDB-3.6: an unknown code among others: the row is set aside with line, key and field."""
    rows = [bench.parcel(100), bench.parcel(200)]
    rows += [bench.parcel(place, **fault) for place, (fault, _) in enumerate(PLANTED)]
    # A doubled key is told of every row that has it; row 3 is parcel 0.
    expected = {(2, *TWICE), (3, *TWICE)}
    expected |= {(place + 3, *one) for place, (_, given) in enumerate(PLANTED) for one in given}
    path = bench.geopackage(rows)
    outcome = bench.load(database, path)
    found = query(database, "SELECT line, code, field, key, value FROM ops.finding")
    assert {row[:3] for row in found} == expected
    keys = {line: key for line, _, _, key, _ in found}
    assert keys[2] == keys[25] == "1-1-1-200-0-0-0"
    assert keys[3] == keys[26] == "1-1-1-0-0-0-0"
    assert keys[14] is keys[15] is None
    values = {(line, code): value for line, code, _, _, value in found}
    assert values[16, "value.type"] == "four hundred"
    good = {line for (line,) in query(database, "SELECT source_line FROM data.parcel")}
    bad = {line for line, code, _ in expected if code not in WARNED}
    assert good == set(range(1, len(rows) + 1)) - bad
    assert bench.check(path).counts == outcome.counts
    assert bench.check(path).account.quarantined == outcome.account.quarantined == len(bad)


def test_every_finding_has_its_words_in_both_languages(
    bench: Any, database: Database, query: Any
) -> None:
    bench.load(
        database, bench.geopackage([bench.parcel(n, **f) for n, (f, _) in enumerate(PLANTED)])
    )
    catalog = Catalog.load()
    columns = "code, layer, key, line, field, value, detail"
    for row in query(database, f"SELECT {columns} FROM ops.finding"):
        for language in ("en", "fa"):
            said = catalog.message(Finding(*row), language)
            assert said
            assert "{" not in said
            assert "None" not in said


def test_a_clean_file_gives_no_finding(bench: Any, database: Database, query: Any) -> None:
    outcome = bench.load(database, bench.geopackage([bench.parcel(n) for n in range(10)]))
    assert outcome.counts == {}
    assert query(database, "SELECT count(*) FROM ops.finding") == [(0,)]
    assert outcome.account.inserted == outcome.account.arrived == 10
    assert query(
        database, "SELECT count(*), min(area_grid_m2), max(area_grid_m2) FROM data.parcel"
    ) == [(10, 400.0, 400.0)]


def test_a_quarantined_row_keeps_raw_values_line_and_reasons(
    bench: Any, database: Database, query: Any
) -> None:
    bad = bench.parcel(1, code=" 1-x ", deed="-4", plate="a\u200e ب")
    bench.load(database, bench.geopackage([bench.parcel(0), bad, bench.parcel(2)]))
    ((line, key, reasons, raw, shape),) = query(
        database, "SELECT line, key, reasons, raw, raw_geometry FROM ops.quarantine"
    )
    assert (line, key) == (2, "1-x")
    assert set(reasons) == {"value.pattern", "value.range"}
    geometry = bad.pop("geometry")
    assert raw == bad
    assert shapely.from_wkb(shape) == geometry


def test_unmapped_columns_are_told_and_ignored_ones_are_not(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(0, note="x", typist="y")])
    outcome = bench.check(path, bench.feed(ignore=["typist"]))
    assert dict(outcome.counts) == {("column.unmapped", "note"): 1}


def test_a_declared_crs_is_told_where_the_file_names_none(bench: Any) -> None:
    path = bench.text("poi.csv", "no,kind,E,N\n1,mosque,488000,3833000\n")
    columns = bench.filled("poi", {"poi_id": "no"})
    source = {"driver": "CSV", "crs": "EPSG:32639", "points": {"x": "E", "y": "N"}}
    outcome = bench.check(path, bench.feed("poi", columns=columns, source=source, ignore=["kind"]))
    assert dict(outcome.counts) == {("crs.assumed", None): 1}
    assert outcome.account.inserted == 1


def test_too_many_rows_are_told(bench: Any) -> None:
    path = bench.geopackage([bench.parcel(n) for n in range(4)])
    outcome = bench.check(path, bench.feed(limits={"max_rows": 3}))
    assert dict(outcome.counts) == {("rows.too_many", None): 1}


def test_rows_of_other_feeds_are_skipped_and_told(
    bench: Any, database: Database, query: Any
) -> None:
    rows = [bench.parcel(n, office=office) for n, office in enumerate(["a", "b", " a", None, "a"])]
    feed = bench.feed(source={"where": {"column": "office", "values": ["a"]}}, ignore=["office"])
    outcome = bench.load(database, bench.geopackage(rows), feed)
    assert dict(outcome.counts) == {("rows.skipped", None): 1}
    assert (outcome.account.skipped, outcome.account.inserted) == (2, 3)
    lines = query(database, "SELECT source_line FROM data.parcel ORDER BY 1")
    assert lines == [(1,), (3,), (5,)]


def test_a_rule_of_severity_error_sets_the_row_aside(bench: Any, database: Database) -> None:
    layer = bench.schemas.layer("zone_rule")
    rule = next(one for one in layer.rules if one.severity == "error")
    zone = bench.schemas.codes(layer.field("zone_code")).codes[0]
    path = bench.text("rules.csv", f"p,z,n,l,r\nP,{zone},1,1,2\nP,{zone},2,2,1\nP,{zone},3,2,2\n")
    columns = {"plan_id": "p", "zone_code": "z", "rule_no": "n", rule.left: "l", rule.right: "r"}
    columns = bench.filled(layer.id, columns)
    outcome = bench.load(
        database, path, bench.feed("zone_rule", columns=columns, source={"driver": "CSV"})
    )
    assert dict(outcome.counts) == {("rule.refused", rule.id): 1}
    assert (outcome.account.inserted, outcome.account.quarantined) == (2, 1)


def test_what_gdal_warns_of_is_told_once(bench: Any) -> None:
    path = bench.text("areas.csv", 'no,WKT\n1,"POLYGON ((broken"\n2,"POLYGON ((broken"\n')
    columns = {"region_code": "no"}
    source = {"driver": "CSV", "crs": "EPSG:32639"}
    outcome = bench.check(
        path, bench.feed("region", columns=columns, source=source, ignore=["WKT"])
    )
    told = [(code, field) for code, field in outcome.counts if code == "file.warning"]
    assert told == [("file.warning", None)]
    assert outcome.account.inserted == 0


def shapefile(bench: Any, encoding: str, *, cpg: str | None) -> Path:
    """A shapefile of one neighbourhood; its .cpg says ``cpg`` or is not there."""
    rows = [{"code": "1", "name": "محله قايم", "geometry": bench.square(0)}]
    table = bench.geopackage(rows, "n.gpkg")
    path: Path = bench.folder / "n.shp"
    frame = pyogrio.read_dataframe(table)
    pyogrio.write_dataframe(frame, path, encoding=encoding)
    path.with_suffix(".cpg").unlink()
    if cpg:
        path.with_suffix(".cpg").write_text(cpg)
    return path


@pytest.mark.parametrize(
    ("encoding", "cpg", "declared", "said"),
    [
        ("UTF-8", "UTF-8", None, None),
        ("CP1256", "CP1256", None, None),
        ("CP1256", None, "CP1256", None),
        ("CP1256", "1256", "windows-1256", None),
        ("UTF-8", None, None, "encoding.detected"),
        ("UTF-8", None, "CP1256", "value.mojibake"),
        ("CP1256", None, None, "encoding.detected"),
        ("CP1256", None, "UTF-8", "its text is not in the encoding that is declared"),
        ("CP1256", "UTF-8", "CP1256", "says its text is UTF-8, the feed planted declares CP1256"),
        ("UTF-8", "UTF-8", "Martian", "declares the unknown encoding Martian"),
    ],
)
def test_text_is_read_in_the_declared_encoding_or_not_at_all(
    bench: Any, encoding: str, cpg: str | None, declared: str | None, said: str | None
) -> None:
    path = shapefile(bench, encoding, cpg=cpg)
    source = {"driver": "ESRI Shapefile", **({"encoding": declared} if declared else {})}
    columns = {"neighbourhood_code": "code", "name_fa": "name", "region_code": {"value": "1"}}
    feed = bench.feed("neighbourhood", columns=columns, source=source)
    if said and "." not in said.split(" ")[0]:
        with pytest.raises(ArrivalError) as caught:
            bench.check(path, feed)
        assert said in str(caught.value)
    else:
        found = {code for code, _ in bench.check(path, feed).counts}
        assert found == ({said} if said else set())
