"""Facts about a parcel: the fixture's exact numbers (domain 1.0 and 1.6), and the whole city."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.answers import formulas
from pipeline.contracts import registry

Asked = Callable[..., Any]
CODE = "1-12-45-7"
GRID = "http://www.opengis.net/def/crs/EPSG/0/32639"
PRICES = {"year": 1404, "land_price_irr": 500_000, "building_price_irr": 300_000}


def test_bar_o_kaf_of_p7(staff: TestClient, public: TestClient, ask: Asked) -> None:
    """SHR-4: 8 m and 12 m, offset 2.00, widening 20.00, remainder 180.00; a level or a reason."""
    found = ask(staff, "bar-o-kaf", nosazi=CODE)
    (side,) = found["sides"]
    assert side["side"] == "S"
    assert side["street"]["name_fa"] == "کوچه یاس"
    assert (side["width_existing_m"], side["width_plan_m"]) == (8.0, 12.0)
    assert (side["offset_m"], side["front_m"]) == (2.0, 10.0)
    assert (found["widening_m2"], found["remainder_m2"]) == (20.0, 180.0)
    assert found["widening_by_deed_m2"] == 20.0
    # The plane of the fixture, 900 + 0.01 (E - 488600), in the middle of the front.
    assert (found["level"]["level_m"], found["level"]["vertical_datum"]) == (900.05, "irhs1998")
    assert found["chamfer_m2"] is None
    behind = ask(staff, "bar-o-kaf", nosazi="1-12-45-2")
    assert behind["level"]["level_m"] is None
    assert behind["level"]["reason"]["fa"]
    hidden = ask(public, "bar-o-kaf", nosazi=CODE)
    assert hidden["widening_by_deed_m2"] is None  # the deed is not public
    assert hidden["widening_m2"] == 20.0


def test_plan_order_of_p7(public: TestClient, ask: Asked) -> None:
    found = ask(public, "plan-order-facts", nosazi=CODE)
    (rule,) = found["rules"]
    assert rule["land_use"] == "residential"
    assert (rule["coverage_pct"], rule["footprint_m2"]) == (60.0, 108.0)
    assert (rule["far_pct"], rule["floor_area_m2"], rule["max_floors"]) == (180.0, 324.0, 3)
    assert (rule["area_basis"], rule["base_m2"]) == ("remainder", 180.0)
    assert [zone["area_m2"] for zone in found["zones"]] == [200.0]
    assert found["manual_decision"] is False
    assert found["plan"]["plan_id"] == "TT-1397"
    assert found["plan"]["document"].endswith("tt-1397.pdf")


def test_a_parcel_in_two_zones_is_for_people_to_decide(
    public: TestClient, ask: Asked, query: Asked
) -> None:
    rows = query(
        "SELECT p.parcel_code FROM data.parcel p JOIN facts.parcel_zone z ON z.subject_id = p.id "
        "WHERE z.part = 'in' GROUP BY p.parcel_code HAVING count(*) > 1 ORDER BY 1 LIMIT 3"
    )
    assert rows
    for (code,) in rows:
        found = ask(public, "plan-order-facts", nosazi=code)
        assert found["manual_decision"] is True
        assert len({rule["zone_code"] for rule in found["rules"]}) > 1
        total = sum(zone["area_m2"] for zone in found["zones"])
        assert total == pytest.approx(found["area_grid_m2"], abs=0.02)


def test_project_pr1_takes_a_tenth_of_five_parcels(public: TestClient, ask: Asked) -> None:
    found = ask(public, "project-impact", project_no="PR-1")
    codes = [one["nosazi"] for one in found["parcels"]]
    assert codes == [f"1-12-45-{number}-0-0-0" for number in range(5, 10)]
    assert {(one["area_m2"], one["share_pct"]) for one in found["parcels"]} == {(20.0, 10.0)}
    assert {one["extent"] for one in found["parcels"]} == {"partial"}
    assert found["slivers"] == []
    assert found["total_m2"] == 100.0


def test_a_drawn_area_takes_whole_parcels_parts_and_slivers(public: TestClient, ask: Asked) -> None:
    # All of P7, and 4 cm of its neighbour to the east (20 m long: 0.8 m2 is no sliver, 0.4 is).
    for reach, slivers in ((0.04, []), (0.02, ["1-12-45-8-0-0-0"])):
        east = 488610 + reach
        area = (
            f"POLYGON((488600 3833100,{east} 3833100,{east} 3833120,488600 3833120,488600 3833100))"
        )
        found = ask(public, "project-impact", area=area, crs=GRID)
        taken = {one["nosazi"]: one["extent"] for one in found["parcels"]}
        assert taken["1-12-45-7-0-0-0"] == "full"
        assert [one["nosazi"] for one in found["slivers"]] == slivers
        assert found["total_m2"] == pytest.approx(200 + 20 * reach, abs=0.011)


def test_people_floor_area_and_units_in_a_project(
    staff: TestClient, public: TestClient, ask: Asked, query: Asked
) -> None:
    """CB-1 has 88 people; the west half of it has all its dwellings."""
    ((west, south, east, north),) = query(
        "SELECT ST_XMin(b.geom), ST_YMin(b.geom), ST_XMax(b.geom), ST_YMax(b.geom) "
        "FROM data.census_block b JOIN data.parcel p ON ST_Contains(b.geom, ST_Centroid(p.geom)) "
        "WHERE p.parcel_code = '1-12-45-7-0-0-0'"
    )
    middle = (west + east) / 2

    def drawn(left: float, right: float) -> str:
        return (
            f"POLYGON(({left} {south},{right} {south},{right} {north},{left} {north},"
            f"{left} {south}))"
        )

    found = ask(staff, "project-impact", area=drawn(west, middle), crs=GRID)
    people = found["people"]
    assert (people["number"], people["year"], people["masked"]) == (88.0, 1395, False)
    assert "floor area of its dwellings" in people["method"]["en"]
    by_area = ask(staff, "population-in-area", area=drawn(west, middle), crs=GRID)
    assert by_area["dwelling_weighted"] == people["number"]
    inside = "ST_Area(ST_Intersection(b.geom, m.geom))"
    ((number, floor, within),) = query(
        f"SELECT count(*), sum(b.footprint_grid_m2 * b.floors_above), "
        f"sum({inside} * b.floors_above) FROM data.building b, "
        f"(SELECT ST_GeomFromText('{drawn(west, middle)}', 32639) AS geom) m WHERE {inside} > 0.01"
    )
    built = found["buildings"]
    assert (built["number"], built["floors_unknown"]) == (number, 0)
    assert built["floor_area_m2"] == pytest.approx(floor, abs=0.01)
    assert built["floor_area_inside_m2"] == pytest.approx(within, abs=0.01)
    ((doors,),) = query(
        "SELECT count(*) FROM data.postcode WHERE ST_Intersects(geom, "
        f"ST_GeomFromText('{drawn(west, middle)}', 32639))"
    )
    assert found["units"]["number"] == sum(found["units"]["by_kind"].values()) == doors
    # One house of it: fewer than ten people are not told.
    few = ask(staff, "project-impact", area=drawn(west, west + 0.12 * (middle - west)), crs=GRID)
    if few["people"]["number"] is None:
        assert few["people"]["masked"] is True
    else:
        assert few["people"]["number"] >= 10
    everybody = ask(public, "project-impact", area=drawn(west, middle), crs=GRID)
    assert (everybody["people"], everybody["units"]) == (None, None)
    assert everybody["buildings"]["floor_area_m2"] == built["floor_area_m2"]


def test_population_by_area_and_by_dwellings(staff: TestClient, ask: Asked, query: Asked) -> None:
    ((west, south, east, north),) = query(
        "SELECT ST_XMin(b.geom), ST_YMin(b.geom), ST_XMax(b.geom), ST_YMax(b.geom) "
        "FROM data.census_block b JOIN data.parcel p ON ST_Contains(b.geom, ST_Centroid(p.geom)) "
        "WHERE p.parcel_code = '1-12-45-7-0-0-0'"
    )
    middle = (west + east) / 2
    area = (
        f"POLYGON(({west} {south},{middle} {south},{middle} {north},{west} {north},{west} {south}))"
    )
    found = ask(staff, "population-in-area", area=area, crs=GRID)
    assert (found["area_weighted"], found["dwelling_weighted"]) == (44.0, 88.0)
    assert found["year"] == 1395
    assert "floor area" in found["method"]["en"]


def test_levy_of_p7_to_the_rial_and_of_its_block_as_the_sum(staff: TestClient, ask: Asked) -> None:
    """NOS-4: land 100,000,000 and building 97,200,000 IRR, by 0.015; the block is its parcels."""
    found = ask(staff, "levy", nosazi=CODE, **PRICES)
    (item,) = found["items"]
    lines = {line["name"]: line["value"] for line in item["lines"]}
    values = {"land_value": 100_000_000, "building_value": 97_200_000, "basis": 197_200_000}
    assert lines == {**values, "levy": 2_958_000}
    assert found["total_irr"] == 2_958_000
    block = ask(staff, "levy", block_code="1-12-45", **PRICES)
    assert len(block["items"]) > 4
    singles = [
        ask(staff, "levy", parcel_id=one["parcel_id"], **PRICES)["total_irr"]
        for one in block["items"]
    ]
    assert block["total_irr"] == sum(singles)
    other = ask(staff, "levy", nosazi=CODE, **{**PRICES, "year": 1300})
    assert (other["computed"], other["items"][0]["missing"]) == (0, ["year"])


def test_formulas_can_do_nothing_but_arithmetic() -> None:
    rules = formulas.read(registry.load("qom").root / "formulas" / "renovation_levy.toml")
    for formula in ("__import__('os')", "rate.__class__", "[1 for _ in (1,)]", "open('x')"):
        line = rules.years[0].lines[0].model_copy(update={"formula": formula})
        year = rules.years[0].model_copy(update={"lines": (line,), "total": line.name})
        variables = dict.fromkeys(rules.variables, 1)
        with pytest.raises(Exception, match=r"(?i)not|sorry|available|defined"):
            list(formulas._rows(rules, year, [{"variables": variables}]))


def test_passport_of_p7(staff: TestClient, ask: Asked) -> None:
    found = ask(staff, "parcel-passport", nosazi=CODE)
    areas = {name: value for name, value in found["areas"].items() if name != "run"}
    assert areas["grid_m2"] == areas["deed_m2"] == 200.0
    assert (areas["widening_m2"], areas["remainder_m2"]) == (20.0, 180.0)
    assert found["zones_total_pct"] == 100.0
    corners = [(corner["e"], corner["n"]) for corner in found["corners"]]
    assert corners == [  # from the north-west, clockwise
        (488600.0, 3833120.0),
        (488610.0, 3833120.0),
        (488610.0, 3833100.0),
        (488600.0, 3833100.0),
    ]
    neighbours = {one["nosazi"]: one["border_m"] for one in found["neighbours"]}
    assert neighbours["1-12-45-6-0-0-0"] == neighbours["1-12-45-8-0-0-0"] == 20.0
    (building,) = found["buildings"]
    assert (building["footprint_grid_m2"], building["floors_above"]) == (108.0, 3)
    assert [one["project_no"] for one in found["projects"]] == ["PR-1"]
    layers = {source["layer"] for source in found["sources"].values()}
    assert {"parcel", "building", "plan_zone", "project", "region"} <= layers


def test_zones_of_every_parcel_close_to_100_percent(
    public: TestClient, ask: Asked, query: Asked
) -> None:
    for (parcel,) in query("SELECT id FROM data.parcel ORDER BY id LIMIT 700")[::23]:
        found = ask(public, "parcel-passport", parcel_id=parcel)
        assert found["zones_total_pct"] == 100.0
        measured = sum(zone["area_m2"] for zone in found["zones"])
        assert measured == pytest.approx(found["areas"]["grid_m2"], abs=0.02)


def test_what_is_too_much_is_told_with_both_numbers(
    public: TestClient, refused: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    answerer = public.app.state.site.answerer  # type: ignore[attr-defined]
    process = answerer.processes["project-impact"]
    less = process.limit.model_copy(update={"most": 10})
    small = process.model_copy(update={"limit": less})
    monkeypatch.setitem(answerer.processes, process.id, small)
    area = "POLYGON((480000 3825000,495000 3825000,495000 3840000,480000 3840000,480000 3825000))"
    told = refused(public, "project-impact", area=area, crs=GRID)
    assert told["status"] == 413
    assert (told["found"], told["most"]) == (700, 10)


def test_the_level_of_the_street_in_front(public: TestClient, ask: Any, query: Any) -> None:
    """SHR-4: the level (kaf) that the facts know of the longest front."""
    level = ask(public, "bar-o-kaf", nosazi="1-12-45-7")["level"]
    ((far,),) = query(
        "SELECT min(ST_Distance(l.geom, ST_SetSRID(ST_MakePoint(488605, 3833096), 32639))) "
        "FROM data.road_level l JOIN data.street s USING (street_id) WHERE s.name_fa = 'کوچه یاس'"
    )
    assert (level["level_m"], level["vertical_datum"]) == (900.05, "irhs1998")
    assert (level["distance_m"], level["between"]) == (pytest.approx(far, abs=0.02), True)


def test_the_corner_of_the_fixture_block_is_cut_off(staff: TestClient, ask: Any) -> None:
    """P5 lies where kuche-ye Yas meets another lane; P4 keeps a way of its own."""
    found = ask(staff, "bar-o-kaf", nosazi="1-12-45-5")
    assert 2.0 <= found["chamfer_m2"] <= 12.5
    areas = ask(staff, "parcel-passport", nosazi="1-12-45-5")["areas"]
    left = found["remainder_m2"] - found["chamfer_m2"]
    assert areas["left_m2"] == pytest.approx(left, abs=0.01)
    assert areas["after_chamfer_m2"] == pytest.approx(180.0 - found["chamfer_m2"], abs=0.01)
    other = ask(staff, "parcel-passport", nosazi="1-12-45-4")["areas"]
    assert other["passage_m2"] == 6.0
