"""Documents about the service: OpenAPI, conformance, schemas, and pages without a foreign host."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft201909Validator
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas

PAGES = [
    "/",
    "/collections",
    "/collections/parcels",
    "/collections/parcels/items",
    "/collections/parcels/items/1",
    "/collections/parcels/schema",
    "/collections/parcels/queryables",
    "/collections/parcels/tiles",
    "/collections/parcels/tiles/WebMercatorQuad",
    "/collections/zone-rules/items",
    "/conformance",
    "/openapi",
    "/TileMatrixSets",
    "/TileMatrixSets/WebMercatorQuad",
    "/nothing",
]
LOADED = re.compile(r"""(?:src|action)=["']([^"']+)|<link[^>]+href=["']([^"']+)""")


@pytest.fixture(scope="module")
def openapi(client: TestClient) -> dict[str, Any]:
    answer = client.get("/openapi", headers={"accept": "application/json"})
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.defect("1.3-refs", "clients-13")
def test_openapi_is_valid_and_refers_to_itself_alone(openapi: dict[str, Any]) -> None:
    validate(openapi)
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(openapi))
    assert references
    assert all(reference.startswith("#/") for reference in references)


@pytest.mark.defect("clients-4")
def test_openapi_says_to_qgis_how_long_pages_are(openapi: dict[str, Any]) -> None:
    limit = openapi["components"]["parameters"]["limit"]["schema"]
    assert limit["default"] >= 1000
    assert limit["maximum"] == 10_000


def _parameters(openapi: dict[str, Any], path: str) -> dict[str, dict[str, Any]]:
    found = {}
    for parameter in openapi["paths"][path]["get"]["parameters"]:
        if "$ref" in parameter:
            name = parameter["$ref"].rsplit("/", 1)[-1]
            parameter = openapi["components"]["parameters"][name]
        found[parameter["name"]] = parameter
    return found


@pytest.mark.defect("Q2")
def test_every_parameter_of_items_is_declared_and_no_other_works(
    openapi: dict[str, Any], client: TestClient, schemas: Schemas
) -> None:
    declared = _parameters(openapi, "/collections/parcels/items")
    problem = client.get("/collections/parcels/items?nonsense=1").json()["detail"]
    known = set(problem.split("known are ", 1)[1].split(", "))
    assert known == set(declared)
    layer = schemas.layer("parcel")
    for field in schemas.audience("public").fields(layer):
        parameter = declared[schemas.city.published(field.name)]
        assert (parameter["style"], parameter["explode"]) == ("form", False)
    assert declared["limit"]["schema"]["default"] == layer.publish.default_limit
    assert declared["limit"]["schema"]["maximum"] == layer.publish.max_limit


def test_every_path_without_placeholders_answers(
    openapi: dict[str, Any], client: TestClient
) -> None:
    for path, operations in openapi["paths"].items():
        # Questions need inputs: tests/answers asks each with its example.
        if "{" in path or path.endswith("/execution") or path in ("/wms", "/wmts"):
            continue
        if "get" in operations:
            assert client.get(path).status_code == 200, path


@pytest.mark.defect("clients-5")
def test_conformance_is_what_qgis_looks_for(client: TestClient) -> None:
    classes = client.get("/conformance?f=json").json()["conformsTo"]
    wanted = [
        "ogcapi-features-3/1.0/conf/filter",
        "ogcapi-features-3/1.0/conf/features-filter",
        "ogcapi-features-5/1.0/conf/schemas",
        "cql2/1.0/conf/cql2-text",
        "cql2/1.0/conf/cql2-json",
        "cql2/1.0/conf/basic-cql2",
        "cql2/1.0/conf/advanced-comparison-operators",
        "cql2/1.0/conf/case-insensitive-comparison",
        "cql2/1.0/conf/basic-spatial-operators",
        "cql2/1.0/conf/basic-spatial-functions",
        "ogcapi-tiles-1/1.0/conf/mvt",
    ]
    assert {f"http://www.opengis.net/spec/{name}" for name in wanted} <= set(classes)
    assert not [name for name in classes if "features-4" in name]  # nothing can be written
    assert not [name for name in classes if "coverages" in name]  # no raster is loaded


@pytest.mark.parametrize("name", ["schema", "queryables"])
@pytest.mark.defect("titles")
def test_schemas_speak_both_languages(client: TestClient, name: str, schemas: Schemas) -> None:
    address = f"/collections/parcels/{name}"
    for language in ("fa", "en"):
        answer = client.get(f"{address}?f=json&lang={language}")
        assert answer.headers["content-type"] == "application/schema+json"
        document = answer.json()
        Draft201909Validator.check_schema(document)
        properties = document["properties"]
        use = properties["land_use"]
        codes = schemas.codelists["land_use"]
        assert use["title"] == schemas.layer("parcel").field("land_use").title.of(language)
        assert use["enum"] == list(codes.codes)
        titles = [option["title"] for option in use["oneOf"]]
        assert titles == [text.of(language) for text in codes.entries.values()]
        assert properties["area_grid_m2"]["x-ogc-unit"] == "m2"
        assert properties["geometry"]["format"] == "geometry-multipolygon"
        assert properties["geometry"]["x-ogc-role"] == "primary-geometry"
        assert properties["id"]["x-ogc-role"] == "id"
    assert (
        client.get(f"{address}?f=json", headers={"accept-language": "en-GB,fa;q=0.5"}).json()[
            "properties"
        ]["land_use"]["title"]
        == "Land use (existing)"
    )


