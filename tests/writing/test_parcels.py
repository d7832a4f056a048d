"""Features are written: CRS, versions, findings, neighbours, history. Stock pygeoapi fails most."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline.contracts import registry
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.serve.refresh import Refresher
from pipeline.stages import history
from pipeline.stages import load as loading

UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"
WGS84 = "http://www.opengis.net/def/crs/EPSG/0/4326"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
MERCATOR = "http://www.opengis.net/def/crs/EPSG/0/3857"
PARCELS = "/collections/parcels/items"
PLACES = "/collections/poi/items"
P7 = "1-12-45-7-0-0-0"


def found(client: TestClient, code: str = P7, crs: str = CRS84) -> tuple[dict[str, Any], str]:
    """The parcel with its ETag."""
    number = client.get(PARCELS, params={"nosazi": code}).json()["features"][0]["id"]
    answer = client.get(f"{PARCELS}/{number}", params={"crs": crs})
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers["etag"]


def plain(tag: str) -> str:
    """The tag of the bytes as they are, of that of compressed ones."""
    return re.sub(r'-(gzip|br|zstd)"$', '"', tag)


def put(client: TestClient, feature: dict[str, Any], tag: str | None, **more: Any) -> Any:
    headers = {"Content-Type": "application/geo+json", **more.pop("headers", {})}
    if tag is not None:
        headers["If-Match"] = tag
    path = more.pop("path", f"{PARCELS}/{feature['id']}")
    return client.put(path, content=json.dumps(feature), headers=headers, **more)


def post(client: TestClient, path: str, feature: dict[str, Any], **headers: str) -> Any:
    kept = {"Content-Type": "application/geo+json", **headers}
    return client.post(path, content=json.dumps(feature), headers=kept)


def place(number: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    properties = {"poi_id": number, "poi_category": "park", "name_fa": "بوستان", **more}
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": properties,
    }


def codes(answer: Any) -> list[str]:
    return [one["code"] for one in answer.json()["findings"]]


@pytest.mark.parametrize("crs", [CRS84, WGS84, UTM, MERCATOR])
@pytest.mark.defect("W1", "get-put")
def test_get_then_put_unchanged_moves_nothing(staff: TestClient, rows: Any, crs: str) -> None:
    before = rows("SELECT *, ST_AsBinary(geom) FROM data.parcel ORDER BY id")
    feature, tag = found(staff, crs=crs)
    answer = put(staff, feature, tag, headers={"Content-Crs": f"<{crs}>"})
    assert answer.status_code == 204, answer.text
    assert rows("SELECT *, ST_AsBinary(geom) FROM data.parcel ORDER BY id") == before
    assert fresh_tag(staff, feature["id"], crs) == tag


def fresh_tag(client: TestClient, number: int, crs: str = CRS84) -> str:
    return client.get(f"{PARCELS}/{number}", params={"crs": crs}).headers["etag"]


@settings(max_examples=15, deadline=None)
@given(
    which=st.integers(0, 59),
    crs=st.sampled_from([CRS84, WGS84, UTM, MERCATOR]),
    turn=st.integers(0, 7),
    reverse=st.booleans(),
)
@pytest.mark.defect("get-put")
def test_no_parcel_creeps(
    staff: TestClient, rows: Any, which: int, crs: str, turn: int, reverse: bool
) -> None:
    """Whichever parcel, in whichever CRS, wherever its client begins the ring and turns it."""
    feature = staff.get(PARCELS, params={"limit": 60, "crs": crs}).json()["features"][which]
    stored = rows("SELECT ST_AsBinary(geom), run_id FROM data.parcel WHERE id = %s", feature["id"])
    for polygon in feature["geometry"]["coordinates"]:
        ring = polygon[0][:-1]
        at = turn % len(ring)
        ring = ring[at:] + ring[:at]
        ring = ring[::-1] if reverse else ring
        polygon[0] = [*ring, ring[0]]
    answer = put(staff, feature, "*", headers={"Content-Crs": f"<{crs}>"})
    assert answer.status_code == 204, answer.text
    again = rows("SELECT ST_AsBinary(geom), run_id FROM data.parcel WHERE id = %s", feature["id"])
    assert again == stored


def test_one_moved_corner_leaves_the_others_where_they_are(staff: TestClient, rows: Any) -> None:
    feature, tag = found(staff)
    inside = shapely.from_geojson(json.dumps(feature["geometry"])).centroid
    ring = feature["geometry"]["coordinates"][0][0]
    stored = shapely.from_wkb(
        rows("SELECT ST_AsBinary(geom) FROM data.parcel WHERE id = %s", feature["id"])[0][0]
    )
    corner = ring[1]
    ring[1] = [corner[0] + (inside.x - corner[0]) / 100, corner[1] + (inside.y - corner[1]) / 100]
    feature["properties"]["area_grid_m2"] = stored.area  # as it was read: it is measured anew
    answer = put(staff, feature, tag, headers={"Prefer": "return=representation"})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    moved = shapely.from_wkb(
        rows("SELECT ST_AsBinary(geom) FROM data.parcel WHERE id = %s", feature["id"])[0][0]
    )
    before, after = shapely.get_coordinates(stored), shapely.get_coordinates(moved)
    assert [n for n in range(len(before)) if (before[n] != after[n]).any()] == [1]
    assert made["properties"]["area_grid_m2"] == pytest.approx(moved.area, abs=0.01)
    assert made["properties"]["area_grid_m2"] != pytest.approx(stored.area, abs=0.01)
    undo_last(staff)


def undo_last(client: TestClient) -> None:
    """The latest edit is taken back, as a load would be."""
    site = client.app.state.site  # type: ignore[attr-defined]
    with site.database.connect("loader") as connection:
        run = ledger.runs(connection, limit=1)[0]
        while run.kind != "edit":
            run = next(one for one in ledger.runs(connection) if one.kind == "edit")
    history.undo(site.database, site.schemas, run.id)


@pytest.mark.defect("W1")
def test_lon_lat_is_transformed_and_never_stored_as_it_is(staff: TestClient, rows: Any) -> None:
    answer = post(staff, PLACES, place("w1", 50.8764, 34.6401))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].startswith("http://makan.test/collections/poi/items/")
    assert answer.json()["properties"]["name_fa"] == "بوستان"
    x, y, srid = rows(
        "SELECT ST_X(geom), ST_Y(geom), ST_SRID(geom) FROM data.poi WHERE poi_id = 'w1'"
    )[0]
    # domain.md 1.0: the place check.
    assert (x, y) == (pytest.approx(488672.13, abs=0.01), pytest.approx(3833139.65, abs=0.01))
    assert srid == 32639
    got = staff.get(answer.headers["location"])
    assert got.json()["geometry"]["coordinates"] == pytest.approx([50.8764, 34.6401], abs=1e-8)
    assert got.headers["etag"] == answer.headers["etag"]


@pytest.mark.defect("W1")
def test_axis_order_is_that_of_the_crs(staff: TestClient, rows: Any) -> None:
    for number, crs, pair in (
        ("w2", WGS84, (34.6401, 50.8764)),
        ("w3", UTM, (488672.13, 3833139.65)),
        ("w4", MERCATOR, (5663534.94, 4115079.10)),
    ):
        answer = post(staff, PLACES, place(number, *pair), **{"Content-Crs": f"<{crs}>"})
        assert answer.status_code == 201, answer.text
        assert answer.headers["content-crs"] == f"<{crs}>"
        assert answer.json()["geometry"]["coordinates"] == pytest.approx(list(pair), abs=0.005)
    stored = rows("SELECT ST_X(geom), ST_Y(geom) FROM data.poi WHERE poi_id IN ('w2', 'w3', 'w4')")
    for x, y in stored:
        assert (x, y) == (pytest.approx(488672.13, abs=0.02), pytest.approx(3833139.65, abs=0.02))


def test_swapped_axes_and_far_places_are_told(staff: TestClient, rows: Any) -> None:
    swapped = post(staff, PLACES, place("w5", 34.6401, 50.8764))
    assert (swapped.status_code, codes(swapped)) == (422, ["geometry.swapped"])
    outside = post(staff, PLACES, place("w5", 51.39, 35.69))
    assert (outside.status_code, codes(outside)) == (422, ["geometry.outside"])
    assert not rows("SELECT 1 FROM data.poi WHERE poi_id = 'w5'")
    unknown = post(staff, PLACES, place("w5", 1, 2), **{"Content-Crs": "<http://x/EPSG/0/4230>"})
    assert unknown.status_code == 400


@pytest.mark.defect("W4")
def test_a_version_must_be_named_and_be_the_one_in_force(staff: TestClient, rows: Any) -> None:
    feature, tag = found(staff)
    assert put(staff, feature, None).status_code == 428
    assert put(staff, feature, '"1-00"').status_code == 412
    assert put(staff, feature, "W/" + tag).status_code == 412
    assert put(staff, feature, f'"1-00", {tag}').status_code == 204
    for answer in (put(staff, feature, None), put(staff, feature, '"1-00"')):
        assert answer.headers["content-type"] == "application/problem+json"
    compressed = f'{plain(tag)[:-1]}-gzip"'
    assert put(staff, feature, compressed).status_code == 204


@pytest.mark.defect("W4")
def test_of_two_writers_with_the_same_version_one_wins(staff: TestClient, rows: Any) -> None:
    made = post(staff, PLACES, place("race", 50.8764, 34.6401))
    number, tag = made.headers["location"].rsplit("/", 1)[1], made.headers["etag"]
    start = threading.Barrier(6)

    def write(turn: int) -> int:
        feature = {**place("race", 50.8764, 34.6401, name_en=f"writer {turn}"), "id": int(number)}
        start.wait()
        status: int = put(staff, feature, tag, path=f"{PLACES}/{number}").status_code
        return status

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(write, range(6)))
    assert statuses == [204, 412, 412, 412, 412, 412]
    assert len(rows("SELECT 1 FROM history.poi WHERE poi_id = 'race'")) == 1


@pytest.mark.defect("W3")
def test_put_to_nothing_is_no_creation(staff: TestClient, rows: Any) -> None:
    feature, _ = found(staff)
    count = rows("SELECT count(*) FROM data.parcel")
    for number in (999_999_999, "x", "%00"):
        answer = put(staff, {**feature, "id": 999_999_999}, "*", path=f"{PARCELS}/{number}")
        assert answer.status_code == 404, number
    assert rows("SELECT count(*) FROM data.parcel") == count
    assert staff.delete(f"{PARCELS}/999999999", headers={"If-Match": "*"}).status_code == 404


@pytest.mark.defect("W2")
def test_the_body_cannot_be_of_another_feature(staff: TestClient, rows: Any) -> None:
    feature, _ = found(staff)
    other, _ = found(staff, "1-12-45-8-0-0-0")
    before = rows("SELECT * FROM data.parcel ORDER BY id")
    answer = put(staff, other, "*", path=f"{PARCELS}/{feature['id']}")
    assert answer.status_code == 400
    assert str(other["id"]) in answer.json()["detail"]
    assert rows("SELECT * FROM data.parcel ORDER BY id") == before


@pytest.mark.defect("W5")
def test_merge_patch_changes_what_it_names(staff: TestClient, rows: Any) -> None:
    feature, tag = found(staff)
    patch = {"properties": {"land_use": "commercial", "area_measured_m2": None}}
    answer = staff.patch(
        f"{PARCELS}/{feature['id']}",
        content=json.dumps(patch),
        headers={"Content-Type": "application/merge-patch+json", "If-Match": tag},
    )
    assert answer.status_code == 204, answer.text
    current = staff.get(f"{PARCELS}/{feature['id']}").headers["etag"]
    assert answer.headers["etag"] == plain(current) != plain(tag)
    made, _ = found(staff)
    changed = {n for n, v in made["properties"].items() if feature["properties"][n] != v}
    assert changed == {"land_use", "area_measured_m2"}
    assert made["properties"]["area_measured_m2"] is None
    assert made["geometry"] == feature["geometry"]
    undo_last(staff)
    assert found(staff)[0]["properties"] == feature["properties"]
    assert fresh_tag(staff, feature["id"]) == tag


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"land_use": "casino"}, ("value.code_unknown", "land_use")),
        ({"nosazi": None}, ("value.missing", "nosazi")),
        ({"nosazi": "1-12-x"}, ("value.pattern", "nosazi")),
        ({"area_deed_m2": "200"}, ("value.type", "area_deed_m2")),
        ({"area_deed_m2": -1}, ("value.range", "area_deed_m2")),
        ({"owner": "کسی"}, ("edit.unknown_property", "owner")),
        ({"area_grid_m2": 1.0}, ("edit.read_only", "area_grid_m2")),
    ],
)
@pytest.mark.defect("W6")
def test_what_a_load_would_find_is_in_the_answer(
    staff: TestClient, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    feature, tag = found(staff)
    feature["properties"] |= change
    answer = put(staff, feature, tag)
    assert answer.status_code == 422, answer.text
    told = [(one["code"], one["field"]) for one in answer.json()["findings"]]
    assert told == [expected]
    messages = answer.json()["findings"][0]["messages"]
    assert set(messages) == {"en", "fa"}
    assert messages["fa"] != messages["en"]
    assert fresh_tag(staff, feature["id"]) == tag


@pytest.mark.defect("W7")
def test_a_crossing_outline_is_refused_with_its_place(staff: TestClient) -> None:
    """domain.md AML-2."""
    ring = [[488700, 3833300], [488720, 3833320], [488720, 3833300], [488700, 3833320]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "project_no": "PR-X", "project_kind": "public_space", "notice_date": "2024-05-20",
        },
    }  # fmt: skip
    answer = post(staff, "/collections/plan-projects/items", feature, **{"Content-Crs": f"<{UTM}>"})
    assert answer.status_code == 422
    (told,) = answer.json()["findings"]
    assert told["code"] == "geometry.unrepairable"
    assert "488710 3833310" in told["message"]


def test_a_parcel_over_its_neighbour_is_refused(staff: TestClient, rows: Any) -> None:
    feature, tag = found(staff, crs=UTM)
    x0, y0, x1, y1 = shapely.from_geojson(json.dumps(feature["geometry"])).bounds
    wide = shapely.box(x0, y0, x1 + 2.0, y1)
    feature["geometry"] = json.loads(shapely.to_geojson(shapely.MultiPolygon([wide])))
    feature["properties"]["area_deed_m2"] = None
    before = rows("SELECT count(*) FROM ops.run WHERE kind = 'edit'")
    answer = put(staff, feature, tag, headers={"Content-Crs": f"<{UTM}>"})
    assert answer.status_code == 422, answer.text
    told = {one["code"]: one for one in answer.json()["findings"]}
    assert "fabric.overlap" in told
    assert told["fabric.overlap"]["detail"].startswith("40.00 m2")
    east, north = told["fabric.overlap"]["place"]["coordinates"]
    assert x1 <= east <= x1 + 2.0
    assert y0 <= north <= y1
    assert rows("SELECT count(*) FROM ops.run WHERE kind = 'edit'") == before
    assert fresh_tag(staff, feature["id"], UTM) == tag


@pytest.mark.defect("W6")
def test_keys_identify(staff: TestClient) -> None:
    assert post(staff, PLACES, place("k1", 50.8764, 34.6401)).status_code == 201
    again = post(staff, PLACES, place("k1", 50.8765, 34.6401))
    assert (again.status_code, codes(again)) == (409, ["edit.key_taken"])
    other = post(staff, PLACES, place("k2", 50.8764, 34.6402))
    number = int(other.headers["location"].rsplit("/", 1)[1])
    renamed = {**place("k1", 50.8764, 34.6402), "id": number}
    answer = put(staff, renamed, other.headers["etag"], path=f"{PLACES}/{number}")
    assert (answer.status_code, codes(answer)) == (409, ["edit.key_taken"])


def test_deleted_is_gone_and_kept(staff: TestClient, rows: Any, written: Database) -> None:
    made = post(staff, PLACES, place("d1", 50.8764, 34.6401, name_en="Gone Soon"))
    path = made.headers["location"].removeprefix("http://makan.test")
    assert staff.delete(path).status_code == 428
    answer = staff.delete(path, headers={"If-Match": made.headers["etag"]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert staff.get(path).status_code == 404
    assert rows("SELECT name_en FROM history.poi WHERE poi_id = 'd1'") == [("Gone Soon",)]
    site = staff.app.state.site  # type: ignore[attr-defined]
    with written.connect("loader") as connection:
        run = ledger.runs(connection, limit=5)[0]
        versions = history.versions(connection, site.schemas.layer("poi"), "d1")
        assert (run.kind, run.who, run.removed, run.file) == ("edit", "editor", 1, f"DELETE {path}")
        assert [one["file"] for one in versions] == [f"POST {PLACES}"]
        (change,) = history.difference(connection, site.schemas.layer("poi"), run.id - 1, run.id)
        assert (change.change, change.key) == ("removed", "d1")
    # Made again it is the same, at the same address.
    again = post(staff, PLACES, place("d1", 50.8764, 34.6401, name_en="Back Again"))
    assert again.headers["location"] == made.headers["location"]
    with written.connect("loader") as connection:
        (latest,) = ledger.runs(connection, limit=1)
    history.undo(written, site.schemas, latest.id)
    history.undo(written, site.schemas, run.id)
    assert staff.get(path).json()["properties"]["name_en"] == "Gone Soon"


def test_a_deleted_parcel_is_missed_by_what_names_it(staff: TestClient) -> None:
    """Its block is no longer filled, and what refers to it refers to nothing."""
    feature, tag = found(staff, "1-12-45-6-0-0-0")
    answer = staff.delete(f"{PARCELS}/{feature['id']}", headers={"If-Match": tag})
    assert answer.status_code in (204, 422)
    if answer.status_code == 204:
        undo_last(staff)
    else:
        assert all(one["message"] for one in answer.json()["findings"])
    assert found(staff, "1-12-45-6-0-0-0")[0]["id"] == feature["id"]


def test_what_an_auditor_has_seen_is_not_deleted(staff: TestClient, rows: Any) -> None:
    """SDB-2.3, as of a load: it does not just vanish, unless its lineage says what became of it."""
    feature, tag = found(staff, "1-12-45-8-0-0-0")
    path, code = f"{PARCELS}/{feature['id']}", "1-12-45-8-0-0-0"
    rows(
        "INSERT INTO facts.audit_parcel (subject_id, object_id, method, quality, score, "
        f"candidates, run_id) VALUES (1, {feature['id']}, 'exact_code', 'exact_code', 1, 1, 1) "
        "RETURNING 1"
    )
    answer = staff.delete(path, headers={"If-Match": tag})
    assert (answer.status_code, codes(answer)) == (422, ["lineage.missing"])
    (told,) = answer.json()["findings"]
    assert code in told["message"]
    assert staff.get(path).status_code == 200
    rows(
        "INSERT INTO data.parcel_lineage (case_ref, lineage_op, parent_code, child_code, "
        "child_kind, area_transferred_m2, run_id, source_line) VALUES ('E-1', 'merge', "
        f"'{code}', '1-12-45-7-0-0-0', 'parcel', 200, 1, 1) RETURNING 1"
    )
    answer = staff.delete(path, headers={"If-Match": tag})
    if answer.status_code == 204:
        undo_last(staff)
    else:
        assert "lineage.missing" not in codes(answer)
    rows("DELETE FROM facts.audit_parcel RETURNING 1")
    rows("DELETE FROM data.parcel_lineage RETURNING 1")


def test_counts_and_pages_know_at_once(staff: TestClient) -> None:
    count = staff.get(PLACES, params={"limit": 1})
    tag, matched = count.headers["etag"], count.json()["numberMatched"]
    made = post(staff, PLACES, place("c1", 50.8764, 34.6401))
    again = staff.get(PLACES, params={"limit": 1}, headers={"If-None-Match": tag})
    assert again.status_code == 200
    assert again.json()["numberMatched"] == matched + 1
    path = made.headers["location"]
    assert staff.delete(path, headers={"If-Match": "*"}).status_code == 204
    assert staff.get(PLACES, params={"limit": 1}).json()["numberMatched"] == matched


def test_facts_follow(staff: TestClient, written: Database, rows: Any) -> None:
    feature, tag = found(staff)
    asked = (
        "SELECT f.state FROM ops.fact_state f JOIN ops.fact_input i ON i.fact = f.id "
        "WHERE i.layer = 'parcel'"
    )
    patch = json.dumps({"properties": {"land_use": "health"}})
    kind = {"Content-Type": "application/merge-patch+json", "If-Match": tag}
    assert staff.patch(f"{PARCELS}/{feature['id']}", content=patch, headers=kind).status_code == 204
    assert "stale" in {state for (state,) in rows(asked)}
    with written.connect("editor", autocommit=True) as connection:
        Refresher(written, registry.load("qom"), "editor").catch_up(connection)
    assert {state for (state,) in rows(asked)} == {"fresh"}
    undo_last(staff)


def test_only_keys_that_write_write(staff: TestClient, keys: dict[str, str]) -> None:
    feature, tag = found(staff)
    reader = {"X-API-Key": keys["reader"]}
    assert put(staff, feature, tag, headers=reader).status_code == 403
    assert put(staff, feature, tag, headers={"X-API-Key": keys["places"]}).status_code == 403
    answer = post(staff, PLACES, place("r1", 50.8764, 34.6401), **{"X-API-Key": keys["places"]})
    assert answer.status_code == 201
    assert put(staff, feature, tag, headers={"X-API-Key": "makan_none"}).status_code == 401


def test_the_public_server_writes_nothing(public: TestClient) -> None:
    feature = public.get(PARCELS, params={"limit": 1}).json()["features"][0]
    path = f"{PARCELS}/{feature['id']}"
    for answer in (
        post(public, PARCELS, feature),
        put(public, feature, "*", path=path),
        public.delete(path, headers={"If-Match": "*"}),
    ):
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert not any("features-4" in name for name in public.get("/conformance").json()["conformsTo"])


def test_options_tell_what_is_possible(staff: TestClient) -> None:
    many, one = staff.options(PARCELS), staff.options(f"{PARCELS}/1")
    assert many.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert many.headers["accept-post"] == "application/geo+json, application/json"
    assert one.headers["allow"] == "GET, HEAD, OPTIONS, PUT, PATCH, DELETE"
    assert one.headers["accept-patch"] == "application/merge-patch+json"
    blocked = staff.options("/collections/blocks/items/1")
    assert blocked.headers["allow"] == "GET, HEAD, OPTIONS"


GEOJSON = "application/geo+json"
POINT = b'{"type":"Feature","geometry":{"type":"Point","coordinates":[%b]}}'


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", GEOJSON, 400),
        (b"[]", GEOJSON, 400),
        (b"{", "application/geo+json; charset=utf-8", 400),
        (b'{"type":"FeatureCollection","features":[]}', GEOJSON, 400),
        (b'{"type":"Feature","geometry":5,"properties":{}}', GEOJSON, 400),
        (b'{"type":"Feature","geometry":null,"properties":5}', GEOJSON, 400),
        (POINT % b"NaN,1", GEOJSON, 400),
        (POINT % b"1e400,1", GEOJSON, 400),
        (POINT % b'"a"', GEOJSON, 422),
        (b'{"type":"Feature","geometry":{"type":"Circle"}}', GEOJSON, 422),
        (b'{"type":"Feature","geometry":null,"properties":null}', GEOJSON, 422),
        (b'{"type":"Feature","properties":{"poi_id":"\\u0000"}}', GEOJSON, 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b" " * 1_000_001, GEOJSON, 413),
    ],
)
@pytest.mark.defect("W6", "W9")
def test_bad_bodies_are_never_an_error_of_ours(
    staff: TestClient, content: bytes, kind: str, status: int
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = staff.post(PLACES, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert staff.post(f"{PLACES}?x=1", content=content, headers=headers).status_code in (400, 415)


@pytest.mark.defect("W8")
def test_a_media_type_may_name_its_charset(staff: TestClient) -> None:
    kind = {"Content-Type": "application/geo+json; charset=utf-8"}
    made = post(staff, PLACES, place("charset", 50.8764, 34.6401), **kind)
    assert made.status_code == 201, made.text
    path = made.headers["location"].removeprefix("http://makan.test")
    assert staff.delete(path, headers={"If-Match": "*"}).status_code == 204


def test_a_load_that_holds_the_layer_is_waited_for_and_told(
    staff: TestClient, written: Database
) -> None:
    with written.connect("loader", autocommit=True) as connection:
        ledger.lock(connection, "poi")
        answer = post(staff, PLACES, place("b1", 50.8764, 34.6401))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert post(staff, PLACES, place("b1", 50.8764, 34.6401)).status_code == 201


def test_the_roles_can_do_no_more(written: Database) -> None:
    site_role = "makan_editor"
    with written.connect("owner") as connection:
        asked = "SELECT has_table_privilege(%s, %s, %s)"

        def may(table: str, what: str, role: str = site_role) -> Any:
            return connection.execute(asked, [role, table, what]).fetchone()[0]  # type: ignore[index]

        assert may("data.parcel", "UPDATE")
        assert not may("data.block", "UPDATE")
        assert not may("history.parcel", "DELETE")
        assert not may("ops.access_key", "SELECT")
        assert not may("ops.run", "UPDATE")
        assert not may("private.audit_record", "SELECT")
        assert not may("private.audit_record", "INSERT")
        for role in ("makan_staff", "makan_reader"):
            for what in ("INSERT", "UPDATE", "DELETE"):
                assert not may("data.parcel", what, role)
                assert not may("api_staff.parcel", what, role)


def test_a_delivery_that_replaces_an_edit_says_so(
    staff: TestClient, written: Database, tmp_path: Path, rows: Any
) -> None:
    """The office's rows win, the edit is kept and named; what was made here stays."""
    schemas = staff.app.state.site.schemas  # type: ignore[attr-defined]
    feed = schemas.feed("pois")
    (before,) = rows("SELECT poi_id, name_fa FROM data.poi WHERE poi_id = 'AM-00001'")
    number = staff.get(PLACES, params={"poi_id": before[0]}).json()["features"][0]["id"]
    patch = json.dumps({"properties": {"name_en": "Edited Here"}})
    kind = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
    assert staff.patch(f"{PLACES}/{number}", content=patch, headers=kind).status_code == 204
    assert post(staff, PLACES, place("made-here", 50.8764, 34.6401)).status_code == 201
    (file,) = Path(written.settings.home).parent.glob(feed.source.match[0])
    context = loading.context_for(schemas, feed.id)
    outcome = loading.load(written, file, context, batch_rows=1000, progress=lambda *_: None)
    assert outcome.status == "done"
    assert outcome.counts[("edit.overtaken", None)] == 1
    told = rows(
        "SELECT key, value FROM ops.finding WHERE run_id = %s AND code = 'edit.overtaken'",
        outcome.run,
    )
    assert told == [(before[0], "editor")]
    names = rows("SELECT name_en FROM history.poi WHERE poi_id = %s", before[0])
    assert ("Edited Here",) in names
    assert rows("SELECT count(*) FROM data.poi WHERE poi_id = 'made-here'") == [(1,)]


