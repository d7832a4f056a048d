"""137 and the portal: statistics of reports, routing by postcode, the nearest office."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from persiantools.jdatetime import JalaliDate
from pyproj import Transformer
from starlette.testclient import TestClient

from pipeline.db.engine import Database

Asked = Callable[..., Any]
POSTCODE = "3715613947"
GRID = "http://www.opengis.net/def/crs/EPSG/0/32639"
# Kind, state, region, neighbourhood, day it was opened, days until it was closed.
_REPORTS = [
    *[("waste", "done", "1", "12", "2025-03-20", 2.0)] * 5,
    *[("waste", "new", "1", "12", "2025-03-21", None)] * 4,
    *[("street_light", "done", "1", "12", "2025-04-21", 6.0)] * 3,
    *[("street_light", "new", "1", "12", "2025-04-21", None)],
    *[("waste", "new", "2", None, "2025-03-25", None)] * 2,
    *[("animal", "new", "2", None, "2025-03-25", None)] * 6,
]


@pytest.fixture(scope="module")
def reports(sampled: Database) -> Iterator[list[tuple[Any, ...]]]:
    """Reports whose numbers are known."""
    with sampled.connect("owner") as connection:
        for number, (kind, state, region, quarter, day, days) in enumerate(_REPORTS):
            opened = dt.datetime.fromisoformat(f"{day}T12:00:00+03:30")
            closed = None if days is None else opened + dt.timedelta(days=days)
            connection.execute(
                "INSERT INTO data.citizen_report (report_no, report_category, report_status, "
                "opened_at, closed_at, unit_code, routing_rule, region_code, neighbourhood_code, "
                "geom, run_id, source_line) SELECT %s, %s, %s, %s, %s, '1-PASMAND', 'only_unit', "
                "%s, %s, ST_SetSRID(ST_MakePoint(488605, 3833110), 32639), max(id), 1 FROM ops.run",
                [f"R-9{number:06}", kind, state, opened, closed, region, quarter],
            )
    yield _REPORTS
    with sampled.connect("owner") as connection:
        connection.execute("DELETE FROM data.citizen_report WHERE report_no LIKE 'R-9%'")


def cells(found: Any, *names: str) -> dict[tuple[Any, ...], int | None]:
    return {tuple(one[name] for name in names): one["count"] for one in found["cells"]}


def test_reports_are_counted_and_small_cells_are_masked(
    reports: list[tuple[Any, ...]], public: TestClient, staff: TestClient, ask: Asked
) -> None:
    """C137-4: the cells sum to the total; fewer than three are told to nobody."""
    for client in (public, staff):
        found = ask(client, "aggregate", of="reports", by="region")
        assert cells(found, "code") == {("1",): 13, ("2",): 8}
        assert found["total"] == len(reports)
        kinds = ask(client, "aggregate", of="reports", by="region", split="kind")
        # Two of waste in region 2 are hidden; what they could be told by is hidden as well.
        shown = cells(kinds, "code", "kind")
        assert shown[("2", "waste")] is None
        assert shown[("2", "animal")] is None
        assert kinds["total"] == len(reports)
        assert kinds["masked_total"] >= 3
        told = sum(count for count in shown.values() if count is not None)
        assert told + kinds["masked_total"] == kinds["total"]
        states = ask(client, "aggregate", of="reports", by="neighbourhood", split="kind_and_state")
        assert cells(states, "code", "kind", "state")[("12", "street_light", "new")] is None
        assert states["masked_cells"] >= 2


def test_hot_spots_sum_to_the_total_and_small_cells_are_masked(
    reports: list[tuple[Any, ...]], public: TestClient, staff: TestClient, ask: Asked
) -> None:
    """C137-4: all of the fixture lie in one cell; two more beside it are told to nobody."""
    found = ask(staff, "hot-spots", reports=True, cell_m=200)
    (cell,) = found["cells"]
    assert (cell["count"], found["total"]) == (len(reports), len(reports))
    ring = cell["cell"]["coordinates"][0]
    east = [x for x, _ in ring]
    assert min(east) < 50.875668 < max(east)
    waste = ask(staff, "hot-spots", reports=True, report_category="waste")
    assert waste["total"] == sum(kind == "waste" for kind, *_ in reports)
    late = ask(staff, "hot-spots", reports=True, since="2025-04-01")
    assert late["total"] == sum(day >= "2025-04-01" for *_, day, _ in reports)
    # Where they were put by nobody near a street, the public sees no place.
    told = ask(public, "hot-spots", reports=True)
    shown = sum(one["count"] for one in told["cells"])
    assert shown + told["without_place"] + (told["masked_total"] or 0) == told["total"]
    assert all(one["count"] >= 3 for one in told["cells"])


def test_the_properties_of_a_list_are_counted_by_place(
    staff: TestClient, public: TestClient, ask: Asked, query: Asked
) -> None:
    """NOS-7: unpaid levies are the levy system's own list, of which nothing is kept here."""
    rows = query(
        "SELECT parcel_code, floor(ST_X(p) / 100), floor(ST_Y(p) / 100) FROM (SELECT parcel_code, "
        "ST_PointOnSurface(geom) AS p FROM data.parcel WHERE block_code LIKE '1-12-4%%') q"
    )
    codes = [code for code, _, _ in rows]
    found = ask(staff, "hot-spots", properties=[*codes, "1-1-1-999999-0-0-0"], cell_m=100)
    expected = Counter((i, j) for _, i, j in rows)
    assert [one["count"] for one in found["cells"]] == sorted(expected.values(), reverse=True)
    assert (found["total"], found["without_place"]) == (len(codes) + 1, 1)
    assert found["masked_cells"] == 0
    asked = {"inputs": {"properties": codes}}
    assert public.post("/processes/hot-spots/execution", json=asked).status_code == 400
    # The sum of levies by region is what the region's own levy says.
    region = ask(staff, "levy", region_code="1", year=1404)
    inside = ask(staff, "aggregate", of="parcels", by="region")
    (own,) = [one for one in inside["cells"] if one["code"] == "1"]
    assert region["computed"] + region["not_computed"] == own["count"]


