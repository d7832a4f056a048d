"""What finance, the portal and the laws ask of collections (domain 1.2 and 1.4), line by line."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas

Asked = Callable[..., Any]
UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"


def features(client: TestClient, collection: str, **asked: Any) -> list[Any]:
    """The features of a collection that meet ``asked``."""
    found = client.get(f"/collections/{collection}/items", params={"limit": 1000, **asked})
    assert found.status_code == 200, found.text
    listed: list[Any] = found.json()["features"]
    return listed


def test_regions_are_a_dimension_with_validity(public: TestClient, query: Asked) -> None:
    """FIN-2: a code that stays, and since and until when each version of it holds."""
    asked = {"datetime": "../..", "f": "csv", "skipGeometry": "true"}
    text = public.get("/collections/regions/items", params=asked).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted(row["region_code"] for row in rows) == sorted(
        code for (code,) in query("SELECT region_code FROM data.region")
    )
    for row in rows:
        assert dt.datetime.fromisoformat(row["valid_since"]).tzinfo is not None
        assert row["valid_until"] == ""
    ids = {one["properties"]["region_code"]: one["id"] for one in features(public, "regions")}
    assert {row["region_code"]: int(row["id"]) for row in rows} == ids
    (first,) = features(public, "regions", region_code="1", datetime="../..", limit=1)
    assert first["time"]["interval"][1] == ".."


def test_a_budget_code_leads_to_footprint_length_and_area(public: TestClient) -> None:
    """FIN-3: PR-1 is 50 m of the lane, 12 m wide."""
    (project,) = features(public, "plan-projects", project_no="PR-1", crs=UTM)
    code = project["properties"]["budget_code"]
    (same,) = features(public, "plan-projects", budget_code=code, crs=UTM)
    assert same == project
    assert project["geometry"]["type"] == "MultiPolygon"
    told = project["properties"]
    assert (told["length_axis_m"], told["area_grid_m2"]) == (50.0, 600.0)
    parks = features(public, "plan-projects", project_kind="public_space")
    assert all(one["properties"]["length_axis_m"] is None for one in parks)


def test_nothing_of_staff_or_pay_is_on_a_map(schemas: Schemas) -> None:
    """FIN-4 and FIN-5: no layer has a column about employees or wages."""
    words = ("employee", "personnel", "salary", "wage", "payroll", "کارکنان", "حقوق و دستمزد")
    for layer in schemas.layers.values():
        for field in layer.fields:
            said = f"{field.name} {field.title.en} {field.title.fa}".lower()
            assert not any(word in said for word in words), (layer.id, field.name)


def test_assets_by_number_class_and_region(
    staff: TestClient, public: TestClient, query: Asked
) -> None:
    """FIN-6 and FIN-7: the parcel of A-100, and areas by region as the ledger has them."""
    (park,) = features(staff, "municipal-assets", asset_no="A-100")
    assert park["properties"]["nosazi"] == "1-12-46-1-0-0-0"
    assert park["geometry"]["type"] == "MultiPolygon"
    ledger = dict(
        query("SELECT region_code, sum(area_book_m2) FROM data.municipal_asset GROUP BY 1")
    )
    for region, area in ledger.items():
        assets = features(staff, "municipal-assets", region_code=region)
        assert sum(one["properties"]["area_grid_m2"] for one in assets) == pytest.approx(
            area, abs=0.01
        )
    depots = features(staff, "municipal-assets", asset_class="depot")
    assert depots
    assert {one["properties"]["asset_class"] for one in depots} == {"depot"}
    assert public.get("/collections/municipal-assets/items").status_code == 404
    opened = {one["properties"]["asset_no"] for one in features(public, "public-assets")}
    assert "A-100" in opened
    assert not opened & {one["properties"]["asset_no"] for one in depots}


@pytest.mark.proves("cql2/1.0/conf/array-functions")
@pytest.mark.defect("Q3")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("A_CONTAINS(contract_refs, ('1402/240'))", True),
        ("A_CONTAINS(contract_refs, ('1402/240', '1402/118'))", True),
        ("A_CONTAINS(contract_refs, ('1402/24'))", False),
        ("A_CONTAINEDBY(contract_refs, ('1402/240', '1402/118', 'x'))", True),
        ("A_CONTAINEDBY(contract_refs, ('1402/240'))", False),
        ("A_EQUALS(('1402/240', '1402/118'), contract_refs)", True),
        ("A_EQUALS(contract_refs, ('1402/118'))", False),
        ("A_OVERLAPS(contract_refs, ('x', '1402/118'))", True),
        ("A_OVERLAPS(contract_refs, ('x'))", False),
        ("A_OVERLAPS(contract_refs, contract_refs) AND NOT A_CONTAINS(contract_refs, ('x'))", True),
    ],
)
def test_arrays_are_asked_as_sets(
    staff: TestClient, public: TestClient, asked: str, found: bool
) -> None:
    path = "/collections/plan-projects/items"
    told = staff.get(path, params={"filter": asked, "limit": 1000}).json()["features"]
    assert ("PR-1" in {one["properties"]["project_no"] for one in told}) is found
    assert public.get(path, params={"filter": asked}).status_code == 400
    classes = (one.get("/conformance?f=json").json()["conformsTo"] for one in (staff, public))
    ours, theirs = (any(name.endswith("/array-functions") for name in one) for one in classes)
    assert (ours, theirs) == (True, False)


def test_a_project_tells_its_contracts_to_staff(staff: TestClient, public: TestClient) -> None:
    """FIN-9: an array, which a filter finds by one of them."""
    (listed,) = features(staff, "plan-projects", project_no="PR-1")
    path = f"/collections/plan-projects/items/{listed['id']}"
    one = staff.get(path).json()
    assert one["properties"]["contract_refs"] == ["1402/118", "1402/240"]
    asked = {"filter": "contract_refs LIKE '%1402/240%'"}
    (found,) = features(staff, "plan-projects", **asked)
    assert found["id"] == one["id"]
    told = staff.get("/collections/plan-projects/schema").json()["properties"]["contract_refs"]
    assert (told["type"], told["items"]) == ("array", {"type": "string"})
    assert "contract_refs" not in public.get(path).json()["properties"]
    table = staff.get(f"{path.rsplit('/', 1)[0]}?f=csv&project_no=PR-1").text
    assert '"1402/118, 1402/240"' in table


def test_totals_by_region_are_the_citys(public: TestClient, ask: Asked, query: Asked) -> None:
    """FIN-10: parcels and their area."""
    found = ask(public, "aggregate", of="parcels", by="region")
    ((count, area),) = query("SELECT count(*), sum(area_grid_m2) FROM data.parcel")
    assert found["total"] == count
    assert found["total_m2"] == pytest.approx(area, abs=0.01)
    assert sum(one["count"] or 0 for one in found["cells"]) + (found["masked_total"] or 0) == count


def test_from_a_zone_one_reaches_its_document(public: TestClient, staff: TestClient) -> None:
    """POR-8: the link of a zone leads to its plan, and that to the text."""
    (zone,) = features(public, "plan-zones", limit=1, plan_id="TT-1397")
    one = public.get(f"/collections/plan-zones/items/{zone['id']}").json()
    (link,) = [link for link in one["links"] if link["rel"] == "related"]
    assert link["type"] == "application/geo+json"
    (plan,) = public.get(link["href"].removeprefix("http://makan.test")).json()["features"]
    assert plan["properties"]["plan_id"] == "TT-1397"
    assert plan["properties"]["document_url"] == "https://example.org/plans/tt-1397.pdf"
    page = public.get(f"/collections/plan-zones/items/{zone['id']}?f=html&lang=fa").text
    assert "plan-documents/items?plan_id=TT-1397" in page
    (park,) = features(staff, "municipal-assets", asset_no="A-100")
    links = staff.get(f"/collections/municipal-assets/items/{park['id']}").json()["links"]
    (link,) = [link for link in links if link["rel"] == "related"]
    assert link["href"].endswith("/collections/parcels/items?nosazi=1-12-46-1-0-0-0")