def test_warnings_are_told_and_kept(staff: TestClient, rows: Any) -> None:
    feature, tag = found(staff)
    feature["properties"]["area_deed_m2"] = 320.0  # 60 % more than the map says
    answer = put(staff, feature, tag, headers={"Prefer": "return=representation"})
    assert answer.status_code == 200, answer.text
    (told,) = answer.json()["findings"]
    assert (told["code"], told["field"]) == ("rule.broken", "deed_near_grid")
    run = answer.headers["etag"].strip('"').split("-")[0]
    kept = rows(
        "SELECT code, severity, key, ST_Within(f.place, p.geom) FROM ops.finding f "
        "JOIN data.parcel p ON p.parcel_code = f.key AND p.run_id = f.run_id WHERE f.run_id = %s",
        run,
    )
    assert kept == [("rule.broken", "warning", P7, True)]
    undo_last(staff)


def test_a_view_is_where_the_layer_is_that_it_lies_within(staff: TestClient, rows: Any) -> None:
    """Nobody computes a whole view to know where it is: that took seconds of a server's start."""
    schemas = staff.app.state.site.schemas  # type: ignore[attr-defined]
    within = {one.id: one for one in schemas.layers.values() if one.publish.within}
    assert "parcel_plan" in within
    for name, layer in within.items():
        outer = schemas.layers[layer.publish.within].publish.collection
        (box,), (round_it,) = (
            staff.get(f"/collections/{one}?f=json").json()["extent"]["spatial"]["bbox"]
            for one in (layer.publish.collection, outer)
        )
        filled = rows(f"SELECT EXISTS (SELECT FROM derived.{name})")[0][0]
        assert (box == round_it) is filled, name
        boxes = (
            "SELECT ST_Expand(ST_Extent(p.geom), 0.01)::geometry, "
            f"(SELECT ST_Extent(v.geom)::geometry FROM derived.{name} v) FROM data.parcel p"
        )
        covers = f"SELECT ST_Covers(a, b) FROM ({boxes}) AS t (a, b)"
        assert rows(covers)[0][0] in (True, None), name
