"""People of a region see their own first, and may search all (domain 1.7)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.db import access
from pipeline.db.engine import Database

Asked = Callable[..., Any]
ITEMS = "/collections/parcels/items"
IN_REGION = (
    "SELECT count(*) FROM data.parcel p JOIN data.region r ON r.region_code = %s "
    "AND ST_Relate(p.geom, r.geom, 'T********')"
)


@pytest.fixture(scope="module")
def regional(sampled: Database, schemas: Schemas, staff: TestClient) -> Iterator[dict[str, str]]:
    """The key of somebody who works in region 1."""
    audience = schemas.audience("staff")
    with sampled.connect("owner") as connection:
        key = access.add(connection, "regional", audience, days=None, area="regions/1")
    time.sleep(1.1)  # what keys are in force is asked once a second
    yield {"X-API-Key": key}
    with sampled.connect("owner") as connection:
        access.revoke(connection, "regional", audience)


def matched(client: TestClient, path: str = ITEMS, headers: Any = None, **asked: Any) -> int:
    answer = client.get(path, params={"limit": 1, **asked}, headers=headers)
    assert answer.status_code == 200, answer.text
    return int(answer.headers["ogc-numbermatched"])


def test_lists_begin_with_the_own_region_and_searches_go_over_all(
    staff: TestClient, regional: dict[str, str], query: Asked
) -> None:
    """NET-2: by the attribute of the key; `area=all` and every condition open the whole city."""
    ((own,),), ((every,),) = query(IN_REGION, "1"), query("SELECT count(*) FROM data.parcel")
    ((far, abroad),) = query(
        "SELECT r.region_code, min(p.parcel_code) FROM data.parcel p JOIN data.region r "
        "ON r.region_code <> '1' AND ST_Contains(r.geom, p.geom) GROUP BY 1 ORDER BY 1 LIMIT 1"
    )
    ((other,),) = query(IN_REGION, far)
    assert 0 < own < every
    assert matched(staff) == every
    assert matched(staff, headers=regional) == own
    assert matched(staff, headers=regional, area="all") == every
    assert matched(staff, headers=regional, area=f"regions/{far}") == other
    assert matched(staff, headers=regional, nosazi=abroad) == 1
    assert matched(staff, headers=regional, filter=f"nosazi = '{abroad}'") == 1
    found = staff.post(
        "/processes/find-property/execution", json={"inputs": {"nosazi": abroad}},
        headers=regional,
    )  # fmt: skip
    assert found.json()["parcel"]["nosazi"] == abroad


def test_a_cut_list_says_so_and_leads_to_the_whole(
    staff: TestClient, regional: dict[str, str]
) -> None:
    """NET-2: pages go on within the region, tags of two keys differ."""
    first = staff.get(ITEMS, params={"limit": 2}, headers=regional)
    assert first.headers["makan-area"] == "regions/1"
    links = {one["rel"]: one["href"] for one in first.json()["links"]}
    assert "area=all" in links["related"]
    following = staff.get(links["next"], headers=regional)
    assert following.headers["ogc-numbermatched"] == first.headers["ogc-numbermatched"]
    whole = staff.get(ITEMS, params={"limit": 2})
    assert "makan-area" not in whole.headers
    assert whole.headers["etag"] != first.headers["etag"]
    tag = {**regional, "If-None-Match": whole.headers["etag"]}
    assert staff.get(ITEMS, params={"limit": 2}, headers=tag).status_code == 200
    own = {**regional, "If-None-Match": first.headers["etag"]}
    assert staff.get(ITEMS, params={"limit": 2}, headers=own).status_code == 304


def test_rows_without_a_place_go_with_what_they_name(
    staff: TestClient, regional: dict[str, str], public: TestClient
) -> None:
    """NET-2: what nothing tells the place of is listed whole."""
    path = "/collections/zone-rules/items"
    assert matched(staff, path, regional) == matched(staff, path)
    path = "/collections/edge-dimensions/items"
    assert matched(staff, path, regional) <= matched(staff, path)
    for wrong in ("regions/99", "regions", "streets/1", "nowhere/1"):
        answer = staff.get(ITEMS, params={"area": wrong}, headers=regional)
        expected = 200 if wrong == "regions/99" else 400
        assert answer.status_code == expected
    assert public.get(ITEMS, params={"area": "all"}).status_code == 400
