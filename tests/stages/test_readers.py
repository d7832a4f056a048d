"""Readers of our own: GML with several geometries, Parquet, Access, curves; and what they hold."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.city import City
from pipeline.contracts.registry import Schemas
from pipeline.errors import ArrivalError, ResourceError
from pipeline.stages import curves

HERE = Path(__file__).parent


@pytest.fixture
def dutch(schemas: Schemas) -> Schemas:
    """The contracts for a city in the Netherlands."""
    extent = {"xmin": 0, "ymin": 3e5, "xmax": 3e5, "ymax": 7e5}
    city = {**schemas.city.model_dump(), "srid": 28992, "extent": extent}
    return replace(schemas, city=City.model_validate(city))


# GML


def test_no_building_comes_back_as_its_label(real_data: Path, reading: Any) -> None:
    """Plain GDAL makes points of 1,242 of these 2,273 buildings."""
    path = real_data / "dutch" / "bgt_otterlo.zip"
    with reading.opened(path, member="bgt_pand.gml") as layer:
        assert dict(layer.geometries) == {
            "geometrie2dGrondvlak": "MultiPolygon", "plaatsingspunt": "Point",
        }  # fmt: skip
    found = reading.rows(path, member="BGT_pand*")
    shapes = [row["geometrie2dGrondvlak"] for row in found]
    assert len(shapes) == 2273
    assert {shape.geom_type for shape in shapes} == {"MultiPolygon"}
    labels = [row["plaatsingspunt"] for row in found if row["plaatsingspunt"] is not None]
    assert (len(labels), {one.geom_type for one in labels}) == (1242, {"Point"})


def test_the_geometry_is_the_one_of_the_layer_or_the_one_that_is_named(
    real_data: Path, bench: Any, dutch: Schemas
) -> None:
    path = real_data / "dutch" / "brk_v5" / "kadastralekaart_perceel.gml"
    source = {"driver": "GML", "crs": "EPSG:28992"}
    columns = bench.filled("neighbourhood", {"neighbourhood_code": "perceelnummer"})
    outcome = bench.check(
        path, bench.feed("neighbourhood", columns=columns, source=source), schemas=dutch
    )
    assert outcome.account.inserted == 11
    assert ("column.unmapped", "plaatscoordinaten") in outcome.counts
    columns = bench.filled("poi", {"poi_id": "gml_id"})
    for named in ({}, {"geometry": "plaatscoordinaten"}):
        feed = bench.feed("poi", columns=columns, source={**source, **named})
        assert bench.check(path, feed, schemas=dutch).account.inserted == 11
    feed = bench.feed("poi", columns=columns, source={**source, "geometry": "begrenzingPerceel"})
    assert bench.check(path, feed, schemas=dutch).counts["geometry.type", None] == 11
    feed = bench.feed("poi", columns=columns, source={**source, "geometry": "middle"})
    with pytest.raises(ArrivalError, match=r"has no geometry middle; it has begrenzingPerceel, pl"):
        bench.check(path, feed, schemas=dutch)
    columns = bench.filled("street", {"street_id": "gml_id"})
    feed = bench.feed("street", columns=columns, source=source)
    with pytest.raises(ArrivalError, match=r"has several geometries: .* Name one as geometry = "):
        bench.check(path, feed, schemas=dutch)


def test_former_versions_are_left_out_by_an_empty_column(
    real_data: Path, bench: Any, dutch: Schemas
) -> None:
    path = real_data / "dutch" / "bgt_otterlo.zip"
    columns = bench.filled("neighbourhood", {"neighbourhood_code": "gml_id"})
    source = {
        "driver": "GML", "member": "bgt_waterdeel.gml",
        "where": {"column": "eindRegistratie", "empty": True},
    }  # fmt: skip
    feed = bench.feed("neighbourhood", columns=columns, source=source)
    outcome = bench.check(path, feed, schemas=dutch)
    with zipfile.ZipFile(path) as archive:
        ended = archive.read("bgt_waterdeel.gml").count(b"<imgeo:eindRegistratie>")
    assert (outcome.account.arrived, outcome.account.skipped) == (1163, ended)
    assert ended > 0


CURVED = """<?xml version="1.0"?>
<c xmlns:gml="http://www.opengis.net/gml/3.2" xmlns="urn:x">
 <gml:featureMember><Plot gml:id="a"><name>{name}</name><shape>
  <gml:Surface srsName="urn:ogc:def:crs:EPSG::32639"><gml:patches><gml:PolygonPatch><gml:exterior>
   <gml:Ring><gml:curveMember><gml:Curve><gml:segments>
    <gml:Arc><gml:posList>488100 3833000 488000 3833100 487900 3833000</gml:posList></gml:Arc>
    <gml:LineStringSegment><gml:posList>487900 3833000 488100 3833000</gml:posList>
    </gml:LineStringSegment>
   </gml:segments></gml:Curve></gml:curveMember></gml:Ring>
  </gml:exterior></gml:PolygonPatch></gml:patches></gml:Surface></shape></Plot>
 </gml:featureMember>
