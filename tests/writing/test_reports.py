"""137 (domain.md 1.3), and the rules of assets, advertisements and offers, over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import shapely
from starlette.testclient import TestClient

UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"
REPORTS = "/collections/reports/items"
P7 = (488605.0, 3833110.0)
PHONE, NAME = "09121234567", "زهرا محمدی"


def report(x: float, y: float, category: str = "waste", **more: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": {"report_category": category, **more},
    }


def send(client: TestClient, feature: dict[str, Any], **headers: str) -> Any:
    kept = {"Content-Type": "application/geo+json", "Content-Crs": f"<{UTM}>", **headers}
    return client.post(REPORTS, content=json.dumps(feature), headers=kept)


@pytest.fixture
def portal(staff: TestClient, keys: dict[str, str]) -> dict[str, str]:
    """The key by which the portal, the telephone centre and the application report."""
    return {"X-API-Key": keys["portal"]}


def test_a_report_is_taken_placed_and_kept_apart_from_who_reported(
    staff: TestClient, public: TestClient, portal: dict[str, str], rows: Any
) -> None:
    """C137-1 and C137-3."""
    sent = report(*P7, reporter_name=NAME, reporter_phone=PHONE, description_fa="سطل پر است")
    answer = send(staff, sent, **portal)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    given = made["properties"]
    assert given["report_status"] == "new"
    assert given["nosazi"] == "1-12-45-7-0-0-0"
    assert (given["region_code"], given["neighbourhood_code"]) == ("1", "12")
    assert abs(datetime.fromisoformat(given["opened_at"]) - datetime.now(UTC)) < timedelta(
        minutes=5
    )
    assert answer.headers["location"] == f"http://makan.test{REPORTS}/{made['id']}"
    for text in (answer.text, staff.get(f"{REPORTS}/{made['id']}").text):
        assert PHONE not in text
        assert NAME not in text
    assert rows(
        "SELECT reporter_name, reporter_phone FROM private.citizen_report WHERE key = %s",
        given["report_no"],
    ) == [(NAME, PHONE)]
    _public_view(public, given["report_no"], rows)


def _public_view(public: TestClient, number: str, rows: Any) -> None:
    """The public sees it in the middle of the street segment, never at the dwelling."""
    assert public.get(REPORTS).status_code == 404
    asked = {"report_no": number, "crs": UTM}
    (shown,) = public.get("/collections/public-reports/items", params=asked).json()["features"]
    x, y = shown["geometry"]["coordinates"]
    nearest = rows(
        "SELECT ST_X(m), ST_Y(m), name_fa FROM (SELECT ST_LineInterpolatePoint("
        "ST_GeometryN(geom, 1), 0.5) AS m, name_fa FROM data.street "
        "ORDER BY ST_Distance(geom, ST_SetSRID(ST_MakePoint(488605, 3833110), 32639)) LIMIT 1) s"
    )[0]
    assert (x, y) == (pytest.approx(nearest[0], abs=0.002), pytest.approx(nearest[1], abs=0.002))
    assert shown["properties"]["street_name_fa"] == nearest[2] == "کوچه یاس"
    assert not rows(
        "SELECT 1 FROM data.parcel WHERE ST_Intersects(geom, "
        "ST_SetSRID(ST_MakePoint(%s, %s), 32639))", x, y,
    )  # fmt: skip
    text = public.get("/collections/public-reports/items").text
    for secret in (PHONE, NAME, "سطل پر است", "reporter", "description", "unit_code"):
        assert secret not in text


def test_one_unit_gets_it_by_a_rule_that_is_told(
    staff: TestClient, portal: dict[str, str], rows: Any
) -> None:
    """C137-2: on the line between regions 1 and another the lower code wins."""
    inside = send(staff, report(*P7, "road_surface"), **portal).json()["properties"]
    assert (inside["unit_code"], inside["routing_rule"]) == ("1-OMRAN", "only_unit")
    wkb, other = rows(
        "SELECT ST_AsBinary(ST_Intersection(a.geom, b.geom)), b.region_code FROM data.region a "
        "JOIN data.region b ON ST_Touches(a.geom, b.geom) WHERE a.region_code = '1' "
        "AND ST_Length(ST_Intersection(a.geom, b.geom)) > 1 ORDER BY b.region_code LIMIT 1"
    )[0]
    line = max(
        (part for part in shapely.get_parts(shapely.from_wkb(wkb)) if part.length), key=len_of
    )
    for share in (0.0, 0.31, 0.5):
        spot = line.interpolate(share, normalized=True)
        told = send(staff, report(spot.x, spot.y, "road_surface"), **portal).json()["properties"]
        assert (told["unit_code"], told["routing_rule"]) == ("1-OMRAN", "lower_code"), other


def len_of(line: Any) -> float:
    return float(line.length)


def test_a_kind_without_a_unit_goes_to_other_matters_and_far_ones_to_the_nearest(
    staff: TestClient, portal: dict[str, str], rows: Any
) -> None:
    (gone,) = rows("SELECT count(*) FROM data.service_unit WHERE report_category = 'animal'")[0:1]
    assert gone[0] > 0
    features = staff.get(
        "/collections/service-units/items", params={"report_category": "animal", "limit": 100}
    ).json()["features"]
    for one in features:
        path = f"/collections/service-units/items/{one['id']}"
        assert staff.delete(path, headers={"If-Match": "*"}).status_code == 204
    told = send(staff, report(*P7, "animal"), **portal).json()["properties"]
    assert (told["unit_code"], told["routing_rule"]) == ("1-OMOMI", "other_matters")
    x0, y0 = rows("SELECT min(ST_XMin(geom)), min(ST_YMin(geom)) FROM data.region")[0]
    far = send(staff, report(x0 - 500, y0 - 500, "waste"), **portal).json()["properties"]
    assert far["routing_rule"] == "nearest"
    assert far["unit_code"].endswith("-PASMAND")


def test_a_second_report_nearby_may_be_the_same(
    staff: TestClient, portal: dict[str, str], rows: Any
) -> None:
    """C137-5: 15 m away, within 24 hours, of the same kind; else not."""
    x, y = P7[0] + 60, P7[1] + 300
    first = send(staff, report(x, y, "street_light"), **portal).json()["properties"]
    assert first["possible_duplicate_of"] is None
    again = send(staff, report(x + 15, y, "street_light"), **portal).json()["properties"]
    assert again["possible_duplicate_of"] == first["report_no"]
    for feature in (report(x + 15, y, "sidewalk"), report(x - 21, y, "street_light")):
        assert send(staff, feature, **portal).json()["properties"]["possible_duplicate_of"] is None
    rows(
        "UPDATE data.citizen_report SET opened_at = opened_at - interval '25 hours' "
        "WHERE report_category = 'street_light' RETURNING 1"
    )
    later = send(staff, report(x + 15, y, "street_light"), **portal).json()["properties"]
    assert later["possible_duplicate_of"] is None


def test_a_report_is_followed_up(staff: TestClient, portal: dict[str, str], rows: Any) -> None:
    """C137-3: its state by PATCH; who moves it routes it anew."""
    made = send(staff, report(*P7, "green_space"), **portal)
    path, tag = f"{REPORTS}/{made.json()['id']}", made.headers["etag"]
    kind = {"Content-Type": "application/merge-patch+json"}

    def patch(tag: str, **properties: Any) -> Any:
        content = json.dumps({"properties": properties})
        return staff.patch(path, content=content, headers={**kind, "If-Match": tag})

    opened = datetime.fromisoformat(made.json()["properties"]["opened_at"])
    early = patch(tag, closed_at=(opened - timedelta(days=1)).isoformat())
    assert early.status_code == 422
    assert early.json()["findings"][0]["code"] == "rule.refused"
    done = patch(tag, report_status="done", closed_at=(opened + timedelta(hours=2)).isoformat())
    assert done.status_code == 204, done.text
    got = staff.get(path).json()["properties"]
    assert (got["report_status"], got["report_no"]) == (
        "done", made.json()["properties"]["report_no"],
    )  # fmt: skip
    assert (
        len(rows("SELECT 1 FROM history.citizen_report WHERE report_no = %s", got["report_no"]))
        == 1
    )
    moved = {"geometry": {"type": "Point", "coordinates": [P7[0] + 120, P7[1] + 5]}}
    answer = staff.patch(
        path, content=json.dumps(moved),
        headers={**kind, "If-Match": done.headers["etag"], "Content-Crs": f"<{UTM}>"},
    )  # fmt: skip
    assert answer.status_code == 204, answer.text
    after = staff.get(path).json()["properties"]
    assert after["nosazi"] != "1-12-45-7-0-0-0"
    assert (after["report_no"], after["report_status"]) == (got["report_no"], "done")


def test_nobody_numbers_or_routes_a_report_himself(
    staff: TestClient, portal: dict[str, str]
) -> None:
    answer = send(staff, report(*P7, report_no="R-1", unit_code="9-X"), **portal)
    assert answer.status_code == 422
    told = {(one["code"], one["field"]) for one in answer.json()["findings"]}
    assert told == {("edit.read_only", "report_no"), ("edit.read_only", "unit_code")}
    early = send(staff, report(*P7, result_fa="انجام شد"), **portal)
    assert early.status_code == 422
    assert [(one["code"], one["field"]) for one in early.json()["findings"]] == [
        ("edit.later", "result_fa")
    ]
    bare = send(staff, {**report(*P7), "geometry": None}, **portal)
    assert "geometry.missing" in {one["code"] for one in bare.json()["findings"]}
    assert staff.delete(f"{REPORTS}/1", headers={"If-Match": "*", **portal}).status_code == 405


def test_one_key_cannot_flood(
    staff: TestClient, portal: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.serve.writing._EDITS_A_MINUTE", 1)
    assert send(staff, report(*P7), **portal).status_code in (201, 429)
    answer = send(staff, report(*P7), **portal)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60


def ad(number: str, **more: Any) -> dict[str, Any]:
    today = date.today()  # noqa: DTZ011 - the server's own day may differ by one, the ads' do not
    properties = {
        "ad_no": number, "business_category": "food", "title_fa": "آگهی", "approved": True,
        "valid_from": str(today - timedelta(days=5)), "valid_to": str(today + timedelta(days=5)),
    }  # fmt: skip
    shape = {"type": "Point", "coordinates": [50.8764, 34.6401]}
    return {"type": "Feature", "geometry": shape, "properties": {**properties, **more}}


def test_expired_and_unapproved_ads_are_never_public(
    staff: TestClient, public: TestClient, rows: Any
) -> None:
    """ECT-1."""
    long_ago, soon = str(date(2020, 1, 1)), str(date(2100, 1, 1))
    wanted = {
        "ad-good": {},
        "ad-over": {"valid_from": long_ago, "valid_to": "2020-02-01"},
        "ad-later": {"valid_from": "2099-01-01", "valid_to": soon},
        "ad-unapproved": {"approved": False},
    }
    for number, more in wanted.items():
        answer = staff.post(
            "/collections/map-ads/items", content=json.dumps(ad(number, **more)),
            headers={"Content-Type": "application/geo+json"},
        )  # fmt: skip
        assert answer.status_code == 201, answer.text
    assert public.get("/collections/map-ads/items").status_code == 404
    path = "/collections/public-map-ads/items"
    for more in ({}, {"datetime": "2020-01-15"}, {"filter": "ad_no LIKE 'ad-%'"}):
        shown = public.get(path, params={"limit": 1000, **more}).json()["features"]
        numbers = {one["properties"]["ad_no"] for one in shown}
        assert "ad-good" in numbers
        assert not numbers & {"ad-over", "ad-later", "ad-unapproved"}
        assert all("approved" not in one["properties"] for one in shown)
    approved = rows(
        "SELECT count(*) FROM data.map_ad WHERE approved AND valid_to >= now()::date + 2"
    )
    assert public.get(path, params={"limit": 1}).json()["numberMatched"] <= approved[0][0]
    for one in rows("SELECT id FROM data.map_ad WHERE ad_no = 'ad-over'"):
        assert public.get(f"{path}/{one[0]}").status_code == 404


def test_a_sold_asset_is_kept_and_no_longer_public(
    staff: TestClient, public: TestClient, rows: Any
) -> None:
    """AML-14 and FIN-6."""
    found = staff.get("/collections/municipal-assets/items", params={"asset_no": "A-100"}).json()
    (asset,) = found["features"]
    assert asset["properties"]["nosazi"].startswith("1-12-46-")
    assert public.get("/collections/municipal-assets/items").status_code == 404
    asked = {"asset_no": "A-100"}
    assert len(public.get("/collections/public-assets/items", params=asked).json()["features"]) == 1
    patch = json.dumps({"properties": {"disposed_on": "2025-03-21"}})
    path = f"/collections/municipal-assets/items/{asset['id']}"
    kind = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
    assert staff.patch(path, content=patch, headers=kind).status_code == 204
    assert public.get("/collections/public-assets/items", params=asked).json()["features"] == []
    assert staff.get(path).json()["properties"]["disposed_on"] == "2025-03-21"
    before = rows(
        "SELECT to_char(r.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
        "FROM history.municipal_asset h JOIN ops.run r ON r.id = h.run_id WHERE asset_no = 'A-100'"
    )[0][0]
    asked = {"asset_no": "A-100", "datetime": before}
    (then,) = staff.get("/collections/municipal-assets/items", params=asked).json()["features"]
    assert then["properties"]["disposed_on"] is None
    ledger = rows("SELECT region_code, sum(area_book_m2) FROM data.municipal_asset GROUP BY 1")
    shown = staff.get("/collections/municipal-assets/items", params={"limit": 1000}).json()
    for region, area in ledger:
        summed = sum(
            one["properties"]["area_grid_m2"]
            for one in shown["features"]
            if one["properties"]["region_code"] == region
        )
        assert summed == pytest.approx(area, abs=0.01)


def test_offers_tell_no_expert_price(staff: TestClient, public: TestClient) -> None:
    """POR-5."""
    open_, closed = (
        client.get("/collections/land-offers/items", params={"limit": 1}).json()["features"][0]
        for client in (staff, public)
    )
    assert open_["properties"]["expert_price_irr"] > 0
    assert set(open_["properties"]) - set(closed["properties"]) == {"asset_no", "expert_price_irr"}
    assert "expert" not in public.get("/collections/land-offers/queryables").text


def test_offices_and_shops_are_there(public: TestClient) -> None:
    """POR-2, ECT-5."""
    asked = {"region_code": "1", "office_kind": "region"}
    (office,) = public.get("/collections/municipal-offices/items", params=asked).json()["features"]
    assert office["properties"]["name_fa"] == "شهرداری منطقه 1"
    shops = public.get("/collections/businesses/items", params={"limit": 5}).json()["features"]
    assert all(one["properties"]["licence_status"] for one in shops)
    assert not any("owner" in name for one in shops for name in one["properties"])


@pytest.mark.parametrize(("language", "said"), [("fa", "پسماند و زباله"), ("en", "Waste")])
def test_the_form_of_a_report_is_for_those_who_may_send_one(
    staff: TestClient, public: TestClient, language: str, said: str
) -> None:
    """C137-3: what the database fills, or what came of it, is not asked; who reported is."""
    page = staff.get(f"/collections/reports/new?lang={language}")
    assert page.status_code == 200, page.text
    assert f'<option value="waste">{said}</option>' in page.text
    for name in ("report_category", "description_fa", "reporter_phone"):
        assert f'name="{name}"' in page.text
    for name in (
        *("unit_code", "report_no", "street_x", "possible_duplicate_of"),
        *("closed_at", "result_fa", "report_status"),
    ):
        assert f'name="{name}"' not in page.text
    assert "/collections/reports/new" in staff.get("/collections/reports?f=html").text
    assert public.get("/collections/public-reports/new").status_code == 404
    assert public.get("/collections/poi/new").status_code == 404
    assert staff.get("/collections/parcels/new").status_code == 404