@pytest.mark.defect("clients-11")
def test_features_are_what_the_schema_says(client: TestClient) -> None:
    for name in ("parcels", "poi", "buildings", "plan-documents", "plan-road-lines"):
        schema = client.get(f"/collections/{name}/schema?f=json").json()
        features = client.get(f"/collections/{name}/items?f=json").json()["features"]
        assert features
        expected = [key for key in schema["properties"] if key not in ("id", "geometry")]
        validator = Draft201909Validator({**schema, "required": []})
        for feature in features:
            assert list(feature["properties"]) == expected
            given = {k: v for k, v in feature["properties"].items() if v is not None}
            validator.validate(given)


def test_time_of_a_collection(client: TestClient) -> None:
    found = client.get("/collections/plan-documents?f=json").json()
    assert found["extent"]["temporal"]["interval"][0][0].startswith("2015-03-01")
    schema = client.get("/collections/plan-documents/schema?f=json").json()
    assert schema["properties"]["approval_date"]["x-ogc-role"] == "primary-instant"


def test_extent_is_that_of_the_data(client: TestClient) -> None:
    box = client.get("/collections/parcels?f=json").json()["extent"]["spatial"]["bbox"][0]
    features = client.get("/collections/parcels/items?f=json").json()["features"]
    points = [p for f in features for p in f["geometry"]["coordinates"][0][0]]
    assert box == pytest.approx(
        [
            min(p[0] for p in points),
            min(p[1] for p in points),
            max(p[0] for p in points),
            max(p[1] for p in points),
        ],
        abs=1e-6,
    )


@pytest.mark.parametrize("language", ["fa", "en"])
@pytest.mark.parametrize("address", PAGES)
@pytest.mark.defect("1.3-assets", "clients-2")
def test_a_page_loads_nothing_from_elsewhere(
    client: TestClient, address: str, language: str
) -> None:
    answer = client.get(f"{address}?f=html&lang={language}")
    assert answer.status_code == (404 if address == "/nothing" else 200)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    page = answer.text
    for source, sheet in LOADED.findall(page):
        found = source or sheet
        assert not re.match(r"(https?:)?//", found) or found.startswith("http://makan.test"), found
    assert "None" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_links_of_documents_lead_somewhere(client: TestClient) -> None:
    for address in ("/?f=json", "/collections?f=json", "/collections/parcels?f=json",
                    "/collections/parcels/items?f=json&limit=2"):  # fmt: skip
        document = client.get(address).json()
        for link in document["links"]:
            if link["rel"] == "license" or not link["href"].startswith("http://makan.test"):
                continue
            assert "{" in link["href"] or client.get(link["href"]).status_code == 200, link


@pytest.mark.defect("1.3-health")
def test_health(client: TestClient) -> None:
    for name in ("live", "ready"):
        answer = client.get(f"/health/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"


def test_static_files(client: TestClient) -> None:
    answer = client.get("/static/css/makan.css")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")


def test_descriptions_are_kept_by_language_and_format(client: TestClient) -> None:
    """The first who asks must not decide in what language the next is answered."""
    for _ in range(2):
        for language, title in (("fa", "قطعات ملکی"), ("en", "Parcels")):
            for given, accepted in (
                ({"lang": language}, ""),
                ({}, f"{language}-XX,{language};q=0.9,de;q=0.8"),
            ):
                headers = {"accept-language": accepted} if accepted else {}
                answer = client.get("/collections/parcels", params=given, headers=headers)
                assert answer.json()["title"] == title
                page = client.get(
                    "/collections/parcels", params={**given, "f": "html"}, headers=headers
                )
                assert f'<html lang="{language}"' in page.text
    assert client.get("/collections?f=xml").status_code == 400
    assert client.get("/collections?f=jsonld").headers["content-type"] == "application/ld+json"


def _persian(text: str) -> list[str]:
    return re.findall("[\u0600-\u06ff]+", text)


def test_texts_follow_the_reader(client: TestClient, schemas: Schemas) -> None:
    licence = schemas.city.licence
    for language in ("fa", "en"):
        found = client.get(f"/collections/parcels?f=json&lang={language}").json()
        (link,) = [link for link in found["links"] if link["rel"] == "license"]
        assert link["title"] == licence.of(language)
        page = client.get(f"/collections/parcels?f=html&lang={language}").text
        assert licence.of(language) in page
        tilejson = client.get(
            f"/collections/parcels/tiles/WebMercatorQuad?f=tilejson&lang={language}"
        ).json()
        title = schemas.layer("parcel").field("land_use").title.of(language)
        assert tilejson["vector_layers"][0]["fields"]["land_use"] == title
        missing = client.get(f"/collections/nothing?f=html&lang={language}")
        assert missing.status_code == 404
        assert f'<html lang="{language}"' in missing.text


def test_no_persian_in_english_documents(client: TestClient) -> None:
    for address in (
        "/?f=json",
        "/collections?f=json",
        "/collections/parcels?f=json",
        "/collections/parcels/schema?f=json",
        "/collections/parcels/queryables?f=json",
        "/collections/parcels/tiles?f=json",
        "/collections/parcels/tiles/WebMercatorQuad?f=json",
        "/collections/parcels/items?f=json&resulttype=hits",
    ):
        text = client.get(f"{address}&lang=en").text
        # Keywords are for searching, in both languages.
        assert not _persian(re.sub(r'"keywords":\[[^]]*\]', "", text)), address


def test_the_openapi_document_is_in_english(openapi: dict[str, Any]) -> None:
    assert not _persian(json.dumps(openapi, ensure_ascii=False))
    assert openapi["info"]["title"] == "Spatial data of Qom"
    assert openapi["info"]["license"]["name"] == "Internal use of the municipality"