</c>"""


def test_arcs_in_gml_are_stroked(reading: Any, tmp_path: Path) -> None:
    path = tmp_path / "plots.gml"
    path.write_text(CURVED.format(name="قم"), encoding="utf-8")
    (row,) = reading.rows(path)
    assert row["name"] == "قم"
    assert shapely.area(row["shape"]) == pytest.approx(np.pi * 100**2 / 2, rel=2e-4)
    assert list(tmp_path.iterdir()) == [path]


def test_gml_calls_nobody_and_writes_nothing_beside_itself(reading: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    path = tmp_path / "plots.gml"
    body = CURVED.format(name="&x;").split("\n", 1)[1]
    filler = f"<!-- {'-x' * 4000} -->"
    for entity in (f'SYSTEM "file://{secret}"', '"ha"'):
        path.write_text(
            f'<?xml version="1.0"?>{filler}\n<!DOCTYPE c [<!ENTITY x {entity}>]>\n{body}'
        )
        with pytest.raises(ArrivalError, match="has a document type definition"):
            reading.rows(path)
    # A schema of the sender's could make of it what it likes.
    path.write_text(CURVED.format(name="x"))
    path.with_suffix(".gfs").write_text("<GMLFeatureClassList/>")
    path.with_suffix(".xsd").write_text("rubbish")
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    assert len(reading.rows(path)) == 1
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_cut_gml_is_refused(real_data: Path, reading: Any, tmp_path: Path) -> None:
    data = (real_data / "dutch" / "brk_v5" / "kadastralekaart_pand.gml").read_bytes()
    path = tmp_path / "cut.gml"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArrivalError, match=r"cut\.gml: cannot be read"):
        reading.rows(path)


# Curves


def wkb(kind: int, *parts: bytes, order: str = "<") -> bytes:
    """One geometry of ISO's WKB; ``parts`` are bare bytes."""
    return struct.pack(f"{order}BI", order == "<", kind) + b"".join(parts)


def line(*points: tuple[float, ...], order: str = "<") -> bytes:
    """Count and coordinates."""
    flat = [value for point in points for value in point]
    return struct.pack(f"{order}I{len(flat)}d", len(points), *flat)


RING = wkb(8, line((100, 0), (0, 100), (-100, 0), (0, -100), (100, 0)))
HALF = wkb(9, struct.pack("<I", 2), wkb(8, line((100, 0), (0, 100), (-100, 0))),
           wkb(2, line((-100, 0), (100, 0))))  # fmt: skip


