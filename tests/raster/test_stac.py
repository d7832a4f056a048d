"""The STAC tree is valid and whole, and its search honours every condition."""

from __future__ import annotations

import html
import json
import random
import re
import time
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pystac
import pytest
import shapely
from jsonschema import Draft7Validator, ValidationError
from pystac.validation import validate_dict
from pystac.validation.local_validator import get_local_schema_cache
from rasterio.io import MemoryFile
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from pipeline.contracts.registry import Schemas
from pipeline.db import derived
from pipeline.db.arrival import fingerprint
from pipeline.serve import stac_search
from pipeline.serve.errors import Problem
from pipeline.serve.stac_items import Holding
from tests.raster.conftest import NORTH, Imagery

FRAMES = "aerial-frames"
SCHEMAS = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "stac_schemas").glob("*.json"))
]
PREFIXES = {"proj": "projection", "file": "file", "view": "view"}


def _fly(imagery: Imagery, schemas: Schemas, count: int) -> None:
    """Frames of two years, each a triangle: what `makan frames load` writes."""
    layer = schemas.layer("aerial_frame")
    empty = dict.fromkeys(field.name for field in layer.fields)
    rows = []
    for n, x in enumerate((488_600, 488_700, 488_800, 489_900)[:count], start=1):
        shape = shapely.Polygon([(x, NORTH), (x + 90, NORTH), (x + 90, NORTH + 90)])
        told = {"frame_name": f"f{n}", "frame_no": n, "flown_on": date(2019 + n % 2, 5, n)}
        more = {
            "block_name": "b",
            "strip_no": 1,
            "gsd_m": 0.1,
            "tilt_deg": 1.5,
            "geom": shapely.to_wkb(shape),
        }
        rows.append({**empty, **told, **more})
    with imagery.database.connect("loader") as connection:
        arrived = fingerprint(imagery.file("dem"))
        batch = derived.Batch(layer, rows, {"block_name": "b"})
        derived.replace(connection, batch, arrived, schemas.city.srid)


@pytest.fixture(scope="module")
def tree(imagery: Imagery, schemas: Schemas) -> Imagery:
    """The server's tree, with four frames."""
    _fly(imagery, schemas, 4)
    return imagery


def _ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [feature["id"] for feature in answer.json()["features"]]


@pytest.mark.defect("clients-14")
def test_the_tree_is_walked_and_valid(tree: Imagery) -> None:
    root = tree.get("/stac").json()
    catalog = pystac.Catalog.from_dict(root)
    assert catalog.id == "makan-qom"
    seen = {}
    for link in root["links"]:
        if link["rel"] == "child":
            content = httpx2.get(link["href"]).json()
            collection = pystac.Collection.from_dict(content)
            items = [pystac.Item.from_dict(httpx2.get(x["href"]).json())
                     for x in content["links"] if x["rel"] == "item"]  # fmt: skip
            seen[collection.id] = items
            west, south, east, north = collection.extent.spatial.bboxes[0]
            assert all(
                west <= i.bbox[0]
                and south <= i.bbox[1]
                and i.bbox[2] <= east
                and i.bbox[3] <= north
                for i in items
            )
    assert {name: len(items) for name, items in seen.items()} == {
        "orthophoto": 2, "dem": 1, FRAMES: 4
    }  # fmt: skip
    listed = tree.get("/stac/collections").json()["collections"]
    assert {one["id"] for one in listed} == seen.keys()
    old = next(item for item in seen["orthophoto"] if item.datetime.year == 2019)
    assert old.properties["proj:code"] == "EPSG:32639"
    asset = old.assets["data"]
    assert asset.media_type.startswith("image/tiff; application=geotiff")
    file = httpx2.get(asset.href, headers={"Range": "bytes=0-3"})
    assert (file.status_code, file.content[:2]) == (206, b"II")
    assert int(file.headers["content-range"].rsplit("/", 1)[1]) == asset.extra_fields["file:size"]
    (model,) = seen["dem"]
    assert model.datetime is None
    assert model.common_metadata.start_datetime < model.common_metadata.end_datetime


