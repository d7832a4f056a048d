"""Every format of docs/formats.md: a feed is drafted for it, completed, and takes all its rows."""

from __future__ import annotations

import json
import re
import shutil
import threading
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
import shapely
from ezdxf.filemanagement import new

from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.stages.draft import Drafted, draft

NAMES = ["شهرداری قم", "خیابان امام", "کوچه یاس", "میدان آزادی", "بلوار امین"]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def places(crs: str = "EPSG:32639") -> gpd.GeoDataFrame:
    """Five points of interest."""
    data = {"poi_id": [f"{n:03d}" for n in range(5)], "name_fa": NAMES}
    points = shapely.points(488000 + shapely.get_x(shapely.points(range(5), 0)), 3833000)
    return gpd.GeoDataFrame(data, geometry=points, crs="EPSG:32639").to_crs(crs)


def by_gdal(driver: str, crs: str = "EPSG:32639", **options: Any) -> Callable[[Path], None]:
    """Writes the points with GDAL."""

    def write(path: Path) -> None:
        pyogrio.write_dataframe(places(crs), path, driver=driver, **options)

    return write


def table(driver: str, **options: Any) -> Callable[[Path], None]:
    """Writes the points as a plain table with columns of coordinates."""

    def write(path: Path) -> None:
        made = places()
        plain = made.drop(columns="geometry").assign(X=made.geometry.x, Y=made.geometry.y)
        if driver == "CSV":
            plain.to_csv(path, index=False, **options)
        else:
            pyogrio.write_dataframe(plain, path, driver=driver)

    return write


def parquet(path: Path) -> None:
    """Writes the points as GeoParquet."""
    places().to_parquet(path)


def drawing(path: Path) -> None:
    """Writes the points as texts of a drawing."""
    made = new("R2010", setup=False)
    for row in places().itertuples():
        at = (row.geometry.x, row.geometry.y)
        made.modelspace().add_text(row.name_fa, dxfattribs={"insert": at})
    made.saveas(path)


def topology(path: Path) -> None:
    """Writes the points as TopoJSON."""
    shapes = [
        {"type": "Point", "coordinates": [row.geometry.x, row.geometry.y],
         "properties": {"poi_id": row.poi_id, "name_fa": row.name_fa}}
        for row in places("EPSG:4326").itertuples()
    ]  # fmt: skip
    layer = {"type": "GeometryCollection", "geometries": shapes}
    made = {"type": "Topology", "objects": {"places": layer}, "arcs": []}
    path.write_text(json.dumps(made), encoding="utf-8")


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a.gpkg": ("GPKG", by_gdal("GPKG")),
    "a.shp": ("ESRI Shapefile", by_gdal("ESRI Shapefile", encoding="UTF-8")),
    "a.geojson": ("GeoJSON", by_gdal("GeoJSON", "EPSG:4326")),
    "a.topojson": ("TopoJSON", topology),
    "a.fgb": ("FlatGeobuf", by_gdal("FlatGeobuf")),
    "a.gml": ("GML", by_gdal("GML")),
    "a.kml": ("LIBKML", by_gdal("LIBKML", "EPSG:4326")),
    "a.parquet": ("Parquet", parquet),
    "a.sqlite": ("SQLite", by_gdal("SQLite")),
    "a.dxf": ("DXF", drawing),
    "a.csv": ("CSV", table("CSV")),
    "a.tsv": ("CSV", table("CSV", sep="\t")),
    "a.txt": ("CSV", table("CSV", sep=";")),
    "a.xlsx": ("XLSX", table("XLSX")),
    "a.ods": ("ODS", table("ODS")),
}


