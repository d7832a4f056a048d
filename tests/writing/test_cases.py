"""What the systems of permits and property write: cases, visits, documents, flats; and shares."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric import check as fabric
from pipeline.stages import load as loading

P7, WHOLE = "1-12-45-7", "1-12-45-7-0-0-0"
UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"
SHARES = "شماره حق,ردیف,کد نوسازی,نوع حق,سهم,از,نام مالک,کد ملی\n"


def send(client: TestClient, collection: str, at: tuple[float, float] | None, **told: Any) -> Any:
    geometry = {"type": "Point", "coordinates": at} if at else None
    feature = {"type": "Feature", "geometry": geometry, "properties": told}
    headers = {"Content-Type": "application/geo+json", "Content-Crs": f"<{UTM}>"}
    place = f"/collections/{collection}/items"
    return client.post(place, content=json.dumps(feature), headers=headers)


def ask(client: TestClient, process: str, **inputs: Any) -> Any:
    answer = client.post(f"/processes/{process}/execution", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_visit_is_written_and_compared_with_the_map(
    staff: TestClient, public: TestClient
) -> None:
    """SHR-3: 10.02/20.05 against 10.00/20.00 is within the tolerance, 10.80 is flagged."""
    visit = {"visit_no": "V-1", "nosazi": WHOLE, "visited_on": "2026-11-01", "floors_above": 3,
             "photo_url": "https://example.org/v-1.jpg"}  # fmt: skip
    good = send(staff, "visits", (488605, 3833101), **visit, length_s_m=10.02, length_e_m=20.05)
    assert good.status_code == 201, good.text
    found = ask(staff, "compare-dimensions", nosazi=P7, visit_no="V-1")
    assert found["all_within"] is True
    told = {one["side"]: (one["measured_m"], one["map_m"]) for one in found["sides"]}
    assert told == {"S": (10.02, 10.0), "E": (20.05, 20.0)}
    assert {one["side"] for one in found["not_measured"]} == {"N", "W"}
    visit["visit_no"] = "V-2"
    assert send(staff, "visits", (488605, 3833101), **visit, length_s_m=10.80).status_code == 201
    far = ask(staff, "compare-dimensions", nosazi=P7, visit_no="V-2")
    assert far["all_within"] is False
    assert [one["within"] for one in far["sides"]] == [False]
    for wrong in (
        {"visit_no": "V-9"},
        {"visit_no": "V-1", "measured": [{"side": "S", "length_m": 1}]},
    ):
        answer = staff.post(
            "/processes/compare-dimensions/execution", json={"inputs": {"nosazi": P7, **wrong}}
        )
        assert answer.status_code == (404 if wrong == {"visit_no": "V-9"} else 400)
    elsewhere = {"nosazi": "1-12-45-6", "visit_no": "V-1"}
    answer = staff.post("/processes/compare-dimensions/execution", json={"inputs": elsewhere})
    assert answer.status_code == 404
    assert public.get("/collections/visits/items").status_code == 404


def test_a_request_becomes_a_case_on_its_parcel(staff: TestClient, public: TestClient) -> None:
    """SHR-2: reference, type, stage and dates; the stage moves on, the case is closed."""
    case = {"case_system": "permits", "case_no": "پ/99", "case_type": "add_storey",
            "case_stage": "filed", "opened_on": "2026-10-01", "nosazi": WHOLE}  # fmt: skip
    made = send(staff, "case-register", None, **case)
    assert made.status_code == 201, made.text
    assert send(staff, "case-register", None, **case).status_code in (409, 422)
    box = {"bbox": "488601,3833101,488602,3833102", "bbox-crs": UTM}
    (shown,) = staff.get("/collections/cases/items", params=box).json()["features"]
    assert (shown["properties"]["case_no"], shown["properties"]["case_open"]) == ("پ/99", True)
    path = f"/collections/case-register/items/{made.json()['id']}"
    kind = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
    early = json.dumps({"properties": {"closed_on": "2026-09-01"}})
    assert staff.patch(path, content=early, headers=kind).status_code == 422
    done = json.dumps({"properties": {"case_stage": "issued", "closed_on": "2026-11-01"}})
    assert staff.patch(path, content=done, headers=kind).status_code == 204
    (shown,) = staff.get("/collections/cases/items", params=box).json()["features"]
    assert shown["properties"]["case_open"] is False
    assert public.get("/collections/cases").status_code == 404


def test_documents_hang_on_parcel_and_case(staff: TestClient, public: TestClient) -> None:
    """SHR-15, AML-9, AML-13, AML-15: the archive's numbers, for staff, with the passport."""
    paper = {"document_no": "B-1", "document_kind": "minutes", "title_fa": "صورت‌جلسه تفکیک",
             "issued_on": "2026-05-01", "nosazi": WHOLE, "case_no": "پ/99",
             "asset_no": "A-100", "document_url": "https://example.org/b-1.pdf"}  # fmt: skip
    assert send(staff, "documents", None, **paper).status_code == 201
    found = [one for one in ask(staff, "parcel-passport", nosazi=P7)["documents"]
             if one["kind"] != "plan"]  # fmt: skip
    assert [(one["kind"], one["document_no"], one["document"]) for one in found] == [
        ("minutes", "B-1", "https://example.org/b-1.pdf")
    ]
    asked = {"nosazi": P7, "document_kind": "minutes"}
    (listed,) = staff.get("/collections/documents/items", params=asked).json()["features"]
    assert listed["properties"]["case_no"] == "پ/99"
    # What was given for an asset: the minutes name both.
    (given,) = staff.get("/collections/documents/items?asset_no=A-100").json()["features"]
    assert given["properties"]["nosazi"] == WHOLE
    assert "B-1" not in json.dumps(ask(public, "parcel-passport", nosazi=P7))
    assert public.get("/collections/documents").status_code == 404
    assert "B-1" not in json.dumps(ask(staff, "inquiry-extract", nosazi=P7))


