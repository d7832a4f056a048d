"""JSON-FG and GML: what other programs read of them is what the GeoJSON says."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import pytest
import shapely
from pyproj import Transformer
from starlette.testclient import TestClient

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"
EPSG4326 = "http://www.opengis.net/def/crs/EPSG/0/4326"
FG = "application/vnd.ogc.fg+json"
PARCELS = "/collections/parcels/items"


def _by_gdal(answer: Any, folder: Path, form: str) -> geopandas.GeoDataFrame:
    path = folder / f"answer.{form}"
    path.write_bytes(answer.content)
    driver = {"json": "JSONFG", "gml": "GML"}[form]
    assert pyogrio.read_info(path)["driver"] == driver
    return pyogrio.read_dataframe(path)


def test_places_are_in_the_citys_crs(client: TestClient, tmp_path: Path) -> None:
    """The parcel's corners are known in metres; GDAL knows the CRS from the document."""
    answer = client.get(PARCELS, params={"f": "jsonfg"})
    assert answer.headers["content-type"] == FG
    assert answer.headers["content-crs"] == f"<{UTM}>"
    page = answer.json()
    assert page["coordRefSys"] == UTM
    assert page["conformsTo"][0] == "http://www.opengis.net/spec/json-fg-1/1.0/conf/core"
    assert page["featureType"] == "parcels"
    assert page["geometryDimension"] == 2
    assert client.get(page["featureSchema"]).json()["$id"] == page["featureSchema"]
    assert all(feature["geometry"] is None for feature in page["features"])
    frame = _by_gdal(answer, tmp_path, "json")
    assert frame.crs.to_epsg() == 32639
    assert frame.geometry.iloc[0].bounds == (490020, 3830000, 490035, 3830015)


def test_degrees_are_geojson(client: TestClient) -> None:
    plain = client.get(PARCELS, params={"limit": 3}).json()["features"]
    page = client.get(PARCELS, params={"f": "jsonfg", "limit": 3, "crs": CRS84}).json()
    assert "coordRefSys" not in page
    for one, other in zip(plain, page["features"], strict=True):
        assert other == {**one, "place": None, "time": None}


def test_axes_are_those_of_the_crs(client: TestClient, tmp_path: Path) -> None:
    """EPSG:4326 begins with the latitude; a reader that knows it finds the place again."""
    answer = client.get(PARCELS, params={"f": "jsonfg", "limit": 1, "crs": EPSG4326})
    (feature,) = answer.json()["features"]
    north, east = feature["place"]["coordinates"][0][0][0]
    assert (round(north), round(east)) == (35, 51)
    west, south, *_ = _by_gdal(answer, tmp_path, "json").total_bounds
    assert (round(west), round(south)) == (51, 35)


def test_time_and_persian(client: TestClient, tmp_path: Path) -> None:
    page = client.get("/collections/plan-documents/items", params={"f": "jsonfg"}).json()
    times = [feature["time"] for feature in page["features"]]
    assert times == [{"date": "2015-03-01"}, {"date": "2020-08-15"}, None]
    answer = client.get("/collections/poi/items", params={"f": "jsonfg"})
    assert "حرم حضرت معصومه" in answer.text
    frame = _by_gdal(answer, tmp_path, "json")
    assert frame["name_fa"].iloc[0] == "حرم حضرت معصومه"
    assert frame["name_en"].iloc[1] == "O'Brien's <b>Grill</b>"


def test_one_feature_and_pages(client: TestClient) -> None:
    single = client.get(f"{PARCELS}/1", headers={"accept": FG})
    assert single.headers["content-type"] == FG
    assert list(single.json())[:2] == ["conformsTo", "featureType"]
    assert single.json()["place"]["coordinates"][0][0][0] == [490020, 3830000]
    page = client.get(PARCELS, params={"f": "jsonfg", "limit": 4}).json()
    seen = [feature["id"] for feature in page["features"]]
    while following := [link for link in page["links"] if link["rel"] == "next"]:
        assert following[0]["type"] == FG
        page = client.get(following[0]["href"]).json()
        seen += [feature["id"] for feature in page["features"]]
    assert seen == list(range(1, 11))
    assert page["numberMatched"] == 10


def test_versions_tell_how_long_they_held(client: TestClient) -> None:
    asked = {"datetime": "2000-01-01/.."}
    placed = client.get(PARCELS, params={**asked, "f": "jsonfg"}).json()["features"]
    plain = client.get(PARCELS, params=asked).json()["features"]
    assert [one["time"] for one in placed] == [one["time"] for one in plain]
    assert all(len(one["time"]["interval"]) == 2 for one in placed)
    assert placed[0]["place"]["coordinates"][0][0][0] == [490020, 3830000]