@pytest.mark.parametrize(
    ("given", "kind", "measure"),
    [
        (RING, "LineString", 2 * np.pi * 100),
        (wkb(8, line((100, 0), (-100, 0), (100, 0))), "LineString", 2 * np.pi * 100),
        (wkb(8, line((100, 0), (0, 0), (-100, 0))), "LineString", 200),
        (HALF, "LineString", np.pi * 100 + 200),
        (wkb(10, struct.pack("<I", 1), RING), "Polygon", np.pi * 100**2),
        (wkb(10, struct.pack("<I", 2), RING, wkb(2, line((0, 0), (9, 0), (9, 9), (0, 0)))),
         "Polygon", np.pi * 100**2 - 40.5),
        (wkb(11, struct.pack("<I", 2), HALF, wkb(2, line((0, 0), (1, 0)))), "MultiLineString",
         np.pi * 100 + 201),
        (wkb(12, struct.pack("<I", 1), wkb(10, struct.pack("<I", 1), HALF)), "MultiPolygon",
         np.pi * 5000),
        (wkb(7, struct.pack("<I", 1), wkb(10, struct.pack("<I", 1), HALF)), "GeometryCollection",
         np.pi * 5000),
        (wkb(1008, line((100, 0, 9), (0, 100, 9), (-100, 0, 9))), "LineString", np.pi * 100),
        (wkb(3008, line((100, 0, 9, 1), (0, 100, 9, 1), (-100, 0, 9, 1))), "LineString",
         np.pi * 100),
        (wkb(8, line((100, 0), (0, 100), (-100, 0), order=">"), order=">"), "LineString",
         np.pi * 100),
        (wkb(8, line()), "LineString", 0.0),
    ],
)  # fmt: skip
@pytest.mark.defect("Q4")
def test_curves_of_wkb_become_straight(given: bytes, kind: str, measure: float) -> None:
    straight = shapely.to_wkb(shapely.Point(1, 2))
    made = curves.stroked(pa.array([straight, None, given]), 0.01).to_pylist()
    assert made[:2] == [straight, None]
    shape = shapely.from_wkb(made[2])
    assert shape.geom_type == kind
    of = shapely.length if "Line" in kind else shapely.area
    assert of(shape) == pytest.approx(measure, rel=3e-4)


@pytest.mark.parametrize("cut", range(5, len(HALF), 7))
def test_a_broken_curve_stays_for_the_geometry_check(cut: int) -> None:
    assert curves.stroked(pa.array([HALF[:cut]]), 0.01).to_pylist() == [HALF[:cut]]


@given(
    centre=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e7, 1e7)), radius=st.floats(0.5, 5e3),
    first=st.floats(0, 6.28), turn=st.floats(0.05, 6.2), left=st.booleans(),
)  # fmt: skip
def test_no_chord_leaves_its_arc_by_more_than_a_centimetre(
    centre: tuple[float, float], radius: float, first: float, turn: float, *, left: bool
) -> None:
    angles = first + (1 if left else -1) * np.array([0, turn / 2, turn])
    points = np.array(centre) + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    made = curves.arc(*points, 0.01)
    assert np.array_equal(made[[0, -1]], points[[0, 2]])
    distance = np.hypot(*(made - centre).T)
    slack = 1e-5 + 1e-9 * radius**2 / turn**2
    assert np.abs(distance - radius).max() <= slack
    middle = (made[1:] + made[:-1]) / 2
    assert (radius - np.hypot(*(middle - centre).T)).max() <= 0.01 + slack


@pytest.mark.parametrize("name", ["pyo_curve.gpkg", "pyo_multisurface.gpkg"])
@pytest.mark.defect("Q4")
def test_geopackages_with_curves_are_read(real_data: Path, reading: Any, name: str) -> None:
    path = real_data / "bad_inputs" / "vector" / name
    (row,) = reading.rows(path)
    (shape,) = (one for one in row.values() if isinstance(one, shapely.Geometry))
    # pyogrio's other way strokes them too, but by four degrees at a time.
    rough = pyogrio.read_dataframe(path).geometry.iloc[0]
    assert shape.geom_type == rough.geom_type
    assert shapely.hausdorff_distance(shape, shapely.force_2d(rough)) < 0.01
    assert shapely.get_num_coordinates(shape) >= 2


# Parquet