def test_no_unit_has_the_code_of_another(staff: TestClient) -> None:
    """AML-3: the unique code is kept by the database; another code is another unit."""
    unit = {"unit_code": "1-12-45-7-1-1-0", "building_code": "1-12-45-7-1-0-0", "nosazi": WHOLE,
            "unit_kind": "apartment", "floor_no": 1}  # fmt: skip
    assert send(staff, "units", None, **unit).status_code == 201
    assert send(staff, "units", None, **unit).status_code in (409, 422)
    assert send(staff, "units", None, **{**unit, "unit_code": "1-12-45-7-1-2-0"}).status_code == 201


def test_the_shares_of_a_right_make_up_the_whole(
    written: Database, schemas: Schemas, staff: TestClient, rows: Any
) -> None:
    """AML-6: six dang or 72 habbeh, exactly; else it is told; owners go where nobody serves."""
    rights = {
        "ح-1": [(3, 6), (3, 6)], "ح-2": [(24, 72), (24, 72), (24, 72)],
        "ح-3": [(1, 3), (1, 3), (1, 3)], "ح-4": [(2, 6), (18, 72), (1, 2)],
        "ح-5": [(3, 6), (2, 6)],
    }  # fmt: skip
    lines = [
        f"{right},{number},{WHOLE},مالکیت,{part},{whole},زهرا محمدی,0012345678\n"
        for right, held in rights.items()
        for number, (part, whole) in enumerate(held, start=1)
    ]
    path = written.settings.home / "saham_malekiyat_1.csv"
    path.write_text(SHARES + "".join(lines), encoding="utf-8")
    context = loading.context_for(schemas, "ownership_shares")
    done = loading.load(written, path, context, batch_rows=9, progress=lambda *_: None)
    assert (done.account.inserted, done.account.quarantined) == (len(lines), 0)
    (made,) = fabric.check(written, schemas, ("ownership",))
    assert {one.code for one in made.stands} == {"fabric.shares_open"}
    told = "SELECT key, value, detail FROM ops.finding WHERE code = 'fabric.shares_open' ORDER BY 1"
    assert rows(told) == [("ح-4", WHOLE, "78/72"), ("ح-5", WHOLE, "5/6")]
    owners = "SELECT count(*) FROM private.ownership WHERE owner_name = 'زهرا محمدی'"
    assert rows(owners) == [(len(lines),)]
    for text in (staff.get("/collections?f=json").text, staff.get("/openapi?f=json").text):
        assert "/ownership" not in text
    assert staff.get("/collections/ownership/items").status_code == 404