def completed(drafted: Drafted, bench: Any, layer: str, **columns: str) -> Feed:
    """The drafted feed with what a person adds: the rest of the required fields."""
    raw = {"columns": [], **tomllib.loads(drafted.toml)}
    raw["source"].setdefault("crs", "EPSG:32639" if layer == "poi" else None)
    listed = re.search(r"^# ignore = (\[.*\]) \(before", drafted.toml, re.MULTILINE)
    raw["ignore"] = json.loads(listed[1]) if listed else []
    raw["columns"] = [one for one in raw["columns"] if one["to"] not in columns]
    raw["columns"] += [{"to": to, "from": source} for to, source in columns.items()]
    done = {one["to"] for one in raw["columns"]}
    raw["columns"] += [
        {"to": field.name, "value": bench.constant(field)}
        for field in bench.schemas.layer(layer).fields
        if field.required and not field.derive and field.name not in done
    ]
    raw["source"] = {key: value for key, value in raw["source"].items() if value is not None}
    return Feed.model_validate(raw)


# A .txt in an archive is what people read.
@pytest.mark.parametrize(
    ("name", "zipped"),
    [
        (name, zipped)
        for name in WRITERS
        for zipped in (False, True)
        if name != "a.txt" or not zipped
    ],
)
def test_a_feed_is_drafted_for_it_and_takes_all_its_rows(
    bench: Any, name: str, zipped: bool
) -> None:
    driver, write = WRITERS[name]
    path = bench.folder / name
    write(path)
    if zipped:
        archive = bench.folder / "all.zip"
        with zipfile.ZipFile(archive, "w") as target:
            for one in bench.folder.glob("a.*"):
                target.write(one, f"a folder/{one.name}")
        path = archive
    drafted = draft(path, "poi", bench.schemas)
    columns = {"poi_id": "Handle", "name_fa": "Text"} if driver == "DXF" else {}
    feed = completed(drafted, bench, "poi", **columns)
    assert feed.source.driver == driver
    named = {column.to: column.source for column in feed.columns if column.source}
    assert set(named) >= {"poi_id", "name_fa"}
    outcome = bench.check(path, feed)
    assert (outcome.account.arrived, outcome.account.inserted) == (5, 5)
    wrong = {code for code, _ in outcome.counts} - {
        "column.unmapped", "crs.assumed", "encoding.detected", "geometry.heights",
    }  # fmt: skip
    assert wrong == set()
    assert f"`{driver}`" in DOCUMENT.read_text(encoding="utf-8")


def test_a_feed_is_drafted_for_a_table_of_access(bench: Any) -> None:
    if shutil.which("mdb-export") is None:
        pytest.skip("mdbtools is not installed")
    path = Path(__file__).parent / "data" / "persian.accdb.zip"
    drafted = draft(path, "zone_rule", bench.schemas, sheet="ممیزی")
    assert 'driver = "MDB"' in drafted.toml
    assert 'sheet = "ممیزی" # there are also "codes"' in drafted.toml
    key = bench.schemas.layer("zone_rule").key
    feed = completed(drafted, bench, "zone_rule", **{key[-1]: "کد"})
    assert bench.check(path, feed).account.arrived == 6


def test_a_feed_is_drafted_for_one_of_several_members_and_geometries(
    real_data: Path, bench: Any
) -> None:
    path = real_data / "dutch" / "bgt_otterlo.zip"
    drafted = draft(path, "neighbourhood", bench.schemas, member="bgt_pand.gml")
    raw = tomllib.loads(drafted.toml)["source"]
    assert (raw["member"], raw["geometry"]) == ("bgt_pand.gml", "geometrie2dGrondvlak")
    assert '# there are also "plaatsingspunt" (Point)' in drafted.toml
    drafted = draft(path, "poi", bench.schemas, member="bgt_pand.gml")
    assert tomllib.loads(drafted.toml)["source"]["geometry"] == "plaatsingspunt"