def test_without_a_place(client: TestClient) -> None:
    page = client.get(PARCELS, params={"f": "jsonfg", "skipGeometry": "true", "limit": 1}).json()
    assert "coordRefSys" not in page
    assert page["features"][0]["place"] is None


@pytest.mark.parametrize("crs", [UTM, EPSG4326, CRS84])
@pytest.mark.parametrize("collection", ["parcels", "poi", "plan-road-lines", "plan-documents"])
def test_gml_is_what_the_pages_say(
    client: TestClient, tmp_path: Path, collection: str, crs: str
) -> None:
    address = f"/collections/{collection}/items"
    answer = client.get(address, params={"f": "gml", "crs": crs})
    assert answer.headers["content-type"].startswith("application/gml+xml")
    features = client.get(address, params={"limit": 1000}).json()["features"]
    assert answer.headers["ogc-numbermatched"] == str(len(features))
    frame = _by_gdal(answer, tmp_path, "gml").sort_values("id")
    across = Transformer.from_crs("OGC:CRS84", frame.crs, always_xy=True)
    assert list(frame["id"]) == [feature["id"] for feature in features]
    for (_, row), feature in zip(frame.iterrows(), features, strict=True):
        for name, value in feature["properties"].items():
            if value is not None and name in row.index:
                found = row[name]
                same = str(found)[:10] == value[:10] if hasattr(found, "isoformat") else (
                    found == value or str(found).lower() == str(value).lower()
                )  # fmt: skip
                assert same, (name, found, value)
        told = shapely.from_geojson(json.dumps(feature["geometry"]))
        nearly = 0.01 if crs == UTM else 1e-7
        moved = shapely.transform(told, across.transform, interleaved=False)
        assert shapely.hausdorff_distance(row.geometry, moved) < nearly


def test_gml_has_the_axes_of_its_crs(client: TestClient) -> None:
    text = client.get(PARCELS, params={"f": "gml", "limit": 1, "crs": EPSG4326}).text
    assert EPSG4326 in text
    first = text.split("<gml:posList>")[1].split()[:2]
    assert [round(float(number)) for number in first] == [35, 51]
    assert EPSG4326 in text


@pytest.mark.parametrize("collection", ["parcels", "poi", "plan-road-lines"])
def test_gml_has_an_application_schema(client: TestClient, tmp_path: Path, collection: str) -> None:
    """Simple features level 0, at the address that the document names: with it GDAL knows the
    types, and a number is no text."""
    path = f"http://makan.test/collections/{collection}"
    text = client.get(f"/collections/{collection}/items", params={"f": "gml"}).text
    named, location = text.split('xsi:schemaLocation="')[1].split('"')[0].split()[:2]
    assert named == path
    schema = client.get(location)
    assert schema.headers["content-type"].startswith("application/xml")
    tree = ET.fromstring(schema.text)
    assert tree.get("targetNamespace") == path
    level = tree.find(".//{http://www.opengis.net/gmlsf/2.0}ComplianceLevel")
    assert level is not None
    assert level.text == "0"
    told = {one.get("name") for one in tree.iter("{http://www.w3.org/2001/XMLSchema}element")}
    feature = client.get(f"/collections/{collection}/items", params={"limit": 1}).json()
    assert feature["features"][0]["properties"].keys() <= told
    (tmp_path / "made.gml").write_text(text)
    (tmp_path / "made.xsd").write_text(schema.text)
    info = pyogrio.read_info(tmp_path / "made.gml", XSD=str(tmp_path / "made.xsd"))
    types = dict(zip(info["fields"], info["dtypes"], strict=True))
    assert types["id"] == "int64"
    assert client.get("/collections/zone-rules/schema", params={"f": "xsd"}).status_code == 400


def test_gml_is_cut_by_filters_and_has_a_next(client: TestClient) -> None:
    asked = {"f": "gml", "limit": 2, "filter": "land_use = 'residential'"}
    answer = client.get(PARCELS, params=asked)
    assert answer.text.count("<city:featureMember>") == 2
    assert 'rel="next"' in answer.headers["link"]
    frame = pyogrio.read_dataframe(io.BytesIO(answer.content))
    assert set(frame["land_use"]) == {"residential"}
    assert client.get("/collections/zone-rules/items", params={"f": "gml"}).status_code == 400
