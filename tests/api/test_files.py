"""Whole results as files: FlatGeobuf and GeoParquet say what the pages say."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.parquet
import pyogrio
import pytest
import shapely
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.serve import files
from pipeline.serve.params import query

UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"
EPSG4326 = "http://www.opengis.net/def/crs/EPSG/0/4326"


def read(content: bytes, form: str) -> Any:
    if form == "parquet":
        return geopandas.read_parquet(io.BytesIO(content))
    return pyogrio.read_dataframe(content)


@pytest.mark.parametrize("form", ["fgb", "parquet"])
@pytest.mark.parametrize("collection", ["parcels", "poi", "plan-documents", "plan-road-lines"])
def test_a_file_holds_what_the_pages_hold(client: TestClient, form: str, collection: str) -> None:
    address = f"/collections/{collection}/items"
    answer = client.get(address, params={"f": form})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-disposition"] == f'attachment; filename="{collection}.{form}"'
    frame = read(answer.content, form).sort_values("id")
    features = client.get(address, params={"limit": 1000}).json()["features"]
    assert list(frame["id"]) == [feature["id"] for feature in features]
    assert frame.crs.to_epsg() in (4326, None) or frame.crs.to_authority() == ("OGC", "CRS84")
    for (_, row), feature in zip(frame.iterrows(), features, strict=True):
        for name, value in feature["properties"].items():
            found = row[name]
            if value is None:
                assert found is None or found != found or str(found) == "NaT"
            elif hasattr(found, "isoformat"):
                assert str(found)[:10] == value[:10]
            else:
                assert found == value, name
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert row.geometry.geom_type == shape.geom_type
        assert shapely.hausdorff_distance(row.geometry, shape) < 1e-7


@pytest.mark.parametrize("form", ["fgb", "parquet"])
def test_coordinates_are_east_first_in_every_crs(client: TestClient, form: str) -> None:
    address = "/collections/parcels/items"
    stored = read(client.get(address, params={"f": form, "crs": UTM}).content, form)
    assert stored.crs.to_epsg() == 32639
    assert stored.sort_values("id").geometry.iloc[0].bounds == (490020, 3830000, 490035, 3830015)
    degrees = read(client.get(address, params={"f": form, "crs": EPSG4326}).content, form)
    west, south, *_ = degrees.total_bounds
    assert (round(west), round(south)) == (51, 35)


@pytest.mark.parametrize("form", ["fgb", "parquet"])
def test_filters_order_and_limits_hold(client: TestClient, form: str) -> None:
    address = "/collections/parcels/items"
    asked = {"f": form, "filter": "land_use = 'residential' AND id < 9", "properties": "land_use"}
    frame = read(client.get(address, params=asked).content, form)
    assert sorted(frame["id"]) == [1, 4, 6]
    assert list(frame.columns) == ["id", "land_use", "geometry"]
    some = read(client.get(address, params={"f": form, "limit": "3", "offset": "2"}).content, form)
    assert sorted(some["id"]) == [3, 4, 5]
    none = client.get(address, params={"f": form, "filter": "id < 0"})
    assert none.status_code == 200
    assert len(read(none.content, form)) == 0
    posted = client.post(
        "/collections/parcels/search",
        params={"f": form},
        json={"op": "=", "args": [{"property": "id"}, 7]},
    )
    assert list(read(posted.content, form)["id"]) == [7]


@pytest.mark.parametrize("form", ["fgb", "parquet"])
def test_who_reads_by_pages_misses_nothing(client: TestClient, form: str) -> None:
    """QGIS follows the header Link; without one it would take a part for the whole."""
    found: list[int] = []
    address = f"/collections/parcels/items?f={form}&limit=4"
    for _ in range(3):
        answer = client.get(address)
        assert answer.headers["ogc-numbermatched"] == "10"
        found += list(read(answer.content, form)["id"])
        following = answer.headers.get("link", "")
        if not following:
            break
        assert 'rel="next"' in following
        address = following.split(">")[0].removeprefix("<")
    assert sorted(found) == list(range(1, 11))
    assert "link" not in client.get(f"/collections/parcels/items?f={form}").headers


def test_a_table_without_places_is_parquet_alone(client: TestClient, city: Any) -> None:
    refused = client.get("/collections/zone-rules/items?f=fgb")
    assert refused.status_code == 400
    assert "parquet" in refused.json()["detail"]
    table = pyarrow.parquet.read_table(
        io.BytesIO(client.get("/collections/zone-rules/items?f=parquet").content)
    )
    assert "geometry" not in table.column_names
    assert b"geo" not in (table.schema.metadata or {})
    plain = client.get("/collections/parcels/items?f=parquet&skipGeometry=true").content
    assert "geometry" not in pyarrow.parquet.read_table(io.BytesIO(plain)).column_names


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "resulttype=hits", "filter=nonsense=1", "limit=0", "crs=nonsense", "nonsense=1"],
)
def test_what_no_file_can_be_is_said(client: TestClient, query: str) -> None:
    for form in ("fgb", "parquet"):
        answer = client.get(f"/collections/parcels/items?f={form}&{query}")
        assert answer.status_code == 400, query
        assert answer.json()["detail"]


def test_geoparquet_metadata(client: TestClient) -> None:
    content = client.get("/collections/parcels/items", params={"f": "parquet", "crs": UTM}).content
    metadata = pyarrow.parquet.read_schema(io.BytesIO(content)).metadata
    geo = json.loads(metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["MultiPolygon"])
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32639}


def test_files_have_tags_of_the_load(client: TestClient) -> None:
    address = "/collections/parcels/items?f=fgb"
    first = client.get(address)
    again = client.get(address, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert (
        client.get("/collections/parcels/items?f=parquet").headers["etag"]
        != (first.headers["etag"])
    )


def test_formats_are_linked_and_documented(client: TestClient) -> None:
    page = client.get("/collections/parcels/items?limit=1").json()
    kinds = {link["type"] for link in page["links"]}
    assert {"application/flatgeobuf", "application/vnd.apache.parquet"} <= kinds
    document = client.get("/openapi?f=json").json()
    content = document["paths"]["/collections/parcels/items"]["get"]["responses"]["200"]["content"]
    assert "application/flatgeobuf" in content
    asked = client.get("/collections/parcels/items", headers={"accept": "application/flatgeobuf"})
    assert asked.headers["content-type"] == "application/flatgeobuf"


def test_hidden_columns_are_in_no_file(client: TestClient, schemas: Schemas) -> None:
    layer = schemas.layer("parcel")
    hidden = {f.name for f in layer.fields} - {
        f.name for f in schemas.audience("public").fields(layer)
    }
    assert hidden
    for form in ("fgb", "parquet"):
        answer = client.get(f"/collections/parcels/items?f={form}")
        assert b"secret-" not in answer.content
        assert not hidden & set(read(answer.content, form).columns)


def test_one_file_at_a_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told to come again, and pages are served meanwhile."""
    begun, go = threading.Event(), threading.Event()

    class Slow(files.Gdal):
        def __call__(self, rows: Any, path: Path, **more: str) -> None:
            begun.set()
            go.wait(20)
            super().__call__(rows, path, **more)

    monkeypatch.setattr(files, "Gdal", Slow)
    answers: list[int] = []
    address = "/collections/parcels/items?f=fgb"
    thread = threading.Thread(target=lambda: answers.append(client.get(address).status_code))
    thread.start()
    assert begun.wait(20)
    busy = client.get(address)
    assert busy.status_code == 503
    assert busy.headers["retry-after"]
    assert client.get("/collections/parcels/items?limit=1").status_code == 200
    go.set()
    thread.join(20)
    assert answers == [200]
    assert client.get(address).status_code == 200


def test_nothing_stays_behind(client: TestClient, published: Path) -> None:
    client.get("/collections/parcels/items?f=fgb")
    cache = published.parents[1] / "cache"
    assert [path.name for path in cache.iterdir()] == ["pages"]


@pytest.mark.defect("outlives")
def test_who_leaves_ends_the_work(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone() -> bool:
        return True

    class Slow(files.Gdal):
        def __call__(self, rows: Any, path: Path, **more: str) -> None:
            del path, more
            list(rows)

    monkeypatch.setattr(files, "Gdal", Slow)
    found = client.app.state.site
    wished = query(found.served["parcels"], {}, whole=True)
    statement = wished.rows()
    slow = statement._replace(sql=statement.sql.replace(b"SELECT ", b"SELECT pg_sleep(1), ", 1))

    class Sleeping:
        served, shape, cursor, hits = wished.served, wished.shape, None, False
        columns = wished.columns

        @staticmethod
        def rows(**_: bool) -> Any:
            return slow

    own = files.Files(found.database, "reader", found.files.folder, asyncio.Semaphore(1))
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(own.answer(Sleeping(), "fgb", gone))  # type: ignore[arg-type]
    assert time.monotonic() - began < 5