def test_people_walk_the_tree_by_pages(tree: Imagery) -> None:
    """Programs get JSON unless they ask for pages; browsers get pages, each a step of the tree."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert tree.get("/stac").headers["content-type"] == "application/json"
    place = "/stac?lang=fa"
    for step in ("/stac/collections/orthophoto", "/items?", "/items/"):
        page = tree.get(place, headers=browser)
        assert page.headers["content-type"].startswith("text/html"), place
        assert 'dir="rtl"' in page.text
        found = [html.unescape(one) for one in re.findall(r'href="([^"]*)"', page.text)]
        place = next(one for one in found if step in one and "/stac" in one)
    page = tree.get(place, headers=browser)
    assert page.status_code == 200
    assert ".tif" in page.text
    assert tree.get("/stac/search?f=html&lang=en").text.count("/items/") >= 2


def test_items_are_valid_by_the_schema_of_stac(tree: Imagery) -> None:
    for path in ("/stac", "/stac/collections/orthophoto", f"/stac/collections/{FRAMES}"):
        content = tree.get(path).json()
        assert content["stac_version"] == "1.1.0"
        assert validate_dict(content)
        assert {"self", "root"} <= {link["rel"] for link in content["links"]}
    for one in tree.get("/stac/search?limit=100").json()["features"]:
        assert {"self", "root", "parent", "collection"} <= {link["rel"] for link in one["links"]}
        given = one["properties"]
        assert given["datetime"] or (given["start_datetime"] and given["end_datetime"])
        assert validate_dict({**one, "stac_extensions": []})
        _judge_extensions(one)


def _judge_extensions(item: dict[str, Any]) -> None:
    """By the published schema of every extension it names; it names every one that it uses."""
    known = {schema["$id"].rstrip("#"): schema for schema in SCHEMAS}
    local = {address: Resource.from_contents(schema, DRAFT7) for address, schema in
             {**get_local_schema_cache(), **known}.items()}  # fmt: skip
    registry: Registry[Any] = Registry().with_resources(local.items())
    for address in item["stac_extensions"]:
        Draft7Validator(known[address], registry=registry).validate(item)
    parts = (item["properties"], *item["assets"].values())
    used = {name.split(":")[0] for part in parts for name in part if ":" in name}
    named = {address.split("/")[3] for address in item["stac_extensions"]}
    assert {PREFIXES[prefix] for prefix in used} == named


@pytest.mark.parametrize(
    "wrong", [{"proj:bbox": [1.0, 2.0]}, {"proj:shape": ["a", 2]}, {"proj:code": 32639}]
)
def test_the_schemas_of_extensions_refuse_what_is_wrong(
    tree: Imagery, wrong: dict[str, Any]
) -> None:
    one = tree.get("/stac/search?collections=orthophoto").json()["features"][0]
    with pytest.raises(ValidationError):
        _judge_extensions({**one, "properties": {**one["properties"], **wrong}})


def test_the_grid_of_a_sheet_is_that_of_its_file(tree: Imagery) -> None:
    for one in tree.get("/stac/search?collections=orthophoto,dem").json()["features"]:
        given, asset = one["properties"], one["assets"]["data"]
        with MemoryFile(httpx2.get(asset["href"]).content) as content, content.open() as file:
            assert given["proj:shape"] == list(file.shape)
            assert given["proj:transform"] == list(file.transform)[:6]
            assert given["proj:bbox"] == list(file.bounds)
            assert [band["data_type"] for band in asset["bands"]] == list(file.dtypes)
            assert [band.get("nodata") for band in asset["bands"]] == list(file.nodatavals)
    assert [band["name"] for band in asset["bands"]] in (["height"], ["red", "green", "blue"])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 7),
        ({"collections": "orthophoto"}, 2),
        ({"collections": "orthophoto,dem"}, 3),
        ({"collections": "none"}, 0),
        ({"ids": "1,3"}, 2),
        ({"ids": "1,3", "collections": "orthophoto"}, 0),
        ({"datetime": "2019-01-01/2019-12-31", "collections": "orthophoto,aerial-frames"}, 3),
        ({"datetime": "2024-06-02"}, 2),
        ({"datetime": "2030-01-01/.."}, 0),
        ({"bbox": "50.87,34.63,50.89,34.65", "collections": FRAMES}, 4),
        ({"bbox": "0,0,1,1"}, 0),
        ({"limit": "2"}, 7),
    ],
)
@pytest.mark.defect("clients-14")
def test_a_search_by_each_condition(tree: Imagery, query: dict[str, str], count: int) -> None:
    by_address = tree.get("/stac/search", **query)
    assert by_address.json()["numberMatched"] == count
    body: dict[str, Any] = {
        name: value if name == "datetime" else value.split(",") for name, value in query.items()
    }
    if "bbox" in body:
        body["bbox"] = [float(value) for value in body["bbox"]]
    if "limit" in body:
        body["limit"] = int(query["limit"])
    posted = httpx2.post(f"{tree.base}/stac/search", json=body)
    assert _ids(posted) == _ids(by_address)


def test_a_search_by_shape_is_no_search_by_box(tree: Imagery) -> None:
    # Frames are triangles: this point is in the box of the first, and not in the triangle.
    move = pytest.importorskip("pyproj").Transformer.from_crs(32639, 4326, always_xy=True)
    inside, outside = (
        move.transform(488_600 + dx, 3_833_000 + dy) for dx, dy in ((60, 20), (20, 80))
    )
    for place, found in ((inside, ["1"]), (outside, [])):
        shape = {"type": "Point", "coordinates": place}
        asked = {"intersects": shape, "collections": [FRAMES]}
        assert _ids(httpx2.post(f"{tree.base}/stac/search", json=asked)) == found
        query = {"intersects": json.dumps(shape), "collections": FRAMES}
        assert _ids(tree.get("/stac/search", **query)) == found


def test_pages_hold_every_item_once(tree: Imagery) -> None:
    found, href = [], f"{tree.base}/stac/search?limit=2"
    while href:
        page = httpx2.get(href).json()
        found += [feature["id"] for feature in page["features"]]
        href = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert sorted(found) == sorted(_ids(tree.get("/stac/search?limit=100")))
    body = {"limit": 3, "collections": [FRAMES]}
    page = httpx2.post(f"{tree.base}/stac/search", json=body).json()
    (link,) = [link for link in page["links"] if link["rel"] == "next"]
    rest = httpx2.post(link["href"], json=link["body"]).json()
    assert [len(page["features"]), len(rest["features"])] == [3, 1]


@pytest.mark.parametrize(
    "query", ["bbox=1,2,3", "bbox=1,2,3,x", "datetime=x", "limit=0", "limit=1001", "limit=a", "q=1",
              "intersects={", "bbox=0,0,1,1&intersects={}", "offset=-1"],
)  # fmt: skip
def test_what_cannot_be_asked(tree: Imagery, query: str) -> None:
    assert tree.get(f"/stac/search?{query}").status_code == 400


def test_what_is_not_there(tree: Imagery) -> None:
    for path in ("/stac/collections/parcels", "/stac/collections/dem/items/x", "/stac/x"):
        assert tree.get(path).status_code == 404
    tag = tree.get("/stac/collections").headers["etag"]
    assert tree.get("/stac/collections", {"If-None-Match": tag}).status_code == 304


def test_any_search_is_what_looking_at_every_item_finds() -> None:
    chance = random.Random(4)
    items = []
    for number in range(120):
        x, y, day = chance.uniform(-10, 10), chance.uniform(-10, 10), chance.randint(1, 28)
        shape = shapely.Point(x, y).buffer(chance.uniform(0.1, 2))
        items.append({
            "id": str(number), "geometry": json.loads(shapely.to_geojson(shape)),
            "properties": {"datetime": f"2020-{chance.randint(1, 12):02}-{day:02}T00:00:00Z"},
        })  # fmt: skip
    holding = Holding("c", {}, items)
    for _ in range(60):
        west, south = chance.uniform(-10, 8), chance.uniform(-10, 8)
        box = [west, south, west + chance.uniform(0, 6), south + chance.uniform(0, 6)]
        begin, end = sorted(chance.sample([f"2020-{m:02}-15" for m in range(1, 13)], 2))
        ids = [str(n) for n in chance.sample(range(140), 60)]
        asked = {"bbox": box, "datetime": f"{begin}/{end}", "ids": ids}
        chosen = {name: asked[name] for name in chance.sample(list(asked), chance.randint(0, 3))}
        found = stac_search.found([holding], stac_search.of_body(chosen))
        true = [
            item["id"] for item, shape in zip(items, holding.shapes, strict=True)
            if ("bbox" not in chosen or shapely.box(*box).intersects(shape))
            and ("datetime" not in chosen
                 or begin <= item["properties"]["datetime"][:10] <= end)
            and ("ids" not in chosen or item["id"] in ids)
        ]  # fmt: skip
        assert [item["id"] for item in found] == true
    assert np.array(holding.times).shape == (120, 2)
    with pytest.raises(Problem):
        stac_search.of_body({"limit": True})


def test_a_load_changes_the_tree(tree: Imagery, schemas: Schemas) -> None:
    asked = {"collections": FRAMES}
    assert tree.get("/stac/search", **asked).json()["numberMatched"] == 4
    _fly(tree, schemas, 3)
    deadline = time.monotonic() + 10
    while tree.get("/stac/search", **asked).json()["numberMatched"] == 4:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert _ids(tree.get("/stac/search", **asked)) == ["1", "2", "3"]
    _fly(tree, schemas, 4)


def test_a_raster_that_cannot_be_read_is_not_said_to_be_missing(tree: Imagery) -> None:
    cog = tree.file("dem")
    whole = cog.read_bytes()
    coverage = "/collections/dem/coverage?f=GTiff"
    crs = "http://www.opengis.net/def/crs/EPSG/0/32639"
    position = f"/collections/dem/position?coords=POINT(489000 3832700)&crs={crs}"
    assert {tree.get(address).status_code for address in (coverage, position)} == {200}
    try:
        for left, addresses in (whole[: len(whole) // 2], [coverage]), (b"", [coverage, position]):
            cog.write_bytes(left)
            for address in addresses:
                answer = tree.get(address)
                assert answer.status_code == 503, address
                assert answer.headers["retry-after"]
                assert "cannot be read" in answer.json()["detail"]
    finally:
        cog.write_bytes(whole)
    assert tree.get(coverage).status_code == 200
