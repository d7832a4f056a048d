"""Finding: a property by any of its keys, places by what people type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.stages import load as loading

Asked = Callable[..., Any]
P7 = "1-12-45-7-0-0-0"


@pytest.mark.parametrize(
    "written",
    [
        "1-12-45-7",
        "1-12-45-7-0-0-0",
        "01-12-045-007-00-00-00",
        "7-45-12-1",
        "0-0-0-7-45-12-1",
        "۱-۱۲-۴۵-۷",
        "1/12/45/7",
        " 1 - 12 - 45 - 7 ",
    ],
)
def test_a_code_in_any_order_and_padding(public: TestClient, ask: Asked, written: str) -> None:
    assert ask(public, "find-property", nosazi=written)["parcel"]["nosazi"] == P7


@pytest.mark.parametrize(
    "inputs",
    [
        {"registration_plate": "1234/567 بخش 4"},
        {"registration_plate": "567/1234 بخش ۴"},
        {"postcode": "3715613947"},
        {"postcode": "۳۷۱۵۶۱۳۹۴۷"},
        {"building_code": "1-12-45-7-1-0-0"},
        {"point": {"type": "Point", "coordinates": [50.875668, 34.639832]}},
        {"point": "POINT(488605 3833110)", "crs": "http://www.opengis.net/def/crs/EPSG/0/32639"},
    ],
    ids=str,
)
def test_every_key_of_p7_gives_the_same_parcel(
    staff: TestClient, ask: Asked, inputs: dict[str, Any]
) -> None:
    found = ask(staff, "find-property", **inputs)
    by_code = ask(staff, "find-property", nosazi="1-12-45-7")
    assert found["parcel"] == by_code["parcel"]
    assert found["candidates"][0]["score"] >= 0.6


def test_an_address_that_two_parcels_have_gives_both(staff: TestClient, ask: Asked) -> None:
    # The numbers of a street begin anew at each block of the sample.
    found = ask(staff, "find-property", address="قم كوچه ياس پلاک ۳")
    best = [one for one in found["candidates"] if one["score"] == 1.0]
    assert found["parcel"] is None
    assert len(best) == 2
    assert P7 in [one["nosazi"] for one in best]


def test_a_point_beside_parcels_gives_candidates(public: TestClient, ask: Asked) -> None:
    found = ask(public, "find-property", point="POINT(50.8756 34.6397)")
    assert found["parcel"] is None
    scores = [one["score"] for one in found["candidates"]]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    assert max(scores) < 0.6


def test_a_code_that_no_parcel_has_gives_its_neighbours(public: TestClient, refused: Asked) -> None:
    told = refused(public, "find-property", nosazi="1-12-45-77")
    assert told["status"] == 404
    assert "1-12-45-9-0-0-0" in told["near"]


def test_a_former_code_leads_staff_to_the_parcel_of_today(
    staff: TestClient, public: TestClient, sampled: Database, ask: Asked, refused: Asked
) -> None:
    """By a list of two changes one after the other, of which no row knows the object."""
    rows = "کد قدیم,کد جدید,تاریخ تغییر,علت,شماره نامه\n"
    rows += "1-99-1-1-0-0-0,1-98-1-1-0-0-0,1385/01/01,تغییر تقسیمات,۱۲/الف\n"
    rows += f"1-98-1-1-0-0-0,{P7},1395/01/01,شماره‌گذاری مجدد,\n"
    path = sampled.settings.home / "taghir_code_1395.csv"
    path.write_text(rows, encoding="utf-8")
    context = loading.context_for(registry.load("qom"), "parcel_codes")
    done = loading.load(sampled, path, context, batch_rows=9, progress=lambda *_: None)
    assert (done.account.inserted, done.account.quarantined) == (2, 0)
    for code in ("1-99-1-1", "1-98-1-1-0-0-0"):
        found = ask(staff, "find-property", nosazi=code)
        assert found["parcel"]["nosazi"] == P7
        assert [one["method"] for one in found["candidates"]] == ["former code"]
        assert refused(public, "find-property", nosazi=code)["status"] == 404


@pytest.mark.parametrize("written", ["کوچه یاس", "کوچه ياس", "كوچه‌ياس", "ياس", "کوچه یااس"])
def test_a_street_is_found_however_it_is_typed(
    public: TestClient, ask: Asked, written: str
) -> None:
    hits = ask(public, "search", q=written)["hits"]
    found = next(hit for hit in hits if (hit["kind"], hit["name"]) == ("street", "کوچه یاس"))
    assert found["within"]["region"]["code"] == "1"
    assert found["within"]["neighbourhood"]["code"] == "12"


@pytest.mark.parametrize(
    "written", ["قطعات ملکی", "قطعات ملكي", "قطعات\u200cملکی", "Parcel", "cadastre"]
)
def test_a_collection_is_found_by_its_title(public: TestClient, ask: Asked, written: str) -> None:
    """POR-4: what is searched for may be a layer."""
    found = ask(public, "search", q=written)
    assert "parcels" in [one["id"] for one in found["collections"]]
    assert public.get("/collections/parcels").status_code == 200


def test_collections_of_staff_are_not_found_by_everybody(
    public: TestClient, staff: TestClient, ask: Asked
) -> None:
    """POR-4."""
    found = ask(staff, "search", q="کد پستی")["collections"]
    assert "postcodes" in [one["id"] for one in found]
    told = public.post("/processes/search/execution", json={"inputs": {"q": "کد پستی"}}).json()
    assert "postcodes" not in [one["id"] for one in told.get("collections", [])]


@pytest.mark.parametrize("written", ["کوچه ياس", "كوچه ياس", "کوچه\u200cیاس", "کوچه  یاس"])
def test_letters_and_joiners_give_the_same_hits(
    public: TestClient, ask: Asked, written: str
) -> None:
    """POR-4: Arabic kaf and yeh, ZWNJ; Persian digits in a code."""
    hits = ask(public, "search", q="کوچه یاس")["hits"]
    assert ask(public, "search", q=written)["hits"] == hits
    coded = ask(public, "search", q="1-12-45-7")["hits"]
    assert ask(public, "search", q="۱-۱۲-۴۵-۷")["hits"] == coded
    assert coded[0]["name"] == P7


def test_a_code_is_found_while_it_is_typed(public: TestClient, ask: Asked) -> None:
    hits = ask(public, "search", q="1-12-45")["hits"]
    assert P7 in [hit["name"] for hit in hits]


def test_hits_hold_the_words_literally(public: TestClient, refused: Asked) -> None:
    assert refused(public, "search", q="%%")["status"] == 404
    assert refused(public, "search", q="__")["status"] == 404


def test_137_gets_the_place_of_a_postcode(public: TestClient, ask: Asked) -> None:
    """C137-1."""
    found = ask(public, "geocode", postcode="3715613947")["results"][0]
    assert found["quality"] == "parcel-door"
    assert found["confidence"] == 1.0
    assert found["parcel"]["nosazi"] == P7
    assert found["within"]["region"]["code"] == "1"
    assert found["within"]["neighbourhood"]["code"] == "12"
    inside = ask(public, "reverse-geocode", point=found["point"])
    assert inside["parcel"]["nosazi"] == P7
    assert inside["street"]["name_fa"] == "کوچه یاس"


def test_the_public_sees_no_address_of_a_postcode(public: TestClient, ask: Asked) -> None:
    assert "پلاک" not in str(ask(public, "geocode", postcode="3715613947"))


def test_a_point_on_a_border_is_in_exactly_one_region(
    public: TestClient, ask: Asked, query: Asked
) -> None:
    shared = query(
        "SELECT a.region_code, b.region_code, ST_AsText(ST_StartPoint(d.geom)) "
        "FROM data.region a JOIN data.region b ON a.region_code < b.region_code "
        "CROSS JOIN LATERAL ST_Dump(ST_CollectionExtract(ST_Intersection(a.geom, b.geom), 2)) d "
        "LIMIT 1"
    )
    if not shared:
        pytest.skip("the small sample city has no two regions side by side")
    lower, _, point = shared[0]
    crs = "http://www.opengis.net/def/crs/EPSG/0/32639"
    found = ask(public, "reverse-geocode", point=point, crs=crs)
    assert found["within"]["region"]["code"] == lower


def test_a_name_is_found_as_soon_as_it_is_there_and_no_longer(
    public: TestClient, ask: Asked, refused: Asked, sampled: Database
) -> None:
    def write(statement: str) -> None:
        with sampled.connect("loader") as connection:
            connection.execute(statement.encode())

    line = "ST_Multi(ST_GeomFromText('LINESTRING(488700 3833300, 488800 3833300)', 32639))"
    for number in (1, 2):
        write(
            "INSERT INTO data.street (street_id, name_fa, geom, run_id, source_line) "
            f"SELECT 'new-{number}', 'بن‌بست ژرفا', {line}, max(run_id), 1 FROM data.street"
        )
    (hit,) = ask(public, "search", q="بن بست ژر")["hits"]
    assert (hit["name"], hit["parts"], hit["kind"]) == ("بن‌بست ژرفا", 2, "street")
    write("UPDATE data.street SET name_fa = 'بن‌بست ژاله' WHERE street_id = 'new-1'")
    assert ask(public, "search", q="ژرفا")["hits"][0]["parts"] == 1
    assert ask(public, "search", q="بن بست ژاله")["hits"][0]["name"] == "بن‌بست ژاله"
    write("DELETE FROM data.street WHERE street_id LIKE 'new-%'")
    assert refused(public, "search", q="بن بست ژرفا")["status"] == 404


@pytest.mark.parametrize("written", ["1234/567", "567/1234", "۵۶۷/۱۲۳۴"])
def test_a_plate_is_found_without_its_section(staff: TestClient, ask: Asked, written: str) -> None:
    found = ask(staff, "find-property", registration_plate=written)
    assert found["parcel"]["nosazi"] == P7
    assert found["candidates"][0]["method"] == "plate without its section"


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ({"registration_plate": "1234/9999 بخش 4"}, "1234/567 بخش 4"),
        ({"asset_no": "A-1000"}, "A-100"),
        ({"building_code": "1-12-45-7-9"}, "1-12-45-7-1-0-0"),
        ({"point": "POINT(50.8766 34.6401)"}, "1-12-4"),
    ],
    ids=str,
)
def test_what_is_not_found_has_something_near(
    staff: TestClient, query: Asked, key: dict[str, Any], near: str
) -> None:
    told = staff.post("/processes/find-property/execution", json={"inputs": key})
    if "point" in key and told.status_code == 200:  # within 15 m of a parcel
        assert told.json()["candidates"]
        return
    assert told.status_code == 404
    assert any(each.startswith(near) for each in told.json()["near"])


LINE, SPOT = "LINESTRING(50.8756 34.6397,50.8757 34.6398)", "POINT(50.8756 34.6397)"


@pytest.mark.parametrize(
    ("process", "inputs", "field"),
    [
        ("check-footprint", {"nosazi": P7, "footprint": LINE}, "footprint"),
        ("violation-areas", {"nosazi": P7, "built": [{"floor": 1, "geometry": SPOT}]}, "built"),
        ("check-subdivision",
         {"nosazi": P7, "pieces": [{"label": "A", "geometry": LINE}]}, "pieces"),
        ("project-impact", {"area": SPOT}, "area"),
        ("population-in-area", {"area": LINE}, "area"),
        ("elevation-profile", {"line": SPOT}, "line"),
        ("reverse-geocode", {"point": LINE}, "point"),
        ("zone-change", {"nosazi": P7, "to_zone": "ZZ"}, "to_zone"),
        ("find-property", {"nothing": 1}, "nothing"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_told_with_its_rule_and_an_example(
    staff: TestClient, refused: Asked, process: str, inputs: dict[str, Any], field: str
) -> None:
    """A line is no footprint of 0 m2: it is refused."""
    told = refused(staff, process, **inputs)
    assert (told["status"], told["field"]) == (400, field)
    assert told["rule"]
    assert told["example"]


@pytest.mark.parametrize(
    ("process", "inputs"),
    [
        ("bar-o-kaf", {"plan_id": "TT-1379"}), ("plan-order-facts", {"plan_id": "TT-1379"}),
        ("parcel-passport", {"plan_id": "TT-1379"}), ("zone-change", {"to_plan": "TT-1379"}),
        ("levy-variables", {"plan_id": "TT-1379", "year": 1404}),
    ],
)  # fmt: skip
def test_an_edition_that_is_not_there_has_no_widening_of_nothing(
    staff: TestClient, refused: Asked, process: str, inputs: dict[str, Any]
) -> None:
    """A misspelt edition is 404 with those that there are, not a parcel without a plan."""
    told = refused(staff, process, nosazi=P7, **inputs)
    assert (told["status"], told["near"]) == (404, ["TT-1397"])
    assert set(told["message"]) == {"en", "fa"}


def test_nothing_found_names_what_is_near(
    public: TestClient, staff: TestClient, refused: Asked, query: Asked
) -> None:
    """By the whole, by one of the words, by the block of a code; postcodes to staff alone."""
    for typed, meant in (("محله صفاشخر", "صفاشهر"), ("1-12-45-99", "1-12-45-7-0-0-0")):
        told = refused(public, "search", q=typed)
        assert (told["status"], meant in told["near"]) == (404, True), told["near"]
    assert refused(public, "search", q="ضضضضغغغ")["near"] == []
    asked = {"postcode": "3715613946"}
    assert refused(public, "geocode", **asked)["near"] == []
    assert refused(staff, "geocode", **asked)["near"][0] == "3715613947"
    assert "صفاشهر" in refused(public, "geocode", place="محله صفاشخر")["near"]
    ((out,),) = query(
        "SELECT ST_AsText(ST_Transform(ST_SetSRID(ST_Point(max(ST_XMax(geom)) + 1200, "
        "avg(ST_YMin(geom))), 32639), 4326)) FROM data.street"
    )
    far = refused(public, "reverse-geocode", point=out)
    assert (far["status"], len(far["near"]) > 0) == (404, True)
