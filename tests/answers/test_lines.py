"""Lines of domain 1.0-1.8 (database, permits, property, revenue, city portal), over HTTP.

Each test names its line; docs/systems.md lists them, tests/unit/test_lines.py holds the list true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import shapely
from starlette.testclient import TestClient

from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.stages import load as loading

Asked = Callable[..., Any]
P7, WHOLE = "1-12-45-7", "1-12-45-7-0-0-0"
GRID = "http://www.opengis.net/def/crs/EPSG/0/32639"
FIXTURE_PLACE = (50.8764, 34.6401, 488672.13, 3833139.65)


def items(client: TestClient, collection: str, **query: Any) -> list[dict[str, Any]]:
    """The features of a collection; the answer must be 200."""
    response = client.get(f"/collections/{collection}/items", params=query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["features"]
    return found


def one(client: TestClient, collection: str, **query: Any) -> dict[str, Any]:
    """The properties of the only feature that is asked for."""
    (found,) = items(client, collection, **query)
    properties: dict[str, Any] = found["properties"]
    return properties


# ---- 1.0, the fixture


def test_the_fixture_is_served_with_its_exact_numbers(
    staff: TestClient, ask: Asked, query: Asked
) -> None:
    """1.0: parcel, street, plan rule, postcode, prices, building, neighbours, census, project."""
    (parcel,) = items(staff, "parcels", nosazi=WHOLE, crs=GRID)
    shape = shapely.from_geojson(str(parcel["geometry"]).replace("'", '"'))
    assert shape.equals(shapely.box(488600, 3833100, 488610, 3833120))
    told = parcel["properties"]
    assert (told["area_grid_m2"], told["area_deed_m2"]) == (200.0, 200.0)
    assert told["registration_plate_numbers"] == "1234/567/4"
    streets = items(staff, "streets", filter="name_fa = 'کوچه یاس'")
    assert {
        (street["properties"]["width_existing_m"], street["properties"]["width_plan_m"])
        for street in streets
    } == {(8.0, 12.0)}
    rule = one(staff, "zone-rules", filter="plan_id = 'TT-1397' AND zone_code = 'R2'")
    assert (rule["coverage_pct"], rule["far_pct"], rule["max_floors"]) == (60.0, 180.0, 3)
    assert rule["area_basis"] == "remainder"
    assert one(staff, "postcodes", postcode="3715613947")["nosazi"] == WHOLE
    price = one(
        staff,
        "price-blocks",
        filter="price_block_code = 'PB-3' AND price_year = 1404 AND price_no = 1",
    )
    assert price["land_price_irr"] == 500_000
    building = one(staff, "buildings", nosazi=WHOLE)
    assert (building["footprint_grid_m2"], building["floors_above"]) == (108.0, 3)
    units = items(staff, "units", nosazi=WHOLE)
    assert [
        (unit["properties"]["unit_code"], unit["properties"]["floor_no"]) for unit in units
    ] == [(f"1-12-45-7-1-{number}-0", number) for number in (1, 2, 3)]
    block = {
        feature["properties"]["nosazi"] for feature in items(staff, "parcels", block_code="1-12-45")
    }
    assert {f"1-12-45-{number}-0-0-0" for number in (5, 6, 8, 9)} <= block
    census = ask(staff, "parcel-passport", nosazi=P7)["census"][0]
    assert (census["population"], census["households"]) == (88, 26)
    lon, lat, east, north = FIXTURE_PLACE
    ((x, y),) = query(
        "SELECT ST_X(p), ST_Y(p) "
        "FROM ST_Transform(ST_SetSRID(ST_MakePoint(%s, %s), 4326), 32639) p",
        lon, lat,
    )  # fmt: skip
    assert (x, y) == (pytest.approx(east, abs=0.005), pytest.approx(north, abs=0.005))
    far = {"point": f"POINT({lon} {lat})"}
    near = {"point": f"POINT({east} {north})", "crs": GRID}
    same = [ask(staff, "reverse-geocode", **asked)["within"] for asked in (far, near)]
    assert same[0] == same[1]


# ---- SDB, the spatial database


def test_destroyed_monuments_are_found_and_sketches_are_not_public(
    staff: TestClient, public: TestClient, query: Asked
) -> None:
    """SDB-2.1: a filter on the status; the access sketch is for staff."""
    every = query("SELECT control_status, count(*) FROM data.control_point GROUP BY 1")
    for status, number in every:
        shown = items(public, "control-points", control_status=status, limit=1000)
        assert {feature["properties"]["control_status"] for feature in shown} == {status}
        assert len(shown) == number
    assert "destroyed" in dict(every)
    assert "sketch_url" not in public.get("/collections/control-points/items").text
    assert "sketch_url" in items(staff, "control-points", limit=1)[0]["properties"]


def test_control_points_of_the_first_orders_lack_no_precision(staff: TestClient) -> None:
    """SDB-2.2: sigmas, kind of height and vertical datum, none null for order <= 2."""
    points = items(staff, "control-points", filter="control_order <= 2", limit=1000)
    assert points
    names = ("sigma_e_m", "sigma_n_m", "sigma_h_m", "height_type", "vertical_datum")
    for feature in points:
        told = [feature["properties"][name] for name in names]
        assert None not in told, feature
        assert feature["properties"]["height_type"] in ("ellipsoidal", "levelled")


def test_the_sheets_of_the_map_are_listed(public: TestClient, staff: TestClient) -> None:
    """SDB-2.5: the sheet that P7 is on, by a box; sheets lie side by side, corners at 100 m."""
    box = {"bbox": "488600,3833100,488610,3833120", "bbox-crs": GRID}
    (sheet,) = items(public, "map-sheets", crs=GRID, **box)
    west, south, east, north = shapely.bounds(shapely.from_geojson(_json(sheet["geometry"])))
    assert (east - west, north - south) == (400.0, 300.0)
    assert (west % 100, south % 100) == (0.0, 0.0)
    told = sheet["properties"]
    assert told["sheet_id"] == f"500-{west / 100:.0f}-{south / 100:.0f}"
    assert (told["map_scale"], "sheet_file" in told) == (500, False)
    assert one(staff, "map-sheets", sheet_id=told["sheet_id"])["sheet_file"] == "barg_500.dxf"
    every = items(public, "map-sheets", crs=GRID, limit=1000)
    shapes = [shapely.from_geojson(_json(each["geometry"])) for each in every]
    assert shapely.union_all(shapes).area == pytest.approx(400 * 300 * len(shapes))


def test_zones_and_roads_make_up_the_plan(public: TestClient, query: Asked) -> None:
    """SDB-3.2: sum of zones = plan minus roads to 0.1 %; every code is in the list."""
    (plan,) = items(public, "plan-documents", plan_id="TT-1397", crs=GRID)
    boundary = shapely.from_geojson(_json(plan["geometry"]))
    zones = items(public, "plan-zones", plan_id="TT-1397", crs=GRID, limit=10_000)
    shapes = [shapely.from_geojson(_json(zone["geometry"])) for zone in zones]
    codes = {zone["properties"]["zone_code"] for zone in zones}
    schema = public.get("/collections/plan-zones/schema").json()["properties"]["zone_code"]
    known = {each["const"] for each in schema["oneOf"]}
    assert codes <= known
    roads = shapely.difference(boundary, shapely.union_all(shapes))
    assert abs(sum(map(shapely.area, shapes)) + roads.area - boundary.area) < 0.001 * boundary.area
    # What no zone covers are roads: nothing of a parcel lies there.
    ((left,),) = query(
        "SELECT coalesce(sum(f.area_m2), 0) FROM facts.parcel_zone f "
        "WHERE f.in_group = 'TT-1397' AND f.part = 'rest'"
    )
    assert left < 0.001 * boundary.area


def _json(geometry: Any) -> str:
    return shapely.to_geojson(shapely.geometry.shape(geometry))


def test_a_postcode_is_a_point_in_its_parcel(
    public: TestClient, staff: TestClient, ask: Asked
) -> None:
    """SDB-3.4: quality parcel-door, inside P7; the whole list is for staff."""
    found = ask(public, "geocode", postcode="3715613947")["results"][0]
    assert found["quality"] == "parcel-door"
    inside = ask(public, "find-property", point=found["point"])
    assert inside["parcel"]["nosazi"] == WHOLE
    assert public.get("/collections/postcodes/items").status_code == 404
    assert items(staff, "postcodes", limit=1)


def test_half_of_cb_1_has_its_people_by_area_and_by_dwellings(
    staff: TestClient, ask: Asked, query: Asked
) -> None:
    """SDB-3.5: the west half of CB-1: 44 by area, 88 by dwellings, and the method is told."""
    ((west, south, east, north),) = query(
        "SELECT ST_XMin(b.geom), ST_YMin(b.geom), ST_XMax(b.geom), ST_YMax(b.geom) "
        "FROM data.census_block b JOIN data.parcel p ON ST_Contains(b.geom, ST_Centroid(p.geom)) "
        "WHERE p.parcel_code = %s", WHOLE,
    )  # fmt: skip
    half = shapely.box(west, south, (west + east) / 2, north)
    found = ask(staff, "population-in-area", area=half.wkt, crs=GRID)
    assert (found["area_weighted"], found["dwelling_weighted"]) == (44.0, 88.0)
    assert found["method"]["en"]
    assert found["method"]["fa"]


def test_every_column_has_a_title_in_both_languages(staff: TestClient, public: TestClient) -> None:
    """SDB-3.7: of every published collection, as clients get it."""
    for client in (public, staff):
        told = client.get("/collections", params={"f": "json"}).json()["collections"]
        names = [one["id"] for one in told]
        assert len(names) > 30
        for name in names:
            schemas = [
                client.get(f"/collections/{name}/schema", params={"lang": language, "f": "json"})
                for language in ("fa", "en")
            ]
            if schemas[0].status_code == 404:
                continue  # a raster has no columns
            titles = [each.json()["properties"] for each in schemas]
            for column in titles[0]:
                fa, en = (each[column].get("title") for each in titles)
                if column not in ("geometry", "geom") and titles[0][column].get("type"):
                    assert fa, (name, column)
                    assert en, (name, column)


@pytest.mark.parametrize("typed", ["کوچه ياس", "كوچه یاس", "کوچه‌یاس"])
def test_persian_search_finds_yas_however_it_is_typed(
    public: TestClient, ask: Asked, typed: str
) -> None:
    """SDB-4.1: Arabic yeh and kaf, and ZWNJ, are the same."""
    hits = ask(public, "search", q=typed)["hits"]
    assert "کوچه یاس" in [hit["name"] for hit in hits]
    assert public.get("/collections/parcels/map", params={"width": 300}).status_code == 200


def test_one_call_tells_all_that_the_plan_says_of_p7(public: TestClient, ask: Asked) -> None:
    """SDB-4.2: zones that sum to 200.00 m2, the road line, widening 20.00, remainder 180.00."""
    found = ask(public, "plan-order-facts", nosazi=P7)
    assert sum(zone["area_m2"] for zone in found["zones"]) == 200.0
    (side,) = found["sides"]
    assert (side["width_plan_m"], side["offset_m"]) == (12.0, 2.0)
    assert (found["widening_m2"], found["remainder_m2"]) == (20.0, 180.0)


def test_ownership_is_nobodys_collection(public: TestClient, staff: TestClient) -> None:
    """SDB-4.3: 404 on the public server, 401 without a key on the other, 404 with one."""
    for path in ("/collections/ownership", "/collections/ownership/items"):
        assert public.get(path).status_code == 404
        nobody = staff.get(path, headers={"X-API-Key": ""})
        assert nobody.status_code == 401
        assert staff.get(path).status_code == 404


# ---- SHR, urban planning and permits


def test_a_code_is_one_current_parcel_and_datetime_gives_the_former(
    staff: TestClient, query: Asked
) -> None:
    """SHR-1: exactly one current version; a historical one with datetime."""
    (parcel,) = items(staff, "parcels", nosazi=P7)
    for written in (WHOLE, "01-12-045-007", "۱-۱۲-۴۵-۷", "1/12/45/7"):
        assert [each["id"] for each in items(staff, "parcels", nosazi=written)] == [parcel["id"]]
    assert parcel["properties"]["nosazi"] == WHOLE
    ((since,),) = query(
        "SELECT to_char(r.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
        "FROM data.parcel p JOIN ops.run r ON r.id = p.run_id WHERE p.parcel_code = %s", WHOLE,
    )  # fmt: skip
    (then,) = items(staff, "parcels", nosazi=P7, datetime=since)
    assert then["id"] == parcel["id"]
    assert items(staff, "parcels", nosazi=P7, datetime="2001-01-01T00:00:00Z") == []


def test_open_cases_in_a_polygon_and_counts_by_type(
    staff: TestClient, public: TestClient, ask: Asked, query: Asked
) -> None:
    """SHR-2: all open cases inside a polygon, counts by type."""
    polygon = (
        "POLYGON((488500 3833000,488900 3833000,488900 3833400,488500 3833400,488500 3833000))"
    )
    asked = {
        "filter": f"case_open = true AND S_INTERSECTS(geom, {polygon})",
        "filter-crs": GRID, "limit": 1000,
    }  # fmt: skip
    found = items(staff, "cases", **asked)
    expected = query(
        "SELECT f.case_no FROM data.case_file f JOIN data.parcel p USING (parcel_code) "
        f"WHERE f.closed_on IS NULL AND ST_Intersects(p.geom, ST_GeomFromText('{polygon}', 32639))"
    )
    assert sorted(each["properties"]["case_no"] for each in found) == sorted(n for (n,) in expected)
    assert WHOLE in [each["properties"]["nosazi"] for each in found]
    counted = ask(staff, "aggregate", of="cases", by="region", split="kind")
    kinds: dict[str, int] = {}
    for cell in counted["cells"]:
        if not cell["masked"]:
            kinds[cell["kind"]] = kinds.get(cell["kind"], 0) + cell["count"]
    real = dict(query("SELECT case_type, count(*) FROM data.case_file GROUP BY 1"))
    assert counted["total"] == sum(real.values())
    assert sum(kinds.values()) + (counted["masked_total"] or 0) == counted["total"]
    assert all(kinds[kind] <= real[kind] for kind in kinds)
    assert not {"name", "owner", "applicant", "phone"} & set(found[0]["properties"])


def test_stages_of_cases_are_not_public(public: TestClient, staff: TestClient) -> None:
    """SHR-8 to SHR-11 (SHR-8..11): verdict, notice, warning, objection are stages, for staff."""
    for collection in ("cases", "case-register"):
        assert public.get(f"/collections/{collection}/items").status_code == 404
        listed = staff.get(f"/collections/{collection}/schema").json()["properties"]["case_stage"]
        stages = {each["const"] for each in listed["oneOf"]}
        assert {"verdict", "notified", "warned", "objection", "execution"} <= stages
    text = public.get("/openapi?f=json").text + public.get("/collections?f=json").text
    assert "case_stage" not in text
    told = public.post(
        "/processes/aggregate/execution", json={"inputs": {"of": "cases", "by": "region"}}
    )
    assert told.status_code == 404


def test_permits_by_neighbourhood_and_jalali_year(
    staff: TestClient, ask: Asked, query: Asked
) -> None:
    """SHR-16: permits per neighbourhood per Jalali year; cells add up to the total."""
    found = ask(staff, "aggregate", of="cases", by="neighbourhood", period="year", split="kind")
    shown = [cell["count"] for cell in found["cells"] if not cell["masked"]]
    ((number,),) = query("SELECT count(*) FROM data.case_file")
    assert found["total"] == number == sum(shown) + (found["masked_total"] or 0)
    years = {cell["year"] for cell in found["cells"]}
    assert years <= set(range(1400, 1402))
    assert "building_permit" in {cell["kind"] for cell in found["cells"]}


def test_a_plot_order_in_two_zones_and_of_p7(public: TestClient, ask: Asked, query: Asked) -> None:
    """SHR-5: 60 %, 108.00 m2 a floor, 180 %, 324.00 m2, 3 floors; two zones: a person decides."""
    found = ask(public, "plan-order-facts", nosazi=P7)
    (rule,) = found["rules"]
    assert (rule["land_use"], rule["coverage_pct"], rule["footprint_m2"]) == (
        "residential",
        60,
        108,
    )
    assert (rule["far_pct"], rule["floor_area_m2"], rule["max_floors"]) == (180.0, 324.0, 3)
    assert "setback_m" in rule
    assert (found["plan"]["plan_id"], found["manual_decision"]) == ("TT-1397", False)
    assert found["plan"]["document"]
    ((code,),) = query(
        "SELECT p.parcel_code FROM data.parcel p JOIN facts.parcel_zone z ON z.subject_id = p.id "
        "WHERE z.part = 'in' GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
    )
    two = ask(public, "plan-order-facts", nosazi=code)
    assert two["manual_decision"] is True
    assert all(zone["area_m2"] > 0 for zone in two["zones"])


def test_the_corner_table_of_the_location_sheet(public: TestClient, ask: Asked) -> None:
    """SHR-12: from the NW corner clockwise with letters, 2 decimals, edges = perimeter."""
    found = ask(public, "location-sheet", nosazi=P7)
    assert [(c["letter"], c["e"], c["n"], c["edge_m"]) for c in found["corners"]] == [
        ("A", 488600.00, 3833120.00, 10.0), ("B", 488610.00, 3833120.00, 20.0),
        ("C", 488610.00, 3833100.00, 10.0), ("D", 488600.00, 3833100.00, 20.0),
    ]  # fmt: skip
    assert sum(corner["edge_m"] for corner in found["corners"]) == found["perimeter_m"] == 60.0


def test_an_extract_has_a_fixed_schema_a_checksum_and_its_validity(
    public: TestClient, ask: Asked
) -> None:
    """SHR-14: the same facts give the same digest; the schema leaves nothing open."""
    first, second = (ask(public, "inquiry-extract", nosazi=P7) for _ in range(2))
    receipts = [first.pop("receipt"), second.pop("receipt")]
    assert first == second
    assert receipts[0]["digest"] == receipts[1]["digest"]
    assert receipts[0]["valid_until"] > receipts[0]["issued"]
    schema = public.get("/processes/inquiry-extract/answer-schema").json()
    assert schema["additionalProperties"] is False


# ---- AML, municipal property


def test_code_lists_are_in_the_schemas_in_both_languages(staff: TestClient) -> None:
    """AML-1: request types, document types, kinds of rights: codes with their words."""
    for collection, column, code in (
        ("case-register", "case_type", "joint_building"), ("case-register", "case_type", "lease"),
        ("documents", "document_kind", "minutes"), ("municipal-assets", "asset_class", "depot"),
    ):  # fmt: skip
        words = []
        for language in ("fa", "en"):
            schema = staff.get(f"/collections/{collection}/schema", params={"lang": language})
            listed = schema.json()["properties"][column]["oneOf"]
            words.append({each["const"]: each["title"] for each in listed}[code])
        assert words[0] != words[1]


def test_flats_have_codes_of_their_own(staff: TestClient, ask: Asked, query: Asked) -> None:
    """AML-3: a unit by its code leads to the parcel; no code is given twice."""
    assert query("SELECT count(*) - count(DISTINCT unit_code) FROM data.building_unit") == [(0,)]
    assert query("SELECT count(*) - count(DISTINCT parcel_code) FROM data.parcel") == [(0,)]
    found = ask(staff, "find-property", building_code="1-12-45-7-1-3-0")
    assert found["parcel"]["nosazi"] == WHOLE
    assert found["candidates"][0]["method"] == "unit"
    passport = ask(staff, "parcel-passport", nosazi=P7)["registered_units"]
    assert [unit["unit_code"] for unit in passport] == [f"1-12-45-7-1-{n}-0" for n in (1, 2, 3)]


@pytest.fixture
def all_keys(sampled: Database) -> Iterator[None]:
    """P7 has a former code and is an asset."""
    rows = "کد قدیم,کد جدید,تاریخ تغییر,علت,شماره نامه\n"
    rows += f"1-97-5-1-0-0-0,{WHOLE},1395/01/01,شماره‌گذاری مجدد,م/1\n"
    path = sampled.settings.home / "taghir_code_aml.csv"
    path.write_text(rows, encoding="utf-8")
    context = loading.context_for(registry.load("qom"), "parcel_codes")
    loading.load(sampled, path, context, batch_rows=9, progress=lambda *_: None)
    with sampled.connect("owner") as connection:
        connection.execute(
            "INSERT INTO data.municipal_asset (asset_no, asset_class, open_to_public, parcel_code, "
            "geom, run_id, source_line) SELECT 'A-P7', 'land', false, parcel_code, geom, run_id, 1 "
            "FROM data.parcel WHERE parcel_code = %s", [WHOLE],
        )  # fmt: skip
    yield
    with sampled.connect("owner") as connection:
        connection.execute("DELETE FROM data.municipal_asset WHERE asset_no = 'A-P7'")


def test_all_seven_keys_give_the_same_parcel(
    all_keys: None, staff: TestClient, ask: Asked, refused: Asked
) -> None:
    """AML-5: code, plate, postcode, old code, address, asset number, point."""
    keys: list[dict[str, Any]] = [
        {"nosazi": P7},
        {"registration_plate": "1234/567 بخش 4"},
        {"postcode": "3715613947"},
        {"nosazi": "1-97-5-1"},
        {"asset_no": "A-P7"},
        {"point": "POINT(488605 3833110)", "crs": GRID},
    ]
    found = [ask(staff, "find-property", **key)["parcel"] for key in keys]
    assert all(parcel == found[0] for parcel in found)
    assert found[0]["nosazi"] == WHOLE
    address = items(staff, "postcodes", postcode="3715613947")[0]["properties"]["address_text"]
    best = ask(staff, "find-property", address=address)["candidates"]
    assert found[0]["parcel_id"] in [each["parcel_id"] for each in best if each["score"] == 1.0]
    assert refused(staff, "find-property", asset_no="A-nothing")["status"] == 404


def test_every_plate_of_a_property_leads_to_it(
    staff: TestClient, public: TestClient, ask: Asked
) -> None:
    """AML-7: plates[] of the parcel, for staff; each finds it, however it is written."""
    plates = ask(staff, "parcel-passport", nosazi=P7)["plates"]
    written = [each["registration_plate"] for each in plates]
    assert written == ["1234/567 بخش 4", "1234/568 بخش 4"]
    for plate in (*written, "568/1234 بخش ۴"):
        assert ask(staff, "find-property", registration_plate=plate)["parcel"]["nosazi"] == WHOLE
    assert ask(public, "parcel-passport", nosazi=P7)["plates"] == []
    assert public.get("/collections/parcel-plates").status_code == 404


def test_the_four_lengths_of_each_side(staff: TestClient, public: TestClient) -> None:
    """AML-8: deed, existing, after widening: S 10.00/10.00/10.00, E 20.00/20.00/18.00."""
    names = ("length_deed_m", "length_measured_m", "length_after_widening_m")
    sides = {
        each["properties"]["edge_side"]: tuple(each["properties"][name] for name in names)
        for each in items(staff, "parcel-edges", nosazi=WHOLE)
    }
    assert (sides["S"], sides["E"]) == ((10.0, 10.0, 10.0), (20.0, 20.0, 18.0))
    assert public.get("/collections/parcel-edges").status_code == 404


def test_the_properties_of_a_project(public: TestClient, ask: Asked) -> None:
    """AML-18: PR-1 takes 20.00 m2 (10.0 %) of P5..P9; the total is the strip inside parcels."""
    found = ask(public, "project-impact", project_no="PR-1")
    assert [each["nosazi"] for each in found["parcels"]] == [
        f"1-12-45-{number}-0-0-0" for number in range(5, 10)
    ]
    assert {(each["area_m2"], each["share_pct"]) for each in found["parcels"]} == {(20.0, 10.0)}
    assert (found["total_m2"], found["slivers"]) == (100.0, [])


def test_rent_and_share_of_an_asset_come_from_its_parcel(
    all_keys: None, staff: TestClient, ask: Asked
) -> None:
    """AML-19: area, frontage and price block of a leased property."""
    parcel = ask(staff, "find-property", asset_no="A-P7")["parcel"]["parcel_id"]
    values = ask(staff, "levy-variables", parcel_id=parcel, year=1404)["variables"]
    told = {name: values[name]["value"] for name in ("frontage_len", "price_land")}
    assert told == {"frontage_len": 10.0, "price_land": 500_000}
    assert one(staff, "municipal-assets", asset_no="A-100")["area_grid_m2"] > 0


def test_assets_are_counted_by_region_and_class(
    staff: TestClient, ask: Asked, query: Asked
) -> None:
    """AML-20: counts and areas of what the municipality has; cells add up."""
    found = ask(staff, "aggregate", of="assets", by="region", split="kind")
    ((number, area),) = query(
        "SELECT count(*), round(sum(area_grid_m2)::numeric, 2)::float8 FROM data.municipal_asset "
        "WHERE disposed_on IS NULL OR disposed_on > current_date"
    )
    assert (found["total"], found["total_m2"]) == (number, area)
    shown = sum(cell["count"] for cell in found["cells"] if not cell["masked"])
    assert shown + (found["masked_total"] or 0) == number


# ---- DAR, revenue


def test_parcel_and_cases_are_one_answer(staff: TestClient, public: TestClient, ask: Asked) -> None:
    """DAR-3: parcel uid and case references of shahrsazi and nosazi; nothing of it is public."""
    found = ask(staff, "parcel-passport", nosazi=P7)
    assert (
        found["parcel"]["parcel_id"]
        == ask(staff, "find-property", nosazi=P7)["parcel"]["parcel_id"]
    )
    assert found["cases"][0]["case_type"] == "building_permit"
    assert found["cases"][0]["closed_on"] is None
    assert ask(public, "parcel-passport", nosazi=P7)["cases"] == []


def test_variables_are_flat_with_unit_source_and_day(staff: TestClient, ask: Asked) -> None:
    """DAR-5: every variable that the line names, each with unit, source table, as-of date."""
    found = ask(staff, "levy-variables", nosazi=P7, year=1404)["variables"]
    expected = {
        "land_area_deed": 200, "land_area_remainder": 180, "eslahi_area": 20, "frontage_len": 10,
        "street_width": 12, "zone": "R2", "built_area[residential,2]": 108, "excess_area": 0,
    }  # fmt: skip
    assert {name: found[name]["value"] for name in expected} == expected
    assert all({"value", "unit", "source", "as_of"} <= set(each) for each in found.values())


def test_rezoning_of_p7_is_its_whole_area(public: TestClient, ask: Asked) -> None:
    """DAR-6: R to S of P7: 200.00 m2."""
    found = ask(public, "zone-change", nosazi=P7, to_zone="S1")
    assert found["changes"] == [{"from": "R2", "to": "S1", "area_m2": 200.0}]


# ---- ECT, the city portal


def test_a_tile_over_the_densest_block_is_small(public: TestClient, query: Asked) -> None:
    """ECT-3: z14 over the densest block is at most 500 kB before compression."""
    ((lon, lat),) = query(
        "SELECT ST_X(c), ST_Y(c) FROM (SELECT ST_Transform(ST_Centroid(b.geom), 4326) AS c "
        "FROM data.block b JOIN data.parcel p USING (block_code) GROUP BY b.id "
        "ORDER BY count(*) / ST_Area(b.geom) DESC LIMIT 1) d"
    )
    column, row = _tile(lon, lat, 14)
    for path in ("/collections/parcels/tiles", "/collections/buildings/tiles", "/tiles"):
        found = public.get(
            f"{path}/WebMercatorQuad/14/{row}/{column}?f=mvt",
            headers={"Accept-Encoding": "identity"},
        )
        assert found.status_code in (200, 204), (path, found.text)
        assert len(found.content) <= 500_000


def _tile(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    from math import asinh, floor, pi, radians, tan

    across = (lon + 180) / 360
    down = (1 - asinh(tan(radians(lat))) / pi) / 2
    return floor(across * 2**zoom), floor(down * 2**zoom)


def test_places_of_a_kind_and_the_lines_between_them(public: TestClient) -> None:
    """ECT-4: tourism: places by category with Persian names, streets as lines to walk on."""
    every = items(public, "poi", limit=1000)
    kinds = {each["properties"]["poi_category"] for each in every}
    assert "religious" in kinds
    some = items(public, "poi", poi_category="religious", limit=1000)
    assert {each["properties"]["poi_category"] for each in some} == {"religious"}
    assert all(each["properties"]["name_fa"] for each in some)
    lines = items(public, "streets", limit=5)
    assert {each["geometry"]["type"] for each in lines} <= {"LineString", "MultiLineString"}


def test_a_shop_has_a_licence_and_no_owner(public: TestClient) -> None:
    """ECT-5: guild code and state of the licence, no owner."""
    for each in items(public, "businesses", limit=20):
        told = each["properties"]
        assert told["licence_status"]
        assert told["shop_code"].endswith("-0-0-1")
        assert not [name for name in told if "owner" in name or "phone" in name]
