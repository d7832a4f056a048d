"""The catalogue: what is published, as records that are found by word, kind, place and time."""

from __future__ import annotations

import json
from typing import Any

import cql2
import pytest
import shapely
from starlette.testclient import TestClient

PATH = "/collections/catalogue"
CORE = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"


def _ids(client: TestClient, **asked: str) -> list[str]:
    answer = client.get(f"{PATH}/items", params={"limit": "1000", **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    page = answer.json()
    assert page["numberMatched"] == page["numberReturned"] == len(page["features"])
    return [record["id"] for record in page["features"]]


@pytest.mark.proves(
    "ogcapi-records-1/1.0/conf/record-core", "ogcapi-records-1/1.0/conf/record-collection",
    "ogcapi-records-1/1.0/conf/record-api", "ogcapi-records-1/1.0/conf/records-api",
    "ogcapi-records-1/1.0/conf/searchable-catalog", "ogcapi-records-1/1.0/conf/json",
)  # fmt: skip
def test_every_collection_and_process_has_a_record(client: TestClient) -> None:
    """Record core: what each must have; its links lead to what it tells of."""
    collections = client.get("/collections?f=json").json()["collections"]
    (catalogue,) = [one for one in collections if one.get("itemType") == "record"]
    assert client.get(f"{PATH}?f=json").json()["links"] == catalogue["links"]
    landing = client.get("/?f=json").json()["links"]
    (link,) = [one for one in landing if one["rel"].endswith("/ogc-catalog")]
    assert client.get(link["href"]).json()["id"] == catalogue["id"]
    processes = client.get("/processes?f=json").json()["processes"]
    expected = [one["id"] for one in (*collections, *processes) if one is not catalogue]
    assert sorted(_ids(client)) == sorted(expected)
    for record in client.get(f"{PATH}/items?limit=1000").json()["features"]:
        assert record.keys() >= {"id", "type", "geometry", "time", "properties", "links"}
        assert record["conformsTo"] == [CORE]
        assert record["properties"]["type"] in ("dataset", "document", "service")
        assert record["properties"]["title"]
        about = next(one["href"] for one in record["links"] if one["rel"] == "about")
        assert client.get(about, params={"f": "json"}).json()["id"] == record["id"]
        single = client.get(f"{PATH}/items/{record['id']}").json()
        assert single["properties"] == record["properties"]
        assert {one["rel"] for one in single["links"]} >= {"self", "collection", "about"}
    assert client.get(f"{PATH}/items/nothing").status_code == 404


@pytest.mark.proves("ogcapi-records-1/1.0/conf/record-core-query-parameters")
def test_words_are_found_in_both_languages(client: TestClient) -> None:
    """However they are spelt; a comma means or, words with blanks between stand in this order."""
    assert "parcels" in _ids(client, q="قطعات ملكي")  # with an Arabic kaf and yeh
    assert "parcels" in _ids(client, q="PARCELS", lang="fa")
    assert "parcels" in _ids(client, q="nothing-like-it,parcels")
    assert _ids(client, q="parcels nothing-like-it") == []
    assert "parcel-plan" in _ids(client, q="facts  of parcels")
    assert "parcel-plan" not in _ids(client, q="parcels of facts")
    assert set(_ids(client, q="streets")) < set(_ids(client, q="streets,parcels"))


@pytest.mark.proves("ogcapi-records-1/1.0/conf/record-core-query-parameters")
def test_what_is_given_empty_counts_as_not_given(client: TestClient) -> None:
    empty = dict.fromkeys(("q", "type", "ids", "externalIds", "bbox", "datetime"), "")
    assert _ids(client, **empty) == _ids(client)
    assert client.get(f"{PATH}/items?limit=&bbox=").status_code == 200


def test_properties_are_asked_for_by_their_value(client: TestClient) -> None:
    record = client.get(f"{PATH}/items/parcels?lang=en").json()["properties"]
    assert _ids(client, title=record["title"], lang="en") == ["parcels"]
    assert _ids(client, title=record["title"], type="service", lang="en") == []
    assert set(_ids(client, license=record["license"])) == set(_ids(client))
    assert _ids(client, license="none") == []
    queryables = client.get(f"{PATH}/queryables")
    assert queryables.headers["content-type"] == "application/schema+json"
    assert set(queryables.json()["properties"]) >= {"title", "type", "license"}


@pytest.mark.proves("ogcapi-records-1/1.0/conf/sorting")
def test_records_are_sorted_by_what_is_asked(client: TestClient) -> None:
    about = client.get(f"{PATH}?f=json").json()
    (link,) = [one for one in about["links"] if one["rel"].endswith("/sortables")]
    answer = client.get(link["href"])
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    assert schema["$id"] == link["href"]
    assert schema["$schema"] == "https://json-schema.org/draft/2019-09/schema"
    assert schema["type"] == "object"
    assert all(one["type"] == "string" for one in schema["properties"].values())
    assert {one["field"] for one in about["defaultSortOrder"]} <= set(schema["properties"])
    ids = _ids(client, sortby="id")
    assert ids == sorted(ids)
    assert _ids(client, sortby="+id") == ids
    assert _ids(client, sortby="-id") == ids[::-1]
    page = client.get(f"{PATH}/items?sortby=-type,title&lang=en&limit=1000").json()
    keys = [(one["properties"]["type"], one["properties"]["title"].lower())
            for one in page["features"]]  # fmt: skip
    assert [kind for kind, _ in keys] == sorted((kind for kind, _ in keys), reverse=True)
    for kind in {kind for kind, _ in keys}:
        titles = [title for one, title in keys if one == kind]
        assert titles == sorted(titles)
    page = client.get(f"{PATH}/items?sortby=title&lang=fa&limit=1000").json()
    first = [one["properties"]["title"][0] for one in page["features"]]
    letters = "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی"
    found = [letters.index(letter) for letter in first if letter in letters]
    assert found == sorted(found)
    assert len(found) > 20
    assert client.get(f"{PATH}/items?sortby=nothing").status_code == 400


def test_kinds_places_and_times(client: TestClient) -> None:
    datasets = _ids(client, type="dataset")
    assert set(datasets) | set(_ids(client, type="service,document")) == set(_ids(client))
    assert "parcels" in datasets
    assert _ids(client, ids="parcels,poi") == ["parcels", "poi"] or set(
        _ids(client, ids="parcels,poi")
    ) == {"parcels", "poi"}
    assert _ids(client, externalIds="x") == []
    record = client.get(f"{PATH}/items/parcels").json()
    west, south, east, north = shapely.geometry.shape(record["geometry"]).bounds
    inside = f"{west},{south},{east},{north}"
    assert "parcels" in _ids(client, bbox=inside)
    assert _ids(client, bbox="1,1,2,2") == []
    assert "plan-documents" in _ids(client, datetime="2016-01-01")
    assert "plan-documents" not in _ids(client, datetime="../2000-01-01")


@pytest.mark.proves("ogcapi-records-1/1.0/conf/filtering")
@pytest.mark.parametrize(
    ("asked", "some"),
    [
        ("type = 'dataset'", "parcels"),
        ("type <> 'dataset' AND id IN ('search', 'parcels')", "search"),
        ("title LIKE '%arcel%' AND NOT (type = 'service')", "parcels"),
        ("CASEI(title) = CASEI('PARCELS')", "parcels"),
        ("S_INTERSECTS(geometry, BBOX(50, 34, 51, 35))", "parcels"),
        ("geometry IS NULL", "search"),
    ],
)
def test_records_are_filtered_by_cql2(client: TestClient, asked: str, some: str) -> None:
    """As features are, in text and in JSON, together with the other parameters."""
    found = _ids(client, filter=asked, lang="en")
    assert some in found
    assert set(found) < set(_ids(client))
    tree = cql2.parse_text(asked).to_json()
    as_json = {"filter": json.dumps(tree), "filter-lang": "cql2-json"}
    assert _ids(client, lang="en", **as_json) == found
    assert _ids(client, filter=asked, lang="en", ids="nothing") == []


@pytest.mark.proves("ogcapi-records-1/1.0/conf/filtering")
def test_where_a_record_lies_is_asked_in_any_crs(client: TestClient) -> None:
    inside, axes = "POLYGON((34.6 50.8, 34.6 51, 34.7 51, 34.7 50.8, 34.6 50.8))", "EPSG/0/4326"
    uri = f"http://www.opengis.net/def/crs/{axes}"
    asked = {"filter": f"S_INTERSECTS(geometry, {inside})", "filter-crs": uri}
    assert "parcels" in _ids(client, **asked)
    assert "parcels" not in _ids(client, filter="S_INTERSECTS(geometry, BBOX(1, 1, 2, 2))")
    names = client.get(f"{PATH}/queryables").json()["properties"]
    assert names.keys() == {"id", "title", "type", "license", "geometry"}
    assert "geometry" not in client.get(f"{PATH}/sortables").json()["properties"]


def test_pages(client: TestClient) -> None:
    seen: list[str] = []
    href = f"{PATH}/items?limit=7&type=dataset"
    while href:
        page = client.get(href).json()
        seen += [record["id"] for record in page["features"]]
        href = next((one["href"] for one in page["links"] if one["rel"] == "next"), "")
    assert seen == _ids(client, type="dataset")


@pytest.mark.parametrize(
    "asked",
    [
        "q=%ff",
        "limit=0",
        "bbox=1,2",
        "datetime=x",
        "nonsense=1",
        "filter=(",
        "filter=nonsense=1",
        "filter=nonsense(title)=1",
        "filter=title=1",
        "filter-lang=cql2-text",
        "filter-crs=x&filter=true",
    ],
)
def test_what_cannot_be_asked(client: TestClient, asked: str) -> None:
    assert client.get(f"{PATH}/items?{asked}").status_code == 400


@pytest.mark.proves("ogcapi-records-1/1.0/conf/html")
@pytest.mark.parametrize(("language", "word"), [("fa", "قطعات ملکی"), ("en", "Parcels")])
def test_pages_for_people(client: TestClient, language: str, word: str) -> None:
    for address in (f"{PATH}/items?q={word}", f"{PATH}/items/parcels?", f"{PATH}?"):
        page = client.get(f"{address}&f=html&lang={language}")
        assert page.status_code == 200
        assert word in page.text
        assert "collections/parcels" in page.text


@pytest.mark.proves("ogcapi-records-1/1.0/conf/oas30")
def test_it_is_documented(client: TestClient) -> None:
    paths: dict[str, Any] = client.get("/openapi?f=json").json()["paths"]
    asked = paths[f"{PATH}/items"]["get"]["parameters"]
    named = {one.get("name") for one in asked}
    assert {"q", "type", "ids", "externalIds", "limit", "sortby", "title"} <= named
    referred = {one.get("$ref", "").rsplit("/", 1)[-1] for one in asked}
    assert {"filter", "filter-lang", "filter-crs"} <= referred