def test_periods_are_those_of_the_jalali_calendar(
    reports: list[tuple[Any, ...]], staff: TestClient, ask: Asked
) -> None:
    """20 March 2025 is the last day of 1403, the year of a leap day; the 21st begins 1404."""
    found = ask(staff, "aggregate", of="reports", by="region", period="month")
    wanted = Counter(
        (region, *_month(dt.date.fromisoformat(day))) for _, _, region, _, day, _ in reports
    )
    told = cells(found, "code", "year", "month")
    assert set(told) == set(wanted)
    assert told[("1", 1403, 12)] == 5
    assert all(count in (None, wanted[place]) for place, count in told.items())
    years = ask(staff, "aggregate", of="reports", by="region", period="year", from_year=1404)
    assert years["total"] == len(reports) - 5


def _month(day: dt.date) -> tuple[int, int]:
    jalali: Any = JalaliDate(day)
    return jalali.year, jalali.month


def test_every_day_of_a_century_has_its_jalali_month(query: Asked) -> None:
    rows = query(
        "SELECT d::date, j.year, j.month FROM generate_series(date '1921-01-01', '2060-01-01', "
        "interval '5 days') AS d, makan.jalali(d::date) AS j"
    )
    assert len(rows) > 10_000
    assert [(day, *_month(day)) for day, _, _ in rows] == rows


def test_how_long_a_unit_takes(
    reports: list[tuple[Any, ...]], staff: TestClient, public: TestClient, ask: Asked
) -> None:
    found = ask(staff, "aggregate", of="reports", by="service_unit", split="state")
    days = {one["state"]: one["days_to_close"] for one in found["cells"]}
    assert days == {"done": pytest.approx((5 * 2 + 3 * 6) / 8, abs=0.01), "new": None}
    # Which unit has a report is not for everybody: there all are of no unit.
    hidden = ask(public, "aggregate", of="reports", by="service_unit")
    assert cells(hidden, "code") == {(None,): len(reports)}


def test_a_postcode_leads_to_its_point_and_to_one_unit(
    public: TestClient, ask: Asked, query: Asked
) -> None:
    """C137-1 and C137-2."""
    found = ask(public, "route-report", postcode=POSTCODE, report_category="road_surface")
    assert found["parcel"]["nosazi"] == "1-12-45-7-0-0-0"
    assert found["within"]["region"]["code"] == "1"
    assert found["within"]["neighbourhood"]["code"] == "12"
    assert (found["quality"], found["confidence"]) == ("parcel-door", 1.0)
    assert (found["unit"]["unit_code"], found["routing_rule"]) == ("1-OMRAN", "only_unit")
    persian = POSTCODE.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    assert ask(public, "route-report", postcode=persian, report_category="road_surface") == found
    by_code = ask(public, "route-report", nosazi="1-12-45-7", report_category="road_surface")
    assert by_code["unit"]["unit_code"] == "1-OMRAN"
    ((x, y, other),) = query(
        "SELECT ST_X(p), ST_Y(p), code FROM (SELECT ST_LineInterpolatePoint(ST_GeometryN("
        "ST_CollectionExtract(ST_Intersection(a.geom, b.geom), 2), 1), 0.5) AS p, b.region_code "
        "AS code FROM data.region a JOIN data.region b ON ST_Touches(a.geom, b.geom) "
        "WHERE a.region_code = '1' AND ST_Length(ST_Intersection(a.geom, b.geom)) > 1 "
        "ORDER BY 2 LIMIT 1) q"
    )
    asked = {"point": f"POINT({x} {y})", "crs": GRID, "report_category": "road_surface"}
    border = ask(public, "route-report", **asked)
    assert (border["unit"]["unit_code"], border["routing_rule"]) == ("1-OMRAN", "lower_code"), other
    far = ask(public, "route-report", point="POINT(51.2 34.9)", report_category="waste")
    assert far["routing_rule"] == "nearest"
    assert far["unit"]["distance_m"] > 1000


def test_the_nearest_office_by_a_straight_line(
    public: TestClient, ask: Asked, query: Asked, refused: Asked
) -> None:
    """POR-2, against distances of our own."""
    found = ask(public, "nearest-office", point="POINT(50.8756 34.6397)", limit=5)
    move = Transformer.from_crs(4326, 32639, always_xy=True).transform
    x, y = move(50.8756, 34.6397)
    rows = query(
        "SELECT office_code, ST_X(geom), ST_Y(geom), region_code FROM data.municipal_office"
    )
    far = sorted((math.hypot(e - x, n - y), code) for code, e, n, _ in rows)[:5]
    assert [one["office_code"] for one in found["offices"]] == [code for _, code in far]
    assert [one["distance_m"] for one in found["offices"]] == pytest.approx(
        [metres for metres, _ in far], abs=0.06
    )
    assert "straight line" in found["method"]["en"]
    own = ask(public, "nearest-office", postcode=POSTCODE, region_code="1", office_kind="region")
    assert {one["region_code"] for one in own["offices"]} == {"1"}
    assert {one["office_kind"] for one in own["offices"]} == {"region"}
    told = refused(public, "nearest-office", postcode=POSTCODE, office_kind="bakery")
    assert (told["status"], told["field"]) == (400, "office_kind")
