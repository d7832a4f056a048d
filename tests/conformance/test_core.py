"""OGC API - Common 1 and 2, Features 1 and 2: their abstract tests, over HTTP.

Names of requirements stand beside what tests them (OGC 19-072, 20-024, 17-069r4, 18-058r1).
"""

from __future__ import annotations

from typing import Any

import pytest
import shapely
from openapi_spec_validator import validate
from pyproj import Transformer

from .conftest import ASKED, Api, check_links, links

COMMON, FEATURES = "ogcapi-common-1/1.0/conf", "ogcapi-features-1/1.0/conf"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
NOWHERE = "http://www.opengis.net/def/crs/EPSG/0/0"
EVERYWHERE = "-180,-90,180,90"


@pytest.mark.proves(
    f"{COMMON}/core", f"{COMMON}/landing-page", f"{COMMON}/json", f"{FEATURES}/core"
)
def test_landing_page(api: Api) -> None:
    """/conf/core/root-op, root-success, api-definition-op, conformance-op."""
    answer = api.get("/", f="json")
    assert answer.headers["content-type"] == "application/json"
    check_links(answer.json())
    for rel, kind in (("service-desc", OPENAPI), ("service-doc", "text/html")):
        (link,) = links(answer.json(), rel)
        assert link["type"] == kind
        found = api.get(link["href"])
        assert found.status_code == 200
        assert found.headers["content-type"].startswith(kind)
    for rel, path in (("conformance", "/conformance"), ("data", "/collections")):
        (link,) = links(answer.json(), rel)
        assert api.json(link["href"]) == api.json(path)


@pytest.mark.proves(f"{COMMON}/core", f"{FEATURES}/core")
def test_http_1_1_and_head(api: Api) -> None:
    """/conf/core/http; cross-origin requests are a recommendation."""
    answer = api.get("/")
    assert answer.http_version == "HTTP/1.1"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert api.client.head("/").headers["content-type"] == answer.headers["content-type"]


@pytest.mark.proves(f"{COMMON}/core", f"{COMMON}/json", f"{FEATURES}/core")
def test_conformance_declaration(api: Api) -> None:
    """/conf/core/conformance-success: a list of URIs, none twice."""
    found = api.json("/conformance")["conformsTo"]
    assert len(set(found)) == len(found)
    assert all(name.startswith("http") and "/conf/" in name for name in found)


@pytest.mark.proves(f"{COMMON}/oas30", f"{FEATURES}/oas30")
def test_api_definition(api: Api) -> None:
    """/conf/oas30: completeness, exceptions-codes, oas-definition."""
    if ASKED:  # the small city's is validated in tests/api/test_documents.py, which takes a while
        validate(api.openapi)
    for path, operations in api.openapi["paths"].items():
        for method, told in operations.items():
            if method == "get" and not path.startswith("/health"):
                assert {"200", "400"} <= told["responses"].keys(), path
    for name in api.collections:
        assert f"/collections/{name}" in api.openapi["paths"]


