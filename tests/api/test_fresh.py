"""Counts and ETags follow the ledger: kept while nothing changes, new after a load or an undo."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2 as httpx
import numpy as np
import orjson
import pytest
import rasterio
import yaml
from rasterio.transform import from_bounds
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.serve import publish
from pipeline.serve.query import Query
from pipeline.settings import Settings
from pipeline.stages import history
from tests.serving import Application

# What the server may be behind the ledger.
BEHIND_S = 1.0
ITEMS = "/collections/regions/items"
PLACE = "SRID=32639;MULTIPOLYGON(((490000 3830000,490100 3830000,490100 3830100,490000 3830000)))"


@dataclass
class Served:
    """A served database of this module's own, and loads of it as the pipeline records them."""

    client: TestClient
    database: Database
    schemas: Schemas

    def load(self, *codes: str) -> int:
        """Regions with these codes, and the run that brought them."""
        with self.database.connect("loader") as connection:
            row = connection.execute(
                "INSERT INTO ops.run (kind, layer, file, file_sha256, file_bytes, contract_sha256,"
                " code_version, who) VALUES ('load', 'region', 'f', 's', 0, 'c', '0', 'w')"
                " RETURNING id"
            ).fetchone()
            assert row is not None
            run = int(str(row[0]))
            for line, code in enumerate(codes, start=1):
                connection.execute(
                    "INSERT INTO data.region (region_code, name_fa, geom, run_id, source_line) "
                    "VALUES (%s, %s, %s, %s, %s)",
                    [code, f"منطقهٔ {code}", PLACE, run, line],
                )
            account = ledger.Account(arrived=len(codes), inserted=len(codes))
            ledger.finish(connection, run, "done", account)
        return run

    def undo(self, run: int) -> None:
        """The run is taken back."""
        history.undo(self.database, self.schemas, run)

    def get(self, address: str = ITEMS, **headers: str) -> httpx.Response:
        """An answer, as it is when the server has had its second; identity unless asked."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(address, headers={"accept-encoding": "identity", **given})


@pytest.fixture(scope="module")
def served(qom_template: Settings) -> Iterator[Served]:
    schemas = registry.load("qom")
    with testing.clone(qom_template) as database:
        settings = replace(database.settings, public_url="http://makan.test")
        application = Application(settings, schemas, database)
        with TestClient(application, base_url="http://makan.test") as client:
            yield Served(client, database, schemas)


def _wait() -> None:
    time.sleep(BEHIND_S)


def test_count_and_tag_follow_a_load_and_its_undo(served: Served) -> None:
    seen = []

    def look() -> None:
        _wait()
        answer = served.get()
        assert answer.headers["cache-control"] == "no-cache"
        tag = answer.headers["etag"]
        assert tag not in seen, "an undo is a new state, although the rows are the former ones"
        assert served.get(if_none_match=tag).status_code == 304
        for old in seen:
            assert served.get(if_none_match=old).status_code == 200
        seen.append(tag)
        matched = answer.json()["numberMatched"]
        hits = served.get(f"{ITEMS}?resulttype=hits").json()
        assert matched == hits["numberMatched"] == len(answer.json()["features"])
        counts.append(matched)

    counts: list[int] = []
    look()
    served.load("1", "2", "3")
    look()
    second = served.load("4", "5")
    look()
    served.undo(second)
    look()
    served.load("6")
    look()
    assert [count - counts[0] for count in counts] == [0, 3, 5, 3, 4]


def test_a_load_of_another_layer_changes_nothing(served: Served) -> None:
    _wait()
    address = "/collections/districts/items"
    tag = served.get(address).headers["etag"]
    served.load("71")
    _wait()
    assert served.get(address, if_none_match=tag).status_code == 304


@pytest.mark.defect("Q10")
def test_the_count_is_made_once_for_a_state(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.load("81", "82")
    _wait()
    asked: list[bool] = []
    page: Callable[..., object] = Query.page

    def told(query: Query, *, counted: bool = False) -> object:
        asked.append(counted)
        return page(query, counted=counted)

    monkeypatch.setattr(Query, "page", told)
    addresses = [f"{ITEMS}?limit=1", f"{ITEMS}?limit=2&offset=1", f"{ITEMS}?sortby=-region_code"]
    numbers = {served.get(address).json()["numberMatched"] for address in addresses}
    assert len(numbers) == 1
    assert asked == [False, True, True]
    # Another filter is another count; the same filter on its next page is not.
    filtered = f"{ITEMS}?filter=region_code%20LIKE%20'8%25'&limit=1"
    first = served.get(filtered).json()
    assert first["numberMatched"] == 2
    (following,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    assert served.get(following).json()["numberMatched"] == 2
    assert asked[3:] == [False, True]


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/conformance",
        "/openapi",
        "/collections",
        "/collections/regions",
        "/collections/regions/schema",
        "/collections/regions/queryables",
        "/TileMatrixSets",
        ITEMS,
        f"{ITEMS}?f=csv",
        f"{ITEMS}?f=html",
        "/static/css/makan.css",
    ],
)
def test_tags_of_documents(served: Served, address: str) -> None:
    answer = served.get(address)
    assert answer.status_code == 200
    tag = answer.headers["etag"]
    assert tag.startswith('"'), "a strong one"
    assert served.get(address).content == answer.content, "equal tags mean equal bytes"
    for asked in (tag, f'"x", {tag}', f"W/{tag}"):
        kept = served.get(address, if_none_match=asked)
        assert kept.status_code == 304
        assert kept.content == b""
        assert kept.headers["etag"] == tag
    if not address.startswith("/static"):
        assert {"Accept", "Accept-Language"} <= set(answer.headers["vary"].split(", "))
        assert served.get(address, if_none_match="*").status_code == 304
    head = served.client.head(address, headers={"accept-encoding": "identity"})
    assert (head.status_code, head.headers["etag"]) == (200, tag)


def test_each_representation_has_its_own_tag(served: Served) -> None:
    served.load("91")
    _wait()
    answers = [
        served.get(ITEMS),
        served.get(ITEMS, accept="text/html"),
        served.get(ITEMS, accept="text/html", accept_language="en"),
        served.get(ITEMS, accept_language="en"),
        served.get(f"{ITEMS}?lang=en"),
        served.get(f"{ITEMS}?limit=1"),
        served.get("/collections/regions"),
    ]
    assert len({answer.headers["etag"] for answer in answers}) == len(answers)
    # What says nothing about the representation does not change the tag either.
    assert served.get(ITEMS, accept="application/zip").headers["etag"] == answers[0].headers["etag"]


def test_compressed_bytes_have_a_tag_of_their_own(served: Served) -> None:
    plain = served.get("/collections")
    packed = served.get("/collections", accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    tags = plain.headers["etag"], packed.headers["etag"]
    assert tags[0] != tags[1]
    for tag in tags:
        kept = served.get("/collections", accept_encoding="gzip", if_none_match=tag)
        assert (kept.status_code, kept.headers["etag"]) == (304, tag)
        assert "Accept-Encoding" in kept.headers["vary"]
    path = "/static/css/makan.css"
    sheet = served.get(path, accept_encoding="gzip").headers["etag"]
    # Who takes no gzip must not be told to take the gzipped bytes that a cache has.
    for takes, status in (("gzip", 304), ("identity", 200)):
        answer = served.get(path, if_none_match=sheet, accept_encoding=takes)
        assert answer.status_code == status


def test_one_feature(served: Served) -> None:
    served.load("51")
    _wait()
    number = served.get(f"{ITEMS}?limit=1").json()["features"][0]["id"]
    tag = served.get(f"{ITEMS}/{number}").headers["etag"]
    assert served.get(f"{ITEMS}/{number}", if_none_match=tag).status_code == 304
    missing = served.get(f"{ITEMS}/987654")
    assert missing.status_code == 404
    assert "etag" not in missing.headers
    assert missing.headers["cache-control"] == "no-store"
    assert served.get(f"{ITEMS}/987654", if_none_match="*").status_code == 404


@pytest.mark.defect("T2")
def test_tiles(served: Served) -> None:
    served.load("60")  # stays
    run = served.load("61")
    _wait()
    grid = "/collections/regions/tiles/WebMercatorQuad"
    tile = f"{grid}/12/1627/2627"
    answer = served.get(tile)
    assert answer.status_code == 200
    assert answer.headers["cache-control"].startswith("public, max-age=")
    tag = answer.headers["etag"]
    assert served.get(tile, if_none_match=tag).status_code == 304
    served.undo(run)
    _wait()
    changed = served.get(tile, if_none_match=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert served.get(f"{grid}/12/0/0").status_code == 404
    empty = served.get(tile.replace("regions", "neighbourhoods"))
    assert (empty.status_code, "etag" in empty.headers) == (204, False)
    assert empty.headers["cache-control"].startswith("public, max-age=")


def test_the_reader_sees_no_more_of_the_ledger_than_the_state(served: Served) -> None:
    run = served.load("41")
    with served.database.connect("reader") as connection:
        cursor = connection.execute("SELECT * FROM api.makan_version WHERE layer = 'region'")
        assert [column.name for column in cursor.description or ()] == [
            "layer", "run", "changes", "finished",
        ]  # fmt: skip
        row = cursor.fetchone()
    assert row is not None
    assert row[1] == run
    served.undo(run)
    with served.database.connect("reader") as connection:
        after = connection.execute(
            "SELECT run, changes FROM api.makan_version WHERE layer = 'region'"
        ).fetchone()
    assert after is not None
    assert after[0] != run
    assert int(str(after[1])) == int(str(row[2])) + 1


def _image(home: Path, version: str) -> None:
    """An orthophoto of one colour is what is served from now on."""
    box = (490_000.0, 3_830_000.0, 490_640.0, 3_830_640.0)
    pointer = ServedRaster.pointer(home, "orthophoto")
    pointer.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        pointer.with_name(f"{version}.tif"), "w", driver="GTiff", width=64, height=64, count=3,
        dtype="uint8", crs="EPSG:32639", transform=from_bounds(*box, 64, 64),
    ) as made:  # fmt: skip
        made.write(np.full((3, 64, 64), 100 + len(version), "uint8"))
    served = ServedRaster(
        layer="orthophoto", path=f"{pointer.parent.relative_to(home)}/{version}.tif",
        version=version, made_of="0", run=1, sheets=1, srid=32639, width=64, height=64,
        bounds=box, lonlat=(50.8911, 34.6104, 50.8981, 34.6162), updated="2026-01-01T00:00:00Z",
    )  # fmt: skip
    pointer.write_text(served.model_dump_json())


def test_tiles_of_a_raster_follow_its_version(served: Served, tmp_path: Path) -> None:
    (tmp_path / "db").symlink_to(served.database.settings.home / "db")
    settings = replace(served.database.settings, home=tmp_path, public_url="http://makan.test")
    _image(tmp_path, "a")
    application = Application(settings, served.schemas, Database(settings))
    tile = "/collections/orthophoto/tiles/WebMercatorQuad/14/6511/10508"
    with TestClient(application, base_url="http://makan.test") as client:
        answer = client.get(tile)
        assert answer.status_code == 200
        tag = answer.headers["etag"]
        assert answer.headers["cache-control"].startswith("public, max-age=")
        assert client.get(tile, headers={"if-none-match": tag}).status_code == 304
        _image(tmp_path, "bb")
        changed = client.get(tile, headers={"if-none-match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag


def test_where_a_layer_lies_is_asked_again_only_after_a_load(served: Served) -> None:
    settings = replace(served.database.settings, public_url="http://makan.test")

    def regions() -> list[float]:
        place = publish.publish(settings, served.schemas, served.database)
        rendered = yaml.safe_load(place.config.read_text(encoding="utf-8"))
        found: list[float] = rendered["resources"]["regions"]["extents"]["spatial"]["bbox"]
        return found

    served.load("981")
    first = regions()
    wider = "UPDATE data.region SET geom = ST_Multi(ST_Expand(geom, 500)) WHERE region_code = '981'"
    with served.database.connect("loader") as connection:
        connection.execute(wider)
    assert regions() == first, "what no load tells of is not looked for: it may take seconds"
    served.load("982")
    now = regions()
    assert now[0] < first[0]
    assert now[3] > first[3]
    # What was remembered is no more than that: a file that cannot be read is made anew.
    kept = publish.files(settings).config.with_name("extents.json")
    kept.write_bytes(b"{")
    assert regions() == now
    assert orjson.loads(kept.read_bytes())["layers"]["region"]["bbox"] == now