def frame(bench: Any, count: int = 7) -> gpd.GeoDataFrame:
    """Parcels, the third without a shape, the fifth of two parts."""
    shapes = [bench.square(n) for n in range(count)]
    shapes[2] = None
    shapes[4] = shapely.union(bench.square(40), bench.square(42))
    data = {"code": [f"1-1-1-{n}" for n in range(count)], "name": ["کوچه یاس"] * count}
    return gpd.GeoDataFrame(data, geometry=shapes, crs="EPSG:32639")


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("group", [2, 100])
def test_geoparquet_is_read_by_row_groups(
    bench: Any, reading: Any, encoding: str, group: int
) -> None:
    path = bench.folder / "plots.parquet"
    made = frame(bench)
    if encoding == "geoarrow":
        made.geometry = [None if one is None else shapely.multipolygons([*shapely.get_parts(one)])
                         for one in made.geometry]  # fmt: skip
    made.to_parquet(
        path, geometry_encoding=encoding, schema_version="1.1.0", row_group_size=group,
        write_covering_bbox=encoding == "WKB",
    )  # fmt: skip
    found = reading.rows(path)
    assert [row["code"] for row in found] == made["code"].tolist()
    assert shapely.equals_exact([r["geometry"] for r in found], made.geometry.to_numpy()).tolist() \
        == [True, True, False, True, True, True, True]  # fmt: skip
    assert set(found[0]) == {"code", "name", "geometry"}
    columns = {"parcel_code": "code"}
    feed = bench.feed(columns=columns, source={"driver": "Parquet"}, ignore=["name"])
    outcome = bench.check(path, feed)
    assert outcome.counts == {("geometry.missing", None): 1}
    assert (outcome.account.arrived, outcome.account.inserted) == (7, 6)


def test_several_geometries_of_geoparquet_have_their_own_crs(bench: Any) -> None:
    made = frame(bench)
    made["middle"] = gpd.GeoSeries(made.geometry.centroid).to_crs("EPSG:4326")
    path = bench.folder / "plots.parquet"
    made.to_parquet(path, schema_version="1.1.0")
    feed = bench.feed(columns={"parcel_code": "code"}, source={"driver": "Parquet"},
                      ignore=["name", "middle"])  # fmt: skip
    assert bench.check(path, feed).account.inserted == 6
    columns = bench.filled("poi", {"poi_id": "code", "name_fa": "name"})
    feed = bench.feed("poi", columns=columns, source={"driver": "Parquet"}, ignore=["geometry"])
    assert bench.check(path, feed).account.inserted == 6


def test_parquet_without_geometry_and_with_odd_metadata(bench: Any, reading: Any) -> None:
    path = bench.folder / "t.parquet"
    table = pa.table({"a": pa.array(["x", None]), "g": pa.array([b"", b""])})
    pq.write_table(table, path)
    assert reading.rows(path) == [{"a": "x", "g": b""}, {"a": None, "g": b""}]
    for geo, said in [
        ("{", "geo metadata that cannot be understood"),
        (json.dumps({"primary_column": "z", "columns": {"z": {"encoding": "WKB"}}}),
         "names a geometry column that is not there"),
        (json.dumps({"primary_column": "g", "columns": {"g": {"encoding": "WKT"}}}),
         "names the encoding wkt"),
    ]:  # fmt: skip
        pq.write_table(table.replace_schema_metadata({"geo": geo}), path)
        with pytest.raises(ArrivalError, match=said):
            reading.rows(path)
    data = path.read_bytes()
    path.write_bytes(data[:40] + b"\xff" * 40 + data[80:])
    with pytest.raises(ArrivalError, match=r"t\.parquet: "):
        reading.rows(path)


# Access


@pytest.mark.parametrize("name", ["persian.mdb.zip", "persian.accdb.zip"])
def test_tables_of_access_are_read_as_they_are_written(reading: Any, bench: Any, name: str) -> None:
    if shutil.which("mdb-export") is None:
        pytest.skip("mdbtools is not installed")
    found = reading.rows(HERE / "data" / name, "ممیزی")
    assert len(found) == 6
    assert found[2] == {
        "کد": "1-12-45-2", "پستی": "0371000002", "عرصه": "202.25", "طبقات": "2",
        "بازدید": "2018-03-21T09:30:00", "وقفی": "TRUE", "شرح": 'کوچه «یاس», "نبش"\nپلاک ۱۲',
    }  # fmt: skip
    assert found[0]["شرح"] is None
    with pytest.raises(ArrivalError, match="has several layers: ممیزی, codes"):
        bench.check(HERE / "data" / name, bench.feed(source={"driver": "MDB"}))


