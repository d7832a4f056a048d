"""CQL2: for each form of filter the features it must find, and what must be refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
ALL = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def _ids(client: TestClient, collection: str, **given: str) -> list[int]:
    answer = client.get(f"/collections/{collection}/items", params=given)
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


PARCELS = [
    # basic comparison, logic
    ("land_use = 'residential'", [1, 4, 6, 9]),
    ("(\"land_use\" = 'residential')", [1, 4, 6, 9]),
    ("'residential' = land_use", [1, 4, 6, 9]),
    ("land_use <> 'residential'", [2, 5, 7, 10]),
    ("land_use IS NULL", [3, 8]),
    ("land_use IS NOT NULL AND block_code = '1-12-46'", [9, 10]),
    ("NOT (land_use = 'residential' OR land_use IS NULL)", [2, 5, 7, 10]),
    ("NOT land_use = 'residential' AND NOT block_code = '1-12-45'", [10]),
    ("id > 8", [9, 10]),
    ("id = 3 OR id = 5", [3, 5]),
    ("true", ALL),
    ("false", []),
    ("1 = 1", ALL),
    # lists, ranges, patterns
    ("id IN (1, 3, 99)", [1, 3]),
    ("land_use NOT IN ('residential', 'commercial')", [5, 10]),
    ("id BETWEEN 2 AND 4", [2, 3, 4]),
    ("id NOT BETWEEN 2 AND 9", [1, 10]),
    ("nosazi LIKE '1-12-45-1%'", [1, 10]),
    ("nosazi LIKE '1-12-45-_-0-0-0'", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("land_use NOT LIKE 'r%'", [2, 5, 7, 10]),
    # arithmetic, property to property
    ("area_grid_m2 * 2 = 450", ALL),
    ("id + 1 = 5", [4]),
    ("id % 4 = 0", [4, 8]),
    ("id div 4 = 2", [8, 9, 10]),
    ("id ^ 2 = 16", [4]),
    ("-id = -4", [4]),
    ("id / 0 = 1", []),
    ("id % 0 = 1", []),
    ("id < area_grid_m2 / 100", [1, 2]),
    ("block_code < nosazi", [1, 2, 3, 4, 5, 6, 7]),
    # text without case or accents
    ("CASEI(land_use) = CASEI('RESIDENTIAL')", [1, 4, 6, 9]),
    ("CASEI(land_use) LIKE CASEI('PARK%')", [5, 10]),
    ("CASEI(land_use) IN (CASEI('PARK_green'), 'commercial')", [2, 5, 7, 10]),
    # space
    ("S_INTERSECTS(geometry, POINT(50.8 34.6))", []),
    ("geometry IS NULL", []),
    ("geom IS NOT NULL AND id = 1", [1]),
]


@pytest.mark.parametrize(("text", "expected"), PARCELS)
@pytest.mark.defect("Q3")
def test_text(client: TestClient, text: str, expected: list[int]) -> None:
    assert _ids(client, "parcels", filter=text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name_fa = 'حرم حضرت معصومه'", [1]),
        ("name_fa LIKE '%معصومه'", [1]),
        ("name_fa IN ('درمانگاه', 'x')", [4]),
        ("name_fa = 'چلوکبابی ''اصیل'''", [2]),
        ("name_en = 'O''Brien''s <b>Grill</b>'", [2]),
        ("name_en LIKE '100\\%%'", [3]),
        ("name_en LIKE '%school\\_under'", [5]),
        ("CASEI(name_en) LIKE CASEI('%CAFÉ%')", [3, 5]),
        ("ACCENTI(name_en) LIKE ACCENTI('%Cafe%')", [3]),
        ("CASEI(ACCENTI(name_en)) LIKE CASEI(ACCENTI('%cafe%'))", [3, 5]),
        ("ACCENTI(name_fa) = ACCENTI('مدرسه فیضیه')", [5]),
        # time
        ("valid_from > DATE('2010-06-01')", [3, 5]),
        ("valid_from = '2010-01-01'", [2]),
        ("valid_from >= TIMESTAMP('2012-05-05T00:00:00Z')", [3, 5]),
        ("T_AFTER(valid_from, DATE('2012-01-01'))", [3, 5]),
        ("T_BEFORE(valid_from, TIMESTAMP('2010-01-01T00:00:01Z'))", [1, 2]),
        ("T_DURING(valid_from, INTERVAL('2009-01-01', '2013-01-01'))", [2, 3]),
        ("T_DURING(valid_from, INTERVAL('..', '2010-01-02'))", [1, 2]),
        ("T_EQUALS(valid_from, DATE('2020-02-29'))", [5]),
        (
            "T_INTERSECTS(INTERVAL(valid_from, valid_to), INTERVAL('2014-01-01', '2020-03-01'))",
            [2, 5],
        ),
        (
            "T_DISJOINT(INTERVAL(valid_from, valid_to), INTERVAL('2014-01-01', '2016-01-01'))",
            [5],
        ),
        ("T_STARTS(INTERVAL(valid_from, valid_to), INTERVAL('2010-01-01', '2030-01-01'))", [2]),
        ("T_FINISHEDBY(INTERVAL(valid_from, valid_to), INTERVAL('2011-01-01','2015-06-30'))", [2]),
        ("T_MEETS(INTERVAL(valid_from, valid_to), INTERVAL('2015-06-30', '2016-01-01'))", [2]),
        ("T_CONTAINS(INTERVAL(valid_from, valid_to), DATE('2012-01-01'))", [2]),
        ("valid_from < valid_to", [2, 5]),
    ],
)
@pytest.mark.defect("Q3")
def test_persian_text_and_time(client: TestClient, text: str, expected: list[int]) -> None:
    assert _ids(client, "poi", filter=text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("widening_symmetric", [1]),
        ("NOT widening_symmetric", [2]),
        ("widening_symmetric = FALSE", [2]),
        ("widening_symmetric IS NULL", [3]),
    ],
)
def test_flags(client: TestClient, text: str, expected: list[int]) -> None:
    assert _ids(client, "plan-road-lines", filter=text) == expected


def _box(first: int, last: int) -> str:
    """BBOX around parcels ``first`` to ``last`` in the stored CRS."""
    x1, x2 = 490_000 + 20 * first, 490_000 + 20 * last + 15
    return f"BBOX({x1 - 1},{3_829_999},{x2 + 1},{3_830_016})"


UTM = {"filter-crs": f"{EPSG}32639"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"S_INTERSECTS(geometry, {_box(2, 4)})", [2, 3, 4]),
        (f'S_INTERSECTS("geometry",{_box(2, 4)})', [2, 3, 4]),
        (f"S_INTERSECTS({_box(2, 4)}, geom)", [2, 3, 4]),
        (f"S_WITHIN(geometry, {_box(2, 4)})", [2, 3, 4]),
        (f"S_DISJOINT(geometry, {_box(2, 9)})", [1, 10]),
        ("S_CONTAINS(geometry, POINT(490047 3830007))", [2]),
        ("S_TOUCHES(geometry, POINT(490040 3830000))", [2]),
        ("S_INTERSECTS(geometry, LINESTRING(490030 3830005, 490070 3830005))", [1, 2, 3]),
        ("S_CROSSES(geometry, LINESTRING(490030 3830005, 490070 3830005))", [1, 2, 3]),
        (
            (
                "S_OVERLAPS(geometry, POLYGON((490050 3830000, 490070 3830000, 490070 3830020, "
                "490050 3830020, 490050 3830000)))"
            ),
            [2, 3],
        ),
        (
            (
                "S_EQUALS(geometry, POLYGON((490020 3830000, 490035 3830000, 490035 3830015, "
                "490020 3830015, 490020 3830000)))"
            ),
            [1],
        ),
        (f"NOT (S_INTERSECTS(geometry, {_box(1, 8)})) AND land_use IS NOT NULL", [9, 10]),
        (
            (
                "S_INTERSECTS(geometry, GEOMETRYCOLLECTION(POINT(490021 3830001), "
                "POINT(490041 3830001)))"
            ),
            [1, 2],
        ),
    ],
)
def test_space_in_the_citys_crs(client: TestClient, text: str, expected: list[int]) -> None:
    assert _ids(client, "parcels", filter=text, **UTM) == expected


@pytest.mark.defect("clients-6")
def test_space_in_degrees_and_axis_order(client: TestClient) -> None:
    item = client.get("/collections/parcels/items/5").json()
    lon, lat = item["geometry"]["coordinates"][0][0][0]
    west, east, south, north = lon - 1e-5, lon + 1e-5, lat - 1e-5, lat + 1e-5
    asked = f"S_INTERSECTS(geometry, BBOX({west},{south},{east},{north}))"
    assert _ids(client, "parcels", filter=asked) == [5]
    flipped = f"S_INTERSECTS(geometry, BBOX({south},{west},{north},{east}))"
    assert _ids(client, "parcels", filter=flipped, **{"filter-crs": f"{EPSG}4326"}) == [5]
    # The other order is another place on Earth, where the city is not.
    assert _ids(client, "parcels", filter=flipped) == []


@pytest.mark.defect("Q1", "clients-6")
def test_a_box_of_the_whole_world(client: TestClient) -> None:
    world = "S_INTERSECTS(geometry, BBOX(-180,-90,180,90))"
    assert _ids(client, "parcels", filter=world) == ALL
    polygon = "POLYGON((-180 -90, 180 -90, 180 90, -180 90, -180 -90))"
    assert _ids(client, "parcels", filter=f"S_WITHIN(geometry, {polygon})") == ALL


JSON: list[tuple[Any, list[int]]] = [
    ({"op": "=", "args": [{"property": "land_use"}, "commercial"]}, [2, 7]),
    ({"op": "between", "args": [{"property": "id"}, 2, 4]}, [2, 3, 4]),
    ({"op": "in", "args": [{"property": "id"}, [1, 10]]}, [1, 10]),
    ({"op": "isNull", "args": [{"property": "land_use"}]}, [3, 8]),
    ({"op": "not", "args": [{"op": "<=", "args": [{"property": "id"}, 9]}]}, [10]),
    ({"op": "like", "args": [{"property": "nosazi"}, "%-10-0-0-0"]}, [10]),
    (
        {
            "op": "and",
            "args": [
                {"op": ">", "args": [{"op": "*", "args": [{"property": "id"}, 2]}, 10]},
                {"op": "s_intersects", "args": [{"property": "geometry"},
                                                {"bbox": [50, 34, 51, 35]}]},
            ],
        },
        [6, 7, 8, 9, 10],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "expected"), JSON)
@pytest.mark.defect("Q3")
def test_json_by_get_and_by_search(
    client: TestClient, tree: dict[str, Any], expected: list[int]
) -> None:
    text = json.dumps(tree)
    assert _ids(client, "parcels", filter=text, **{"filter-lang": "cql2-json"}) == expected
    answer = client.post("/collections/parcels/search", json=tree)
    assert [f["id"] for f in answer.json()["features"]] == expected


def test_a_page_of_a_search_goes_on_by_get(client: TestClient) -> None:
    tree = {"op": "<>", "args": [{"property": "land_use"}, "x"]}
    first = client.post("/collections/parcels/search?limit=5", json=tree).json()
    (following,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = client.get(following).json()
    assert [f["id"] for f in first["features"] + second["features"]] == [1, 2, 4, 5, 6, 7, 9, 10]


REFUSED = [
    ("no_such = 1", "no_such"),
    ("no_such <> 1", "no_such"),
    ("registration_plate = 'secret-1'", "registration_plate"),
    ("area_deed_m2 > 1", "area_deed_m2"),
    ("parcel_code = '1'", "parcel_code"),
    ("run_id = 1", "run_id"),
    ('"__class__" = 1', "__class__"),
    ("id = 'x'", "id"),
    ("land_use = 5", "text"),
    ("id = 'abc'", "number"),
    ("land_use > 5", "text"),
    ("id LIKE '1%'", "text"),
    ("land_use = NULL", "IS NULL"),
    ("pg_sleep(10) = 1", "pg_sleep"),
    ("id = current_user()", "current_user"),
    ("A_CONTAINS(land_use, ('x'))", "one value"),
    ("A_CONTAINS(nothing, ('x'))", "nothing"),
    ("A_OVERLAPS(land_use, (1))", "one value"),
    ("DWITHIN(geometry, POINT(0 0), 5)", "DWITHIN"),
    ("land_use", "condition"),
    ("id", "condition"),
    ("id + 1", "condition"),
    ("'x'", "condition"),
    ("5", "condition"),
    ("land_use = ", "character"),
    ("land_use = 'x' AND", "character"),
    ("land_use = 'x'; DROP TABLE parcel", "character"),
    ("", "character"),
    ("geometry = 1", "geometry"),
    ("land_use = POINT(1 2)", "geometry"),
    ("land_use = INTERVAL('2020-01-01', '..')", "interval"),
    ("S_INTERSECTS(land_use, POINT(1 2))", "land_use"),
    ("S_INTERSECTS(no_such, POINT(1 2))", "no_such"),
    ("S_INTERSECTS(geometry, 5)", "geometry"),
    ("S_INTERSECTS(geometry, BBOX(1,2,3))", "BBOX"),
    ("S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))", "valid"),
    ("S_INTERSECTS(geometry, POLYGON EMPTY)", "empty"),
    ("T_AFTER(land_use, DATE('2020-01-01'))", "date"),
    ("T_AFTER(id, DATE('2020-01-01'))", "date"),
    ("id = DATE('2020-01-01')", "date"),
    ("id = 9007199254740993", "exact"),
    ("id = 1e999", "large"),
    ("nosazi LIKE 'abc\\'", "escape"),
    ("(" * 200 + "id = 1" + ")" * 200, "nested"),
    ("NOT " * 5000 + "id = 1", ""),
    ("-" * 5000 + "id = 1", ""),
    ("id = 1 AND " * 5000 + "id = 1", "words"),
    ("CASEI(" * 500 + "land_use" + ")" * 500 + " = 'x'", "nested"),
    ("id = 1\x00", "NUL"),
    ("power(id, 400) = 1", "power"),
    ("id ^ 400 = 1", "out of range"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
@pytest.mark.defect("Q1", "Q2", "clients-7")
def test_refused_with_a_reason(client: TestClient, text: str, named: str) -> None:
    answer = client.get("/collections/parcels/items", params={"filter": text})
    assert answer.status_code == 400, answer.text[:300]
    problem = answer.json()
    assert named.lower() in problem["detail"].lower(), problem["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[]", 400),
        ("5", 400),
        ("{}", 400),
        ("null", 400),
        ('{"op":"and","args":[]}', 400),
        ('{"op":"=","args":[{"property":"no_such"},1]}', 400),
        ('{"op":"=","args":[{"property":"id"}]}', 400),
        ('{"op":"=","args":[{"property":"id"},NaN]}', 400),
        ('{"op":"pg_sleep","args":[10]}', 400),
        ("[" * 100_000, 400),
        ('{"op":"not","args":[' * 500 + "true" + "]}" * 500, 400),
        ("true", 200),
        ('"' + "x" * 2_000_000 + '"', 413),
    ],
)
def test_bodies(client: TestClient, body: str, status: int) -> None:
    answer = client.post(
        "/collections/parcels/search",
        content=body.encode(),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == status, answer.text[:300]


def test_a_search_that_is_no_json(client: TestClient) -> None:
    answer = client.post(
        "/collections/parcels/search", content=b"id=1", headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 415


def test_filter_language_and_crs_are_checked(client: TestClient) -> None:
    for given in (
        {"filter": "id=1", "filter-lang": "sql"},
        {"filter": "id=1", "filter-crs": f"{EPSG}27700"},
        {"filter-lang": "cql2-text"},
        {"filter": '{"op":"=","args":[{"property":"id"},1]}', "filter-lang": "cql2-text"},
    ):
        assert client.get("/collections/parcels/items", params=given).status_code == 400
