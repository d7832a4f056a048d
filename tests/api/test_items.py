"""/items and /items/{id}: pages, formats, parameters, and every bad input with its answer."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import shapely
from starlette.testclient import TestClient

from pipeline.serve import crs

PARCELS = "/collections/parcels/items"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


def _link(document: dict[str, Any], rel: str) -> str | None:
    return next((link["href"] for link in document["links"] if link["rel"] == rel), None)


def _walk(client: TestClient, address: str) -> tuple[list[int], list[int]]:
    """All ids by following next, and the sizes of the pages."""
    ids: list[int] = []
    sizes: list[int] = []
    following: str | None = address
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["numberReturned"] == len(page["features"])
        assert page["numberMatched"] == 10
        assert answer.headers["ogc-numbermatched"] == "10"
        ids += [feature["id"] for feature in page["features"]]
        sizes.append(len(page["features"]))
        following = _link(page, "next")
        assert ('rel="next"' in answer.headers["link"]) == (following is not None)
    return ids, sizes


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1] * 10), (3, [3, 3, 3, 1]), (5, [5, 5]), (10, [10]), (11, [10])]
)
@pytest.mark.defect("Q7", "clients-10")
def test_pages_are_the_table_once_and_the_last_has_no_next(
    client: TestClient, limit: int, sizes: list[int]
) -> None:
    ids, found = _walk(client, f"{PARCELS}?limit={limit}")
    assert ids == list(range(1, 11))
    assert found == sizes


@pytest.mark.parametrize(
    "sortby",
    [
        "land_use",
        "-land_use",
        "land_use,-nosazi",
        "-block_code,land_use",
        "-id",
        "+national_reference",
    ],
)
def test_pages_of_a_sorted_table(client: TestClient, sortby: str) -> None:
    whole, _ = _walk(client, f"{PARCELS}?limit=10&sortby={quote(sortby)}")
    assert sorted(whole) == list(range(1, 11))
    for limit in (1, 3, 4):
        pages, _ = _walk(client, f"{PARCELS}?limit={limit}&sortby={quote(sortby)}")
        assert pages == whole


def test_sorting_sorts(client: TestClient) -> None:
    features = client.get(f"{PARCELS}?sortby=-land_use,%2Bnosazi").json()["features"]
    uses = [feature["properties"]["land_use"] for feature in features]
    assert uses == [None] * 2 + ["residential"] * 4 + ["park_green"] * 2 + ["commercial"] * 2
    plus = client.get(f"{PARCELS}?sortby=+land_use").json()["features"]
    assert plus[0]["properties"]["land_use"] == "commercial"


def test_offset_still_works_and_leads_back(client: TestClient) -> None:
    page = client.get(f"{PARCELS}?limit=3&offset=8").json()
    assert [feature["id"] for feature in page["features"]] == [9, 10]
    assert page["numberMatched"] == 10
    assert _link(page, "next") is None
    back = _link(page, "prev")
    assert back is not None
    assert [f["id"] for f in client.get(back).json()["features"]] == [6, 7, 8]
    assert client.get(f"{PARCELS}?offset=100").json()["features"] == []


@pytest.mark.defect("Q7")
def test_hits(client: TestClient) -> None:
    page = client.get(f"{PARCELS}?resulttype=hits&land_use=residential").json()
    assert page["numberMatched"] == 4
    assert page["features"] == []
    assert _link(page, "next") is None


@pytest.mark.defect("Q10")
def test_the_count_is_left_out_on_request_where_it_costs_something(client: TestClient) -> None:
    asked = f"{PARCELS}?limit=3&count=false&filter=id<9"
    answer = client.get(asked)
    page = answer.json()
    assert "numberMatched" not in page
    assert "ogc-numbermatched" not in answer.headers
    assert page["numberReturned"] == 3
    seen = [feature["id"] for feature in page["features"]]
    while following := _link(page, "next"):
        page = client.get(following).json()
        assert "numberMatched" not in page
        seen += [feature["id"] for feature in page["features"]]
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]
    for form in ("jsonfg", "html", "csv"):
        other = client.get(f"{asked}&f={form}")
        assert other.status_code == 200
        assert "ogc-numbermatched" not in other.headers
        assert '"numberMatched"' not in other.text
    # What is plain to see is told; the answer is the same when others have had it counted.
    assert client.get(f"{PARCELS}?limit=30&count=false&filter=id<8").json()["numberMatched"] == 7
    assert client.get(f"{PARCELS}?limit=3&filter=id<9").json()["numberMatched"] == 8
    assert client.get(asked).content == answer.content
    assert client.get(f"{PARCELS}?count=maybe").status_code == 400


def test_property_filters_are_typed(client: TestClient) -> None:
    def ids(collection: str, query: str) -> list[int]:
        found = client.get(f"/collections/{collection}/items?{query}").json()["features"]
        return [feature["id"] for feature in found]

    assert ids("parcels", "nosazi=1-12-45-7-0-0-0") == [7]
    assert ids("parcels", "land_use=commercial&block_code=1-12-45") == [2, 7]
    assert ids("parcels", "area_grid_m2=225.0") == list(range(1, 11))
    assert ids("buildings", "floors_above=3") == [3]
    assert ids("plan-road-lines", "widening_symmetric=true") == [1]
    assert ids("poi", "valid_from=2010-01-01") == [2]
    assert ids("poi", f"name_fa={quote('درمانگاه')}") == [4]
    assert ids("parcels", "land_use=") == []


@pytest.mark.defect("clients-12", "texts")
def test_json_is_strict_and_says_texts_as_they_are(client: TestClient) -> None:
    answer = client.get("/collections/poi/items")
    assert answer.headers["content-type"] == "application/geo+json"
    text = answer.content.decode()
    assert "حرم حضرت معصومه" in text
    assert "\\u" not in text
    assert "&lt;" not in text
    document = json.loads(text, parse_constant=pytest.fail)
    names = [feature["properties"]["name_en"] for feature in document["features"]]
    assert "O'Brien's <b>Grill</b>" in names


@pytest.mark.defect("Q5")
def test_formats_by_parameter_and_by_accept(client: TestClient) -> None:
    def kind(query: str, accept: str) -> str:
        answer = client.get(f"{PARCELS}?limit=1{query}", headers={"accept": accept})
        assert answer.status_code == 200
        return answer.headers["content-type"].split(";")[0]

    assert kind("", "application/geo+json, application/json") == "application/geo+json"
    assert kind("", "*/*") == "application/geo+json"
    assert (
        kind("", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8") == "text/html"
    )
    assert kind("", "text/html;q=0.1, application/json") == "application/geo+json"
    assert kind("&f=csv", "text/html") == "text/csv"
    assert kind("&f=json", "text/html") == "application/geo+json"


def test_csv(client: TestClient) -> None:
    answer = client.get("/collections/poi/items?f=csv&sortby=id")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["name_fa"] == "حرم حضرت معصومه"
    assert rows[1]["name_en"] == "O'Brien's <b>Grill</b>"
    assert rows[3]["valid_from"] == ""
    assert rows[0]["geometry"].startswith("POINT (50.8")
    assert "poi.csv" in answer.headers["content-disposition"]


@pytest.mark.defect("clients-3")
def test_html_in_both_languages(client: TestClient) -> None:
    for language, direction in (("fa", "rtl"), ("en", "ltr")):
        page = client.get(f"/collections/poi/items?f=html&lang={language}").text
        assert f'<html lang="{language}" dir="{direction}">' in page
        assert "&lt;b&gt;Grill" in page
        assert "<b>Grill" not in page
        single = client.get(f"/collections/poi/items/2?f=html&lang={language}").text
        assert f'dir="{direction}"' in single


def test_chosen_properties_and_no_geometry(client: TestClient) -> None:
    feature = client.get(f"{PARCELS}?limit=1&properties=land_use,nosazi").json()["features"][0]
    assert list(feature["properties"]) == ["nosazi", "land_use"]
    bare = client.get(f"{PARCELS}?limit=1&skipGeometry=true&properties=nosazi").json()["features"][
        0
    ]
    assert bare["geometry"] is None
    assert bare["id"] == 1
    assert client.get(f"{PARCELS}?limit=1&properties=").json()["features"][0]["properties"] == {}
    single = client.get(f"{PARCELS}/1?properties=nosazi&skipGeometry=true").json()
    assert single["geometry"] is None
    assert list(single["properties"]) == ["nosazi"]


def test_one_item(client: TestClient) -> None:
    answer = client.get(f"{PARCELS}/7")
    assert answer.headers["content-type"] == "application/geo+json"
    feature = answer.json()
    assert feature["id"] == 7
    assert feature["properties"]["nosazi"] == "1-12-45-7-0-0-0"
    assert {link["rel"] for link in feature["links"]} >= {"self", "alternate", "collection"}


@pytest.mark.parametrize(
    "name",
    ["99", "0", "-1", "abc", "1 or 1=1", "%201", "1.0", "%00", "01", str(2**63), "9" * 25, "١"],
)
def test_an_id_that_is_not_there(client: TestClient, name: str) -> None:
    assert client.get(f"{PARCELS}/{name}").status_code == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("datetime=2015-03-01", [1]),
        ("datetime=2015-03-01T00:00:00Z", [1]),
        ("datetime=2016-01-01/..", [2]),
        ("datetime=2016-01-01/", [2]),
        ("datetime=../2016-01-01", [1]),
        ("datetime=/2016-01-01", [1]),
        ("datetime=0000-01-01T00:00:00Z/2016-01-01T00:00:00Z", [1]),
        ("datetime=2016-01-01T00:00:00Z/9999-12-31T00:00:00Z", [2]),
        ("datetime=2015-01-01/2021-01-01", [1, 2]),
        ("datetime=1900-01-01/1901-01-01", []),
        ("datetime=../..", [1, 2]),
    ],
)
def test_datetime(client: TestClient, query: str, expected: list[int]) -> None:
    found = client.get(f"/collections/plan-documents/items?{query}").json()["features"]
    assert [feature["id"] for feature in found] == expected


def test_datetime_does_not_narrow_what_has_no_time(client: TestClient) -> None:
    assert client.get(f"{PARCELS}?datetime=1999-01-01").json()["numberMatched"] == 10


@pytest.mark.parametrize(
    "bbox",
    [
        "50.8,34.5,51,34.7",
        "50.8,34.5,0,51,34.7,100",
        "-180,-90,180,90",
        "170,-90,60,90",
    ],
)
@pytest.mark.defect("Q1")
def test_boxes_that_hold_everything(client: TestClient, bbox: str) -> None:
    found = client.get(f"{PARCELS}?bbox={bbox}")
    assert found.json()["numberMatched"] == 10


def test_boxes_that_hold_some(client: TestClient) -> None:
    def ids(box: str, srid: int = 32639) -> list[int]:
        named = quote(f"{EPSG}{srid}")
        found = client.get(f"{PARCELS}?bbox={box}&bbox-crs={named}").json()["features"]
        return [feature["id"] for feature in found]

    assert ids("490039,3829990,490076,3830001") == [2, 3]
    assert ids("490035,3829990,490039,3830100") == [1]  # touches its edge
    assert ids("490036,3829990,490039,3830100") == []
    assert ids("490045,3830005,490045,3830005") == [2]  # a point
    assert ids("490045,3830005,490065,3830005") == [2, 3]  # a line
    assert ids("0,0,1,1") == []


def test_a_box_takes_no_point_beyond_its_edge(client: TestClient) -> None:
    """Boxes as PostGIS compares them are a quarter of a metre wide of the mark."""

    def ids(edge: float) -> list[int]:
        box = f"490000,3829990,490300,{edge}"
        asked = f"/collections/poi/items?bbox={box}&bbox-crs={quote(EPSG + '32639')}"
        return [feature["id"] for feature in client.get(asked).json()["features"]]

    everything = [1, 2, 3, 4, 5]
    assert ids(3_830_007.5) == ids(3_830_007.51) == ids(3_830_007.76) == everything
    assert ids(3_830_007.49) == ids(3_830_007.375) == ids(3_830_007.26) == []


@pytest.mark.parametrize("number", [0.1, 3_832_989.2632, 3_832_989.25, 490_000.0, -7.3])
def test_a_box_rounded_inwards_stays_within(number: float) -> None:
    bounds = (number - 100.3, number - 50.7, number + 0.01, number + 30.4)
    shape = shapely.from_wkb(bytes.fromhex(crs.within(bounds, 32639)))
    assert shapely.get_srid(shape) == 32639
    assert shapely.box(*bounds).covers(shape)
    assert shape.area > shapely.box(*bounds).area * 0.98
    for edge in shape.bounds:
        assert edge == np.float32(edge)
    nothing = (number, number, number + 1e-9, number + 1e-9)
    assert shapely.from_wkb(bytes.fromhex(crs.within(nothing, 32639))).is_empty


BAD = [
    "foo=1",
    "Limit=5",
    "limit=0",
    "limit=-1",
    "limit=abc",
    "limit=1.5",
    "limit=",
    "limit=1&limit=2",
    "limit=99999999999999999999",
    "offset=-1",
    "offset=abc",
    "offset=9223372036854775808",
    "offset=1&cursor=x",
    "cursor=x",
    "cursor=W10",
    "cursor=%00",
    "bbox=1,2,3",
    "bbox=a,b,c,d",
    "bbox=NaN,NaN,NaN,NaN",
    "bbox=Infinity,1,2,3",
    "bbox=1e400,1,2,3",
    "bbox=50,35,51,34",
    "bbox=",
    "bbox=50,34,51,35&bbox-crs=http://example.org/4326",
    "bbox=50,34,51,35&bbox-crs=EPSG:4326%27",
    "bbox=50,34,51,35&bbox-crs=file:///etc/passwd",
    f"bbox-crs={quote(CRS84)}",
    "crs=junk",
    "crs=http://www.opengis.net/def/crs/EPSG/0/27700",
    "crs=%2Bproj%3Dlonglat",
    "datetime=yesterday",
    "datetime=2020",
    "datetime=" + "1" * 40,
    "datetime=2020-13-01",
    "datetime=2020-01-01/2019-01-01",
    "datetime=2020-01-01/2020-02-01/2020-03-01",
    "datetime=..",
    "datetime=",
    "resulttype=foo",
    "skipGeometry=maybe",
    "properties=no_such",
    "properties=nosazi,area_deed_m2",
    "sortby=no_such",
    "sortby=registration_plate",
    "sortby=nosazi,-nosazi",
    "sortby=",
    "sortby=--nosazi",
    "area_grid_m2=abc",
    "area_grid_m2=NaN",
    "area_grid_m2=1e999",
    "registration_plate=secret-1",
    "nosazi=%00",
    "nosazi=%ff",
    "f=xml",
    "f=",
    "lang=zz",
    "q=x",
]


@pytest.mark.parametrize("query", BAD)
@pytest.mark.defect("clients-8")
def test_bad_input_is_400_with_a_reason(client: TestClient, query: str) -> None:
    answer = client.get(f"{PARCELS}?{query}")
    assert answer.status_code == 400, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert problem["code"] == "InvalidParameterValue"
    assert problem["detail"] == problem["description"]
    assert "Traceback" not in answer.text


@pytest.mark.defect("Q1")
def test_wrong_types_name_the_property(client: TestClient) -> None:
    problem = client.get("/collections/buildings/items?floors_above=abc").json()
    assert "floors_above" in problem["detail"]
    assert "whole number" in problem["detail"]
    known = client.get(f"{PARCELS}?sortby=no_such").json()["detail"]
    assert "nosazi" in known
    assert "registration_plate" not in known


def test_a_limit_beyond_the_maximum_is_the_maximum(client: TestClient) -> None:
    assert client.get(f"{PARCELS}?limit=10001").json()["numberReturned"] == 10


def test_an_error_is_a_page_only_for_who_asks_for_pages(client: TestClient) -> None:
    browser = {"accept": "text/html,*/*;q=0.8"}
    for answer in (
        client.get(f"{PARCELS}?foo=1", headers=browser),
        client.get(f"{PARCELS}?limit=0&f=html"),
        client.get("/nothing/here", headers=browser),
    ):
        assert answer.status_code in (400, 404)
        assert answer.headers["content-type"].startswith("text/html")
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", [PARCELS, f"{PARCELS}/1", "/collections/parcels", "/"])
def test_nothing_can_be_written(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert "POST" not in answer.headers["allow"]


def test_options_and_head(client: TestClient) -> None:
    options = client.options(PARCELS)
    assert options.status_code == 204
    # A server that lists POST here is taken for editable by QGIS.
    assert "POST" not in options.headers["allow"]
    head = client.head(f"{PARCELS}?limit=1")
    assert head.status_code == 200
    assert head.headers["ogc-numbermatched"] == "10"
    assert head.content == b""


def test_browsers_of_other_sites_may_read(client: TestClient) -> None:
    preflight = client.options(
        PARCELS,
        headers={"origin": "http://map.example", "access-control-request-method": "GET"},
    )
    assert preflight.status_code == 204
    answer = client.get(f"{PARCELS}?limit=1", headers={"origin": "http://map.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-powered-by" not in answer.headers


@pytest.mark.defect("clients-12")
def test_long_answers_are_compressed_on_request(client: TestClient) -> None:
    answer = client.get(PARCELS, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["numberMatched"] == 10


@pytest.mark.parametrize(
    "path",
    [
        "/collections/nope", "/collections/nope/items", "/collections/nope/items/1",
        "/collections/parcels/nope", "/collections/parcels/items/1/x", "/collections/../etc/passwd",
        "/collections/%2e%2e/items", "/collections/parcels%00/items", "/collections/parcel/items",
        "/processes/hello-world", "/jobs", "/stac-api", "/admin/config",
        "/asyncapi", "/collections/parcels/coverage",
        "/collections/parcels/position", "/collections/parcels/area",
        "/collections/parcels/instances",
        "/collections/parcels/styles/x/map", "/static/../server.yml", "/TileMatrixSets/Nope",
        "/collections/'/items", "/collections/%FF", "/collections//items",
        "/collections/parcels//items",
    ],
)  # fmt: skip
def test_addresses_that_are_not_there(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404, (path, answer.status_code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_slash_at_the_end_changes_nothing(client: TestClient) -> None:
    assert client.get("/collections/").status_code == 200
    assert client.get(f"{PARCELS}/?limit=1").status_code == 200


def test_names_sort_by_the_alphabet_of_the_city_and_pages_fit(client: TestClient) -> None:
    """In the order of bytes the Persian چ stands after the Arabic letters."""
    address = "/collections/poi/items?sortby=name_fa"
    names = [f["properties"]["name_fa"] for f in client.get(address).json()["features"]]
    assert [name[0] for name in names] == ["چ", "ح", "د", "ر", "م"]
    assert [name[0] for name in sorted(names)] == ["ح", "د", "ر", "م", "چ"]
    for order in ("name_fa", "-name_fa"):
        address = f"/collections/poi/items?sortby={order}"
        whole = [f["id"] for f in client.get(address).json()["features"]]
        following: str | None = f"{address}&limit=1"
        pages = []
        while following:
            page = client.get(following).json()
            pages += [f["id"] for f in page["features"]]
            following = _link(page, "next")
        assert pages == whole
