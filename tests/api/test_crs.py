"""Every advertised CRS: coordinates as pyproj computes them, axis order, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from pyproj import CRS, Transformer
from starlette.testclient import TestClient

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
#: SRID, whether the first axis points north, and a millimetre in its unit.
KNOWN = {
    CRS84: (4326, False, 1e-8),
    f"{EPSG}4326": (4326, True, 1e-8),
    f"{EPSG}32639": (32639, False, 1e-3),
    f"{EPSG}3857": (3857, False, 1.3e-3),
}
CORNER = (490_100.0, 3_830_000.0)


def _first_point(feature: dict[str, Any]) -> list[float]:
    found = feature["geometry"]["coordinates"][0][0][0]
    assert isinstance(found, list)
    return found


def test_the_collection_advertises_them(client: TestClient) -> None:
    collection = client.get("/collections/parcels?f=json").json()
    assert collection["crs"] == list(KNOWN)
    assert collection["storageCrs"] == f"{EPSG}32639"


@pytest.mark.parametrize("uri", KNOWN)
@pytest.mark.parametrize("way", ["items/5", "items?nosazi=1-12-45-5-0-0-0"])
def test_coordinates(client: TestClient, uri: str, way: str) -> None:
    srid, flipped, millimetre = KNOWN[uri]
    answer = client.get(
        f"/collections/parcels/{way}", params={"crs": uri} if "?" not in way else {}
    )
    if "?" in way:
        answer = client.get(f"/collections/parcels/{way}&crs={uri}")
    assert answer.headers["content-crs"] == f"<{uri}>"
    document = answer.json()
    feature = document if "?" not in way else document["features"][0]
    expected = Transformer.from_crs(32639, srid, always_xy=True).transform(*CORNER)
    if flipped:
        expected = (expected[1], expected[0])
    assert _first_point(feature) == pytest.approx(expected, abs=millimetre, rel=0)
    decimals = [len(str(number).partition(".")[2]) for number in _first_point(feature)]
    assert max(decimals) <= (8 if srid == 4326 else 3)


def test_the_default_is_longitude_first(client: TestClient) -> None:
    answer = client.get("/collections/parcels/items/5")
    lon, lat = _first_point(answer.json())
    assert (round(lon), round(lat)) == (51, 35)
    assert answer.headers["content-crs"] == f"<{CRS84}>"


@pytest.mark.parametrize("uri", KNOWN)
def test_a_box_in_the_crs_finds_the_parcel_again(client: TestClient, uri: str) -> None:
    feature = client.get("/collections/parcels/items/5", params={"crs": uri}).json()
    points = feature["geometry"]["coordinates"][0][0]
    middle = [sum(point[axis] for point in points[:4]) / 4 for axis in (0, 1)]
    box = ",".join(map(str, middle + middle))
    answer = client.get("/collections/parcels/items", params={"bbox": box, "bbox-crs": uri})
    assert [found["id"] for found in answer.json()["features"]] == [5]


@pytest.mark.parametrize("uri", KNOWN)
def test_a_filter_in_the_crs_finds_the_parcel_again(client: TestClient, uri: str) -> None:
    feature = client.get("/collections/parcels/items/5", params={"crs": uri}).json()
    a, b = (
        sum(p[axis] for p in feature["geometry"]["coordinates"][0][0][:4]) / 4 for axis in (0, 1)
    )
    asked = {"filter": f"S_CONTAINS(geometry, POINT({a} {b}))", "filter-crs": uri}
    answer = client.get("/collections/parcels/items", params=asked)
    assert [found["id"] for found in answer.json()["features"]] == [5]


def test_4326_is_north_first_in_the_registry() -> None:
    assert CRS.from_epsg(4326).axis_info[0].direction == "north"


@pytest.mark.parametrize(
    ("short", "uri"), [("[EPSG:32639]", f"{EPSG}32639"), ("[OGC:CRS84]", CRS84)]
)
def test_safe_curies_name_them_too(client: TestClient, short: str, uri: str) -> None:
    """OGC API - Maps has a CRS named by its URI or by a safe CURIE."""
    for path in ("/collections/parcels/items/5", "/collections/parcels/map?width=20&height=20"):
        one, other = (client.get(path, params={"crs": name}) for name in (short, uri))
        assert one.status_code == 200, one.text
        assert one.headers["content-crs"] == other.headers["content-crs"] == f"<{uri}>"
    refused = client.get("/collections/parcels/items", params={"crs": "[EPSG:9999]"})
    assert refused.status_code == 400