def test_a_broken_database_and_absent_tools_are_one_line(
    reading: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mdb"
    path.write_bytes(b"\x00\x01\x00\x00Standard Jet DB\x00" + b"\x01" * 9000)
    with pytest.raises(ArrivalError, match=r"a\.mdb: cannot be read: .*Ask for it again, or as"):
        reading.rows(path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match=r"mdbtools, .*is not installed\. Run `apt-get "):
        reading.rows(path)


# Memory

PEAK = """
import resource, sys
from pathlib import Path
from pipeline.stages import container
from pipeline.stages.readers import open_dataset

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

rows = []
for path in map(Path, sys.argv[1:]):
    with container.opened(path) as arrival:
        dataset = open_dataset(arrival)
        layer = dataset.layer(dataset.sheets[0], None)
        count = sum(table.num_rows for table in layer.tables(5000))
    rows.append(f"{count} {peak():.0f}")
print("\\n".join(rows))
"""


def many(folder: Path, kind: str, count: int) -> Path:
    """A file of ``count`` parcels."""
    path = folder / f"{count}.{kind}"
    if kind == "dxf":
        return _drawn(path, count)
    side = np.arange(count, dtype=float) * 20
    shapes = shapely.box(488000 + side, 3833000, 488020 + side, 3833020)
    if kind == "gml":
        member = textwrap.dedent("""\
            <gml:featureMember><Plot><code>{}</code><name>{}</name><shape><gml:Polygon>
            <gml:exterior><gml:LinearRing><gml:posList>{}</gml:posList></gml:LinearRing>
            </gml:exterior></gml:Polygon></shape></Plot></gml:featureMember>
            """)
        with path.open("w") as target:
            target.write('<c xmlns:gml="http://www.opengis.net/gml/3.2">')
            for number, shape in enumerate(shapes):
                flat = " ".join(f"{v:.2f}" for v in shapely.get_coordinates(shape).ravel())
                target.write(member.format(number, "x" * 60, flat))
            target.write("</c>")
        return path
    made = gpd.GeoDataFrame(
        {"code": np.arange(count), "name": [f"{n}" * 12 for n in range(count)]},
        geometry=shapes, crs="EPSG:32639",
    )  # fmt: skip
    if kind == "parquet":
        made.to_parquet(path, row_group_size=20_000)
    elif kind == "csv":
        made.drop(columns="geometry").assign(x=side, y=side).to_csv(path, index=False)
    else:
        pyogrio.write_dataframe(made, path, driver="GeoJSON")
    return path


def _drawn(path: Path, count: int) -> Path:
    from ezdxf.filemanagement import new

    made = new("R2000", setup=False)
    space = made.modelspace()
    for number in range(count):
        space.add_text(f"{number}" * 6, dxfattribs={"insert": (488000 + number, 3833000)})
    made.saveas(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "small", "large"),
    [("parquet", 20_000, 400_000), ("gml", 5_000, 100_000), ("geojson", 5_000, 150_000),
     ("csv", 5_000, 400_000), ("dxf", 1_000, 30_000)],
)  # fmt: skip
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, kind: str, small: int, large: int
) -> None:
    """The same process reads a small file and then one of twenty times the rows."""
    paths = [many(tmp_path, kind, count) for count in (small, large)]
    run = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, paths)], capture_output=True, text=True, check=True
    )
    (few, before), (all_of_them, after) = (map(int, row.split()) for row in run.stdout.splitlines())
    assert (few, all_of_them) == (small, large)
    # The large files are 20 to 60 MB.
    assert after - before < 25