def test_a_feed_is_drafted_for_a_layer_of_an_exchange(real_data: Path, bench: Any) -> None:
    path = real_data / "edigeo_cornillon" / "edigeo-130290000A01.tar.bz2"
    drafted = draft(path, "neighbourhood", bench.schemas, sheet="PARCELLE_id")
    raw = tomllib.loads(drafted.toml)["source"]
    assert (raw["driver"], raw["sheet"]) == ("EDIGEO", "PARCELLE_id")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.dwg", "Save it as DXF R2000 or R2013."), ("a.ECW", "save it as GeoTIFF or JPEG 2000"),
        ("a.sid", "save it as GeoTIFF"), ("a.mxd", "ask for the layers, as GeoPackage"),
        ("a.qgz", "ask for the layers"), ("a.rar", "Send it as zip."), ("a.7z", "Send it as zip."),
        ("a.vrt", "Send the files it points to."), ("a.kmz", "Save it as KML."),
        ("a.xls", "Save it as XLSX."), ("a.pdf", "ask for the data"),
        ("a.laz", "ask for the terrain as GeoTIFF"), ("a.xyz", "is in no format that is read here"),
    ],
)  # fmt: skip
def test_what_nobody_reads_is_refused_with_advice(bench: Any, name: str, advice: str) -> None:
    path = bench.folder / name
    path.write_bytes(b"whatever it is")
    with pytest.raises(Exception, match=re.escape(advice)):
        draft(path, "poi", bench.schemas)
    archive = bench.folder / "all.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.write(path, name)
    with pytest.raises(Exception, match=r"all\.zip: "):
        draft(archive, "poi", bench.schemas)


ASKING = {
    "a.gml": """<c xmlns:gml="http://www.opengis.net/gml/3.2"
        xmlns:xlink="http://www.w3.org/1999/xlink"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:schemaLocation="urn:x {url}/x.xsd">
        <gml:featureMember><Plot><poi_id>1</poi_id><shape><gml:Point srsName="{url}/crs">
        <gml:pos>488000 3833000</gml:pos></gml:Point></shape><other xlink:href="{url}/other"/>
        </Plot></gml:featureMember></c>""",
    "a.kml": """<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Schema id="x"/>
        <NetworkLink><Link><href>{url}/more.kml</href></Link></NetworkLink>
        <Style><IconStyle><Icon><href>{url}/icon.png</href></Icon></IconStyle></Style>
        <Placemark><name>1</name><Point><coordinates>50.87,34.64</coordinates></Point></Placemark>
        </Document></kml>""",
    "a.geojson": """{{"type": "FeatureCollection", "crs": {{"type": "link", "properties":
        {{"href": "{url}/crs", "type": "ogcwkt"}}}}, "links": [{{"href": "{url}/next"}}],
        "features": [{{"type": "Feature", "properties": {{"poi_id": "1"}}, "geometry":
        {{"type": "Point", "coordinates": [50.87, 34.64]}}}}]}}""",
}
# Hidden from a look at the file's beginning and end.
ASKING["b.geojson"] = (
    ASKING["a.geojson"]
    .replace('"crs"', f'"a": "{"x" * 70_000}", "crs"')
    .replace('"links"', f'"b": "{"x" * 70_000}", "links"')
)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A host that would be called, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ASKING)
def test_no_host_is_called(
    bench: Any, reading: Any, name: str, listener: tuple[str, list[str]]
) -> None:
    url, asked = listener
    path = bench.text(name, ASKING[name].format(url=url))
    with suppress(ArrivalError):
        reading.rows(path)
    assert asked == []
    assert list(bench.folder.iterdir()) == [path]


def test_what_points_elsewhere_is_refused(bench: Any) -> None:
    for name, content in {
        "a.vrt.gpkg": "<OGRVRTDataSource><OGRVRTLayer name='x'/></OGRVRTDataSource>",
        "a.geojson": '<?xml version="1.0"?><!-- x --><OGRWFSDataSource><URL>http://x</URL>',
        "a.kml": '<?xml version="1.0"?><!DOCTYPE k [<!ENTITY x SYSTEM "http://x">]><kml>&x;</kml>',
    }.items():
        path = bench.text(name, content)
        with pytest.raises(Exception, match="points to other files or hosts"):
            draft(path, "poi", bench.schemas)
