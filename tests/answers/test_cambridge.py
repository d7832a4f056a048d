"""Real parcels of Cambridge, in feet, with their real zoning."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pytest
import shapely
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.settings import Settings
from pipeline.stages import load as loading

Serving = Callable[[Database, str], TestClient]
FILES = {
    "zoning_ordinance": "boundary/BOUNDARY_CityBoundary.geojson",
    "zoning": "zoning/CDD_ZoningDistricts.geojson",
    "address_blocks": "postcodes/ADDRESS_MasterAddressBlocks.geojson",
    "neighbourhoods": "boundary/BOUNDARY_CDDNeighborhoods.geojson",
    "parcels_shapefile": "derived/parcels_fy2014_epsg2249_feet.shp.zip",
}


@pytest.fixture(scope="module")
def cambridge_public(
    real_data: Any, cambridge_template: Settings, served: Serving
) -> Iterator[TestClient]:
    """The service for everybody over the real parcels and zones."""
    schemas = registry.load("cambridge")
    with testing.clone(cambridge_template) as database:
        for feed, name in FILES.items():
            context = loading.context_for(schemas, feed)
            path = real_data / "cambridge_ma" / name
            loading.load(database, path, context, batch_rows=50_000, progress=lambda *_: None)
        joins.derive(database, schemas)
        with served(database, "public") as client:
            yield client


def test_a_parcel_in_three_real_zones_closes_to_100_percent(cambridge_public: TestClient) -> None:
    """44-93 lies in three zones: areas as GeoPandas overlays them, a foot being 1200/3937 m."""
    found = cambridge_public.get(
        "/processes/parcel-passport/execution", params={"map_lot": "44-93"}
    ).json()
    zones = {z["zone_code"]: (z["area_m2"], z["share_pct"]) for z in found["zones"]}
    assert zones == {
        "MXD": (1593.37, 44.31),
        "O-2": (1339.92, 37.26),
        "C-2B": (662.92, 18.43),
    }
    assert found["zones_total_pct"] == 100.0
    assert sum(area for area, _ in zones.values()) == pytest.approx(
        found["areas"]["grid_m2"], abs=0.02
    )
    around = sum(corner["edge_m"] for corner in found["corners"])
    assert around == pytest.approx(found["perimeter_m"], abs=0.005 * len(found["corners"]) + 0.01)
    printed = cambridge_public.get(
        "/processes/parcel-passport/execution",
        params={"map_lot": "44-93", "f": "pdf", "lang": "en"},
    )
    text = pypdfium2.PdfDocument(printed.content)[0].get_textpage().get_text_range()
    pages = pypdfium2.PdfDocument(printed.content)
    whole = "\n".join(page.get_textpage().get_text_range() for page in pages)
    for code, (area, share) in zones.items():
        assert f"{code} {area:.2f}" in whole or (code in whole and f"{area:.2f}" in whole)
        assert f"{share:.2f}" in whole
    assert "100.00" in whole
    for wanted in ("44-93", "1593.37", "44.31", "Scale 1:5000", "EPSG:2249", "City of Cambridge"):
        assert wanted in text


#: What these files of the city say nothing of: cases, the ground's height, offices.
NOTHING = {
    "case-status": 404,
    "elevation-profile": 404,
    "line-of-sight": 404,
    "nearest-office": 404,
}


def test_the_form_of_each_process_is_filled_in_with_what_the_city_has(
    cambridge_public: TestClient,
) -> None:
    """Its page, its description and its refusals name no parcel of the model city."""
    listed = cambridge_public.get("/processes").json()["processes"]
    refused: dict[str, int] = {}
    for process in (one["id"] for one in listed):
        path = f"/processes/{process}"
        described = cambridge_public.get(path, params={"f": "json"}).json()
        asked = described["example"]["inputs"]
        page = html.unescape(cambridge_public.get(path, params={"f": "html", "lang": "en"}).text)
        dense: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}
        texts = {n: v if isinstance(v, str) else json.dumps(v, **dense) for n, v in asked.items()}
        for text in texts.values():
            assert text in page, (process, text)
        answer = cambridge_public.get(f"{path}/execution", params={**texts, "f": "json"})
        again = cambridge_public.post(f"{path}/execution", json={"inputs": asked})
        assert again.status_code == answer.status_code
        if answer.status_code != 200:
            refused[process] = answer.status_code
        elif process not in NOTHING:
            assert "1-12-45" not in json.dumps(asked)
    assert refused == NOTHING
    passport = {"inputs": {"map_lot": 7}}
    wrong = cambridge_public.post("/processes/parcel-passport/execution", json=passport).json()
    right = {"inputs": {"map_lot": wrong["example"]}}
    told = cambridge_public.post("/processes/parcel-passport/execution", json=right)
    assert told.status_code == 200


def test_a_block_of_a_city_whose_codes_tell_none_is_walked(cambridge_public: TestClient) -> None:
    """NOS-5: the parcels that have most of their ground in the block, as Shapely finds them."""
    described = cambridge_public.get("/processes/delivery-sequence", params={"f": "json"}).json()
    block = described["example"]["inputs"]["block_code"]
    feet = "http://www.opengis.net/def/crs/EPSG/0/2249"
    asked = {"f": "json", "crs": feet, "limit": 500}
    (drawn,) = _shapes(cambridge_public, "blocks", {**asked, "block_code": block}).values()
    box = ",".join(map(str, drawn.bounds))
    there = _shapes(cambridge_public, "parcels", {**asked, "bbox": box, "bbox-crs": feet})
    inside = {n for n, one in there.items() if one.intersection(drawn).area > 0.5 * one.area}
    path = "/processes/delivery-sequence/execution"
    found = cambridge_public.get(path, params={"block_code": block}).json()
    assert {one["parcel_id"] for one in found["parcels"]} == inside
    assert {one["block_code"] for one in found["parcels"]} == {block}
    along = [one["along_m"] for one in found["parcels"]]
    assert along == sorted(along)
    (walked,) = found["blocks"]
    ring = max((one.exterior for one in drawn.geoms), key=lambda one: one.length)
    assert walked["perimeter_m"] == pytest.approx(ring.length * 1200 / 3937, abs=0.02)
    printed = cambridge_public.get(path, params={"block_code": block, "f": "pdf", "lang": "en"})
    pages = pypdfium2.PdfDocument(printed.content)
    assert block in pages[0].get_textpage().get_text_range()


def _shapes(client: TestClient, collection: str, asked: dict[str, Any]) -> dict[int, Any]:
    """Features by their ids, as Shapely has them."""
    found = client.get(f"/collections/{collection}/items", params=asked).json()["features"]
    return {one["id"]: shapely.from_geojson(json.dumps(one["geometry"])) for one in found}