@pytest.mark.proves(f"{COMMON}/html", f"{FEATURES}/html")
@pytest.mark.parametrize("path", ["/", "/conformance", "/collections"])
def test_pages(api: Api, path: str) -> None:
    """/conf/html: every resource has a page, and the page leads to the same resources."""
    page = api.client.get(path, headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<html" in page.text
    if path == "/collections":
        assert all(f"collections/{name}" in page.text for name in api.collections)


@pytest.mark.proves("ogcapi-common-2/1.0/conf/collections", f"{FEATURES}/core")
def test_collections(api: Api) -> None:
    """fc-md-op, fc-md-success, fc-md-links, fc-md-items, fc-md-items-links, fc-md-extent,
    sfc-md-op, sfc-md-success."""
    check_links(api.json("/collections"))
    for name, told in api.collections.items():
        assert api.json(f"/collections/{name}") == told
        check_links(told)
        west, south, east, north = told["extent"]["spatial"]["bbox"][0]
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
        if "crs" in told:
            assert told["crs"][0] == CRS84
        if told.get("itemType") == "feature":
            offered = {link["type"]: link["href"] for link in links(told, "items")}
            assert {"application/geo+json", "text/html"} <= offered.keys()
            assert api.get(offered["application/geo+json"]).status_code == 200
    assert api.get("/collections/nothing-of-this-name").status_code == 404


@pytest.mark.proves(f"{FEATURES}/core", f"{FEATURES}/geojson")
def test_features(api: Api) -> None:
    """fc-op, fc-response, fc-links, fc-rel-type, numberMatched, numberReturned, f-op, f-success,
    f-links; GeoJSON content and its media type."""
    for one in api.features:
        path = f"/collections/{one['id']}/items"
        answer = api.get(path, f="json")
        assert answer.headers["content-type"] == "application/geo+json"
        page = answer.json()
        assert page["type"] == "FeatureCollection"
        check_links(page)
        assert {link["type"] for link in links(page, "alternate")} >= {"text/html"}
        assert page["numberReturned"] == len(page["features"]) <= page["numberMatched"]
        for feature in page["features"][:3]:
            single = api.json(f"{path}/{feature['id']}")
            check_links(single)
            (back,) = links(single, "collection")
            assert api.get(back["href"]).status_code == 200
            assert {key: single[key] for key in feature} == feature
            if feature["geometry"]:
                assert shapely.geometry.shape(feature["geometry"]).is_valid
        assert api.get(f"{path}/no-such-feature").status_code == 404


@pytest.mark.proves(f"{FEATURES}/html")
def test_pages_of_features(api: Api) -> None:
    for one in api.features[:2]:
        path = f"/collections/{one['id']}/items"
        first = api.json(path, limit=1)["features"][0]["id"]
        for address in (path, f"{path}/{first}"):
            page = api.get(address, f="html")
            assert page.headers["content-type"].startswith("text/html")
            assert f"items/{first}" in page.text


@pytest.mark.proves(f"{FEATURES}/core")
def test_limit_and_paging(api: Api) -> None:
    """fc-limit-definition, fc-limit-response, fc-links (next)."""
    for one in api.features:
        path = f"/collections/{one['id']}/items"
        limit = api.parameters(path)["limit"]
        assert limit["in"] == "query"
        assert not limit["required"]
        assert limit["style"] == "form"
        told = limit["schema"]
        assert told["type"] == "integer"
        assert told["minimum"] >= 1
        assert told["minimum"] <= told["default"] <= told["maximum"]
        page, seen = api.json(path, limit=2), []
        for _ in range(4):
            assert len(page["features"]) <= 2
            seen += [feature["id"] for feature in page["features"]]
            following = links(page, "next")
            if not following:
                assert len(seen) == page["numberMatched"]
                break
            page = api.json(following[0]["href"])
        assert len(set(seen)) == len(seen)
        assert api.get(path, limit=told["maximum"] + 1).status_code == 200
        assert all(api.get(path, limit=wrong).status_code == 400 for wrong in ("0", "-1", "x"))


@pytest.mark.proves(f"{FEATURES}/core")
def test_bbox(api: Api) -> None:
    """fc-bbox-definition, fc-bbox-response."""
    for one in api.shaped:
        path = f"/collections/{one['id']}/items"
        told = api.parameters(path)["bbox"]
        assert told["in"] == "query"
        assert not told["required"]
        assert told["style"] == "form"
        assert told["explode"] is False
        schema = told["schema"]
        assert (schema["type"], schema["items"]["type"]) == ("array", "number")
        assert (schema["minItems"], schema["maxItems"]) == (4, 6)
        every = api.json(path, limit=1)
        assert api.json(path, limit=1, bbox=EVERYWHERE)["numberMatched"] == every["numberMatched"]
        first = shapely.geometry.shape(every["features"][0]["geometry"])
        box = ",".join(str(number) for number in first.bounds)
        found = api.json(path, bbox=box)["features"]
        assert every["features"][0]["id"] in [feature["id"] for feature in found]
        area = shapely.box(*first.bounds).buffer(1e-8)
        assert all(area.intersects(shapely.geometry.shape(f["geometry"])) for f in found)
        extent = shapely.box(*one["extent"]["spatial"]["bbox"][0])
        assert all(extent.covers(shapely.geometry.shape(f["geometry"])) for f in found)
        for wrong in ("1,2,3", "a,b,c,d", "1,2,3,4,5", "10,50,5"):
            assert api.get(path, bbox=wrong).status_code == 400, wrong


@pytest.mark.proves(f"{FEATURES}/core")
def test_datetime(api: Api) -> None:
    """fc-time-definition, fc-time-response."""
    for one in api.features:
        path = f"/collections/{one['id']}/items"
        told = api.parameters(path)["datetime"]
        assert told["schema"]["type"] == "string"
        assert told["explode"] is False
        for good in ("2020-01-01", "2020-01-01T00:00:00Z", "../2020-01-01", "2020-01-01/.."):
            assert api.get(path, datetime=good, limit=1).status_code == 200, good
        for wrong in ("yesterday", "2020-13-01", "2021-01-01/2020-01-01", "../.."):
            assert api.get(path, datetime=wrong, limit=1).status_code in (200, 400), wrong
        assert api.get(path, datetime="yesterday").status_code == 400


@pytest.mark.proves(f"{FEATURES}/core")
def test_what_is_unknown_or_wrong_is_400(api: Api) -> None:
    """query-param-unknown, query-param-invalid."""
    paths = ["/", "/conformance", "/collections"]
    paths += [f"/collections/{one['id']}{part}" for one in api.features for part in ("", "/items")]
    for path in paths:
        answer = api.get(path, nothing_of_this_name="1")
        assert answer.status_code == 400, path
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.proves("ogcapi-features-2/1.0/conf/crs")
def test_crs_of_collections(api: Api) -> None:
    """crs-uri, fc-md-crs-list, fc-md-storageCrs, fc-md-storageCrs-valid-value."""
    assert api.shaped
    for one in api.shaped:
        assert one["crs"][0] == CRS84
        assert one["storageCrs"] in one["crs"]
        assert all(uri.startswith("http://www.opengis.net/def/crs/") for uri in one["crs"])


def _srid(uri: str) -> str:
    return "OGC:CRS84" if uri == CRS84 else f"EPSG:{uri.rsplit('/', 1)[1]}"


def _bounds(feature: Any) -> Any:
    return shapely.geometry.shape(feature["geometry"]).bounds


@pytest.mark.proves("ogcapi-features-2/1.0/conf/crs")
def test_features_in_each_crs(api: Api) -> None:
    """fc-crs-definition, fc-crs-action, fc-crs-default-value, fc-crs-valid-value, ogc-crs-header,
    geojson: axes in the order of the CRS, as PROJ knows it."""
    for one in api.shaped:
        path = f"/collections/{one['id']}/items"
        assert api.get(path, limit=1).headers["content-crs"] == f"<{CRS84}>"
        plain = api.json(path, limit=1)["features"][0]
        shape = shapely.geometry.shape(plain["geometry"])
        for uri in one["crs"]:
            across = Transformer.from_crs("OGC:CRS84", _srid(uri)).transform
            wanted = shapely.transform(shape, across, interleaved=False).bounds
            for address in (path, f"{path}/{plain['id']}"):
                answer = api.get(address, crs=uri, **({"limit": 1} if address == path else {}))
                assert answer.headers["content-crs"] == f"<{uri}>"
                found = answer.json()
                found = found["features"][0] if address == path else found
                nearly = 2.0 if abs(wanted[0]) > 180 else 2e-5
                assert _bounds(found) == pytest.approx(wanted, abs=nearly), (one["id"], uri)
        for address in (path, f"{path}/{plain['id']}"):
            assert api.get(address, crs=NOWHERE).status_code == 400


@pytest.mark.proves("ogcapi-features-2/1.0/conf/crs")
def test_boxes_in_each_crs(api: Api) -> None:
    """fc-bbox-crs-definition, -action, -default-value, -valid-value."""
    for one in api.shaped:
        path = f"/collections/{one['id']}/items"
        for uri in one["crs"]:
            first = api.json(path, limit=1, crs=uri)["features"][0]
            box = ",".join(f"{number:.9f}" for number in _bounds(first))
            found = api.json(path, bbox=box, bbox_crs=uri)["features"]
            assert first["id"] in [feature["id"] for feature in found], (one["id"], uri)
            # A box far away, in the same CRS, holds none of it.
            assert api.json(path, bbox="1,1,1.1,1.1", bbox_crs=uri)["features"] == []
        assert api.get(path, bbox=EVERYWHERE, bbox_crs=NOWHERE).status_code == 400
