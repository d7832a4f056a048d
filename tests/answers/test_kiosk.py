"""What kiosks and the portal's map ask (domain 1.4 and 1.5): one page, cases, projects, places."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.db.engine import Database

Asked = Callable[..., Any]
POSTCODE = "3715613947"
CASE = "پ/000001"
UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"


@pytest.mark.parametrize("language", ["fa", "en"])
def test_the_kiosks_page_needs_no_other_host(public: TestClient, language: str) -> None:
    """KIO-1: page, scripts, tiles and search come from this server; the browser is told so too."""
    page = public.get("/kiosk", params={"lang": language})
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|<link [^>]*href)="([^"]+)"', page.text)
    assert loaded
    assert all(one.startswith(("/static/", "http://makan.test/")) for one in loaded), loaded
    (told,) = re.findall(r'id="map-data">\s*({.*?})\s*</script>', page.text, re.DOTALL)
    address = json.loads(told)["tiles"]["url"]
    assert address.startswith("http://makan.test/")
    path = address.removeprefix("http://makan.test").format(z=15, y=13019, x=21014)
    tile = public.get(path)
    assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
    script = public.get("/static/js/kiosk.js").text
    assert not re.findall(r"https?://", script)
    for process in re.findall(r'ask\("([a-z-]+)"', script):
        assert public.get(f"/processes/{process}").status_code == 200, process
    hits = public.get("/processes/search/execution?q=کوچه ياس&f=json").json()["hits"]
    assert hits[0]["name"] == "کوچه یاس"


@pytest.fixture
def staged(sampled: Database) -> Iterator[None]:
    """The case of P7 was filed before it came to its stage of today."""
    with sampled.connect("owner") as connection:
        connection.execute(
            b"INSERT INTO history.case_file (id, case_system, case_no, case_type, case_stage, "
            b"opened_on, stage_on, parcel_code, run_id, source_line, ended_by, valid) "
            b"SELECT id, case_system, case_no, case_type, 'warned', opened_on, NULL, parcel_code, "
            b"run_id, 1, run_id, 'empty' FROM data.case_file WHERE case_no = '" + CASE.encode()
            + b"'"
        )  # fmt: skip
    yield
    with sampled.connect("owner") as connection:
        connection.execute(b"DELETE FROM history.case_file WHERE case_stage = 'warned'")


def test_a_case_is_followed_by_its_number_and_postcode(
    staged: None, public: TestClient, ask: Asked, query: Asked
) -> None:
    """KIO-2: names of stages and their days, and nothing else of the case."""
    found = ask(public, "case-status", case_no=CASE, postcode=POSTCODE)
    ((stage, opened, since),) = query(
        "SELECT case_stage, opened_on::text, stage_on::text FROM data.case_file WHERE case_no = %s",
        CASE,
    )
    (case,) = found["cases"]
    assert case["open"] is True
    assert [(one["stage"], one["since"]) for one in case["stages"]] == [
        ("warned", opened), (stage, since)
    ]  # fmt: skip
    assert case["stages"][0]["name_fa"] == "اخطار"
    assert set(case) == {"name_fa", "name_en", "open", "run", "stages"}
    assert set(found) == {"case_no", "cases", "sources"}
    persian = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
    written = {"case_no": CASE.translate(persian), "postcode": POSTCODE.translate(persian)}
    assert ask(public, "case-status", **written) == found


def test_a_number_or_a_postcode_alone_tells_nothing(
    public: TestClient, refused: Asked, query: Asked
) -> None:
    """KIO-2: a wrong one of the two is told as a case that is not there is."""
    ((other,),) = query(
        "SELECT case_no FROM data.case_file WHERE case_no <> %s AND parcel_code <> "
        "(SELECT parcel_code FROM data.case_file WHERE case_no = %s) LIMIT 1", CASE, CASE,
    )  # fmt: skip
    nothing = refused(public, "case-status", case_no="پ/999999", postcode=POSTCODE)
    assert nothing["status"] == 404
    for asked in (
        {"case_no": other, "postcode": POSTCODE},
        {"case_no": CASE, "postcode": "1111111111"},
    ):
        assert refused(public, "case-status", **asked) == nothing
    assert refused(public, "case-status", case_no=CASE)["field"] == "postcode"
    assert public.get("/collections/case-register/items").status_code == 404


def test_a_project_opens_on_the_map_at_its_place(public: TestClient) -> None:
    """POR-1: the card's link is a page whose map fits the project; tiles and a picture too."""
    asked = {"project_no": "PR-1"}
    path = "/collections/plan-projects/items"
    (project,) = public.get(path, params=asked).json()["features"]
    page = public.get(f"{path}/{project['id']}?f=html&lang=fa").text
    (told,) = re.findall(r'id="map-data">\s*({.*?})\s*</script>', page, re.DOTALL)
    (drawn,) = json.loads(told)["features"]["features"]
    assert drawn["geometry"] == project["geometry"]
    tile = public.get("/collections/plan-projects/tiles/WebMercatorQuad/16/26038/42029?f=mvt")
    assert (tile.status_code, bool(tile.content)) == (200, True)
    box = {"bbox": "488580,3833090,488630,3833102", "bbox-crs": UTM, "crs": UTM}
    picture = public.get(
        "/collections/plan-projects/map", params={**box, "width": 200, "height": 48, "f": "png"}
    )
    assert picture.headers["content-type"] == "image/png"


def test_religious_places_of_a_box(public: TestClient, query: Asked) -> None:
    """POR-3: by category and box, with Persian names."""
    box = "50.870,34.630,50.885,34.650"
    asked = {"poi_category": "religious", "bbox": box, "limit": 1000}
    found = public.get("/collections/poi/items", params=asked).json()["features"]
    expected = query(
        "SELECT name_fa FROM data.poi WHERE poi_category = 'religious' AND "
        "ST_Intersects(geom, ST_Transform(ST_MakeEnvelope(50.870, 34.630, 50.885, 34.650, 4326), "
        "32639)) ORDER BY 1"
    )
    assert expected
    assert sorted(one["properties"]["name_fa"] for one in found) == [name for (name,) in expected]
    assert all(re.search("[آ-ی]", one["properties"]["name_fa"]) for one in found)
