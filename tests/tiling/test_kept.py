"""Kept tiles: precise after a load, one file for several processes, bounded, whole after a kill."""

from __future__ import annotations

import gzip
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import orjson
import pmtiles.reader
import pyarrow as pa
import pytest
import shapely
from click.testing import CliRunner
from pyproj import Transformer
from starlette.testclient import TestClient

from pipeline.cli.main import cli
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.derive import grids
from pipeline.derive.grids import Tile
from pipeline.serve import kept_tile
from pipeline.serve.kept_tile import Key
from pipeline.serve.tile_cache import TileCache
from pipeline.serve.unpacked import Unpacked
from pipeline.stages import history
from pipeline.tiling.refresh import refresh
from tests.serving import Application

BEHIND_S = 1.0
GRID = "WebMercatorQuad"


@pytest.fixture(scope="module")
def client(
    far: Database, schemas: Schemas, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """The city, served; its home has a cache of its own."""
    settings = replace(far.settings, public_url="http://makan.test")
    application = Application(settings, schemas, far)
    store = application.state.site.tile_store
    store.cache = TileCache(tmp_path_factory.mktemp("kept") / "t.sqlite", most_bytes=10**8)
    with TestClient(application, base_url="http://makan.test") as running:
        yield running


def _tiles(client: TestClient, zooms: range, collection: str = "parcels") -> list[Tile]:
    limits = client.get(f"/collections/{collection}/tiles/{GRID}?f=json").json()
    return [
        Tile(int(level["tileMatrix"]), row, column)
        for level in limits["tileMatrixSetLimits"]
        if int(level["tileMatrix"]) in zooms
        for row in range(level["minTileRow"], level["maxTileRow"] + 1)
        for column in range(level["minTileCol"], level["maxTileCol"] + 1)
    ]


def _get(client: TestClient, tile: Tile, collection: str = "parcels", **more: Any) -> Any:
    return client.get(f"/collections/{collection}/tiles/{GRID}/{tile}", **more)


def _shown(content: bytes) -> list[str]:
    """What a tile shows, in whatever order its rows came."""
    layers = mapbox_vector_tile.decode(content) if content else {}
    return sorted(repr(feature) for layer in layers.values() for feature in layer["features"])


def _unpacked(content: bytes, size: int) -> bytes:
    return pa.Codec("zstd").decompress(content, size, asbytes=True)


def _settle(client: TestClient, kept: int) -> None:
    """Tiles are kept after they were sent."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if client.app.state.site.tile_store.cache.size()[0] >= kept:
            return
        time.sleep(0.05)
    raise AssertionError("tiles were not kept")


def test_a_tile_that_waits_to_be_kept_is_not_made_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = client.app.state.site.tile_store
    asked = []

    async def ask(statement: Any) -> Any:
        asked.append(statement)
        return await maker.ask(statement)

    full = next(one for one in _tiles(client, range(16, 17)) if _get(client, one).content)
    while store._made:
        time.sleep(0.02)
    maker = store.maker
    monkeypatch.setattr(store, "maker", replace(maker, ask=ask))
    monkeypatch.setattr(store.cache, "get", lambda _: None)
    first, second = _get(client, full), _get(client, full)
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    assert len(asked) == 1


def test_a_load_takes_away_the_tiles_it_touches_and_no_others(
    client: TestClient, far: Database, schemas: Schemas, second: Path,
    deliver: Callable[[Database, Path, str], None],
) -> None:  # fmt: skip
    store = client.app.state.site.tile_store
    tiles = _tiles(client, range(12, 18))
    before = {tile: _get(client, tile) for tile in tiles}
    _settle(client, len(tiles))
    kept = {tile: _get(client, tile) for tile in tiles}
    assert all(before[tile].content == kept[tile].content for tile in tiles)
    deliver(far, second, "parcels")
    refresh(far, schemas)
    with far.connect("loader") as connection:
        account = ledger.runs(connection, limit=1)[0].account
    assert (account.inserted, account.updated, account.removed) == (0, 2, 1)
    time.sleep(BEHIND_S)
    _get(client, tiles[0]), _get(client, tiles[-1])
    left = {tile for _, tile in store.cache.places("parcel")}
    left |= {tile for _, tile in store.cache.places("generalised_parcel")}
    after = {tile: _get(client, tile) for tile in tiles}
    changed = {tile for tile in tiles if after[tile].content != before[tile].content}
    assert changed
    assert not changed & (left - {tiles[0], tiles[-1]})
    # Three parcels of 2,500 were touched: most tiles of large scale are still there.
    large = [tile for tile in tiles if tile.zoom == 17]
    assert len(left & set(large)) > 0.8 * len(large)
    unchanged = [tile for tile in tiles if tile not in changed and after[tile].content]
    again = _get(
        client, unchanged[0], headers={"If-None-Match": before[unchanged[0]].headers["etag"]}
    )
    assert again.status_code == 304
    assert not again.content
    run = int(store._known["parcel"][0].partition(".")[0])
    history.undo(far, schemas, run)
    refresh(far, schemas)
    time.sleep(BEHIND_S)
    for tile in tiles:
        assert _shown(_get(client, tile).content) == _shown(before[tile].content)
    _settle(client, len(tiles))
    # What was undone tells nothing of the next load.
    deliver(far, second, "parcels")
    time.sleep(BEHIND_S)
    _get(client, tiles[-1])
    left = {tile for _, tile in store.cache.places("parcel")}
    assert 0.8 * len(large) < len(left & set(large)) < len(large)
    with far.connect("loader") as connection:
        history.undo(far, schemas, ledger.runs(connection, limit=1)[0].id)
    refresh(far, schemas)


def test_a_tile_of_before_is_not_served_while_the_file_cannot_be_told(
    client: TestClient, far: Database, schemas: Schemas, second: Path,
    deliver: Callable[[Database, Path, str], None],
) -> None:  # fmt: skip
    """A disk that is full, a process that holds the file: what was loaded is shown all the same."""
    store = client.app.state.site.tile_store
    tiles = _tiles(client, range(16, 18))
    before = {tile: _get(client, tile).content for tile in tiles}
    _settle(client, len(tiles))
    holder = sqlite3.connect(store.cache._path, isolation_level=None)
    deliver(far, second, "parcels")
    with far.connect("loader") as connection:
        run = ledger.runs(connection, limit=1)[0].id
    holder.execute("BEGIN IMMEDIATE")
    try:
        time.sleep(BEHIND_S)
        after = {tile: _get(client, tile) for tile in tiles}
        changed = [tile for tile in tiles if after[tile].content != before[tile]]
        assert changed
        assert all(after[tile].status_code in (200, 204) for tile in tiles)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
        history.undo(far, schemas, run)
        refresh(far, schemas)
    time.sleep(BEHIND_S)
    for tile in changed:
        assert _shown(_get(client, tile).content) == _shown(before[tile])
    time.sleep(2 * BEHIND_S)
    _get(client, tiles[0])
    assert store._is_at("parcel", store._known["parcel"][0])


_HOLDS = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Another process has the file's lock, and is stopped."""
    words = [sys.executable, "-c", _HOLDS, str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.kill()
        process.communicate()


def test_a_stopped_process_that_holds_the_file_keeps_no_tile_waiting(client: TestClient) -> None:
    """Each tile took 2 s."""
    store = client.app.state.site.tile_store
    tiles = _tiles(client, range(16, 18))
    before = {tile: _get(client, tile).content for tile in tiles}
    _settle(client, len(tiles))
    with sqlite3.connect(store.cache._path) as other:
        other.execute("DELETE FROM tile WHERE row % 2")
    other.close()
    left = store.cache.size()[0]
    slowest = 0.0
    with _held(store.cache._path):
        for tile in (*tiles, *tiles):
            began = time.monotonic()
            assert _shown(_get(client, tile).content) == _shown(before[tile])
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.02)  # so that what is made is tried to be kept
        assert store.cache.size()[0] == left
    assert slowest < 1.9  # what the busy timeout alone was; the machine may be busy
    end = time.monotonic() + 10
    while store.cache.size()[0] < left + 1 and time.monotonic() < end:
        for tile in tiles:
            _get(client, tile)
        time.sleep(0.1)
    assert store.cache.size()[0] > left


def test_a_held_file_is_waited_for_once_in_a_while(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "t.sqlite", most_bytes=10**8)
    cache.open()
    assert cache.advance("s", None, ("1.1", "m"), None)
    cache.put((KEY, kept_tile.packed(b"one" * 100), "1.1"))
    new = (replace(KEY, tile=Tile(3, 1, 1)), kept_tile.packed(b"two" * 100), "1.1")
    with _held(tmp_path / "t.sqlite"):
        took = []
        for work in (
            lambda: cache.put(new),
            *[lambda: cache.put(new), lambda: cache.add(cache.get(KEY), "br", b"x")] * 100,
        ):
            began = time.monotonic()
            work()
            took.append(time.monotonic() - began)
        assert max(took) < 1.5
        assert sum(took) < 1.9
        assert not cache.advance("s", ("1.1", "m"), ("1.2", "m"), None)
        # Who writes keeps nobody from reading, nor from opening the file.
        assert cache.get(KEY).body() == b"one" * 100
        again = TileCache(tmp_path / "t.sqlite", most_bytes=10**8)
        again.open()
        assert again.get(KEY).body() == b"one" * 100
        again.close()
    end = time.monotonic() + 10
    while cache.get(new[0]) is None and time.monotonic() < end:
        cache.put(new)
        time.sleep(0.05)
    assert cache.get(new[0]).body() == b"two" * 100
    cache.close()


def test_who_seeds_waits_for_the_file(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "t.sqlite", most_bytes=10**8)
    cache.open(patient=True)
    cache.advance("s", None, ("1.1", "m"), None)
    holder = sqlite3.connect(tmp_path / "t.sqlite", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.4, holder.execute, ["ROLLBACK"])
    release.start()
    cache.put((KEY, kept_tile.packed(b"one" * 100), "1.1"))
    release.join()
    assert cache.get(KEY).body() == b"one" * 100
    holder.close(), cache.close()


def test_a_file_that_is_damaged_gives_way_to_a_new_one(client: TestClient) -> None:
    store = client.app.state.site.tile_store
    tiles = _tiles(client, range(14, 18))
    before = {tile: _get(client, tile).content for tile in tiles}
    _settle(client, len(tiles))
    store.cache.close()
    with store.cache._path.open("r+b") as file:  # all but the first page, which tells of the tables
        file.seek(4096)
        file.write(b"\x55" * (store.cache._path.stat().st_size - 4096))
    store.cache.open()
    for _ in range(2):
        assert {tile: _get(client, tile).content for tile in tiles} == before
    _settle(client, len(tiles))
    again = TileCache(store.cache._path, most_bytes=10**8)
    again.open()
    assert again.size()[0] >= len(tiles)
    again.close()


def test_tiles_have_tags_of_their_bytes_and_come_compressed(client: TestClient) -> None:
    tile = _tiles(client, range(16, 17))[4]
    plain = _get(client, tile, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["etag"] == kept_tile.tag(plain.content)
    assert plain.headers["cache-control"] == "public, max-age=60"
    time.sleep(0.3)
    for name in ("gzip", "br", "zstd"):
        got = _get(client, tile, headers={"Accept-Encoding": name})
        assert got.headers["content-encoding"] == name
        body = got.content if name != "zstd" else _unpacked(got.content, len(plain.content))
        assert body == plain.content
        assert got.headers["etag"] == plain.headers["etag"][:-1] + f'-{name}"'
        known = {"If-None-Match": got.headers["etag"], "Accept-Encoding": name}
        again = _get(client, tile, headers=known)
        assert again.status_code == 304
        assert again.headers["etag"] == got.headers["etag"]


def test_no_tile_is_larger_than_it_may_be(client: TestClient) -> None:
    found = client.app.state.site  # type: ignore[attr-defined]
    store = found.tile_store
    maker, least = store.maker, 4_000
    store.maker = replace(maker, most=replace(maker.most, size=least))
    try:
        for tile in _tiles(client, range(10, 17)):
            got = _get(client, tile)
            assert len(got.content) <= least
            for name in ("city-map", "cadastre"):
                group = next(one for one in found.schemas.groups.values() if one.id == name)
                names = [found.schemas.layers[one].publish.collection for one in group.layers]
                chosen = ",".join(one for one in names if one in found.served)
                several = client.get(f"/tiles/{GRID}/{tile}?collections={chosen}")
                assert len(several.content) <= least
                if got.content:
                    assert mapbox_vector_tile.decode(several.content)
    finally:
        store.maker = maker


def test_a_full_tile_shows_the_largest(client: TestClient, far: Database) -> None:
    """Where even bare features are too many and nothing from afar is there, small ones go."""
    store = client.app.state.site.tile_store
    maker = store.maker
    tile = max(
        _tiles(client, range(13, 14), "blocks"),
        key=lambda t: len(_get(client, t, "blocks").content),
    )
    whole = mapbox_vector_tile.decode(_get(client, tile, "blocks").content)["blocks"]["features"]
    store.maker = replace(maker, most=replace(maker.most, size=900))
    shown, state = dict(store.state._versions), store.state._versions
    store.state._until += 60.0  # nothing is asked anew meanwhile
    try:
        state.pop("generalised_block")
        fewer = mapbox_vector_tile.decode(_get(client, tile, "blocks").content)["blocks"][
            "features"
        ]
    finally:
        store.maker = maker
        store.state._versions = shown
        store.state._until = 0.0
    assert 0 < len(fewer) < len(whole)
    sizes = {one["id"]: np.prod(np.ptp(_points(one), axis=0)) for one in whole}
    ranked = sorted(sizes, key=lambda number: -sizes[number])
    kept = {one["id"] for one in fewer}
    assert len(kept & set(ranked[: len(kept)])) >= 0.8 * len(kept)


def _points(feature: dict[str, Any]) -> np.ndarray:
    return shapely.get_coordinates(shapely.geometry.shape(feature["geometry"]))


def test_tiles_of_the_citys_own_grid(client: TestClient) -> None:
    grid = grids.of(client.app.state.site.schemas.city)["UTM39WGS84Quad"]
    item = client.get(
        "/collections/parcels/items?limit=1&crs=http://www.opengis.net/def/crs/EPSG/0/32639"
    )
    feature = item.json()["features"][0]
    shape = shapely.geometry.shape(feature["geometry"])
    x, y = shape.centroid.coords[0]
    size = grid.size(17)
    tile = Tile(17, int((grid.origin[1] - y) // size), int((x - grid.origin[0]) // size))
    answer = client.get(f"/collections/parcels/tiles/{grid.id}/{tile}")
    options = {"y_coord_down": True}
    decoded = mapbox_vector_tile.decode(answer.content, default_options=options)["parcels"]
    found = next(one for one in decoded["features"] if one["id"] == feature["id"])
    left, _, _, top = grid.bounds(tile)
    points = _points(found) * (size / 4096) * (1, -1) + (left, top)
    drawn = shapely.Polygon(points[: len(points)])
    # A unit of the tile is 7 cm here: the parcel is where it is.
    cut = shape.intersection(shapely.box(*grid.bounds(tile, 64 / 4096)))
    assert drawn.hausdorff_distance(cut) < 0.2
    assert client.get(f"/collections/parcels/tiles/{grid.id}/0/0/0").status_code == 404
    assert client.get(f"/collections/parcels/tiles/{grid.id}/17/0/65536").status_code == 404
    served = client.get(f"/tileMatrixSets/{grid.id}?f=json").json()
    # EPSG:32639 has its central meridian at 51 degrees, 500 km east of the grid's origin of x.
    middle, _ = Transformer.from_crs(4326, 32639, always_xy=True).transform(51, 35)
    assert middle == pytest.approx(500_000, abs=0.001)
    assert served["tileMatrices"][0]["pointOfOrigin"][0] == pytest.approx(500_000 - 10_001_965.729)
    assert served["crs"].endswith("/32639")


KEY = Key("s", GRID, Tile(1, 0, 0), 500)


def test_what_was_made_before_a_change_is_not_kept(tmp_path: Path) -> None:
    one, other = (TileCache(tmp_path / "t.sqlite", most_bytes=10**6) for _ in range(2))
    one.open(), other.open()
    one.advance("s", None, ("1.1", "m"), None)
    one.put((KEY, kept_tile.packed(b"old" * 100), "1.1"))
    assert other.get(KEY).body() == b"old" * 100
    other.advance("s", ("1.1", "m"), ("2.2", "m"), [(GRID, KEY.tile)])
    assert one.get(KEY) is None
    one.put((KEY, kept_tile.packed(b"old" * 100), "1.1"))
    assert one.get(KEY) is None
    # Who is behind does not bring the former state back.
    one.advance("s", ("1.1", "m"), ("1.2", "m"), None)
    assert other.state("s") == ("2.2", "m")
    one.put((KEY, kept_tile.packed(b""), "2.2"))
    assert other.get(KEY).plain == 0
    one.close(), other.close()


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    cache = TileCache(tmp_path / "t.sqlite", most_bytes=300_000)
    cache.open()
    cache.advance("s", None, ("1.1", "m"), None)
    noise = np.random.default_rng(1)
    for column in range(200):
        body = noise.bytes(6_000)
        cache.put((replace(KEY, tile=Tile(9, 0, column)), kept_tile.packed(body), "1.1"))
    tiles, size = cache.size()
    assert size < 300_000 + 51 * 6_100
    assert tiles < 110
    assert (tmp_path / "t.sqlite").stat().st_mode & 0o077 == 0
    # The latest are there.
    assert cache.get(replace(KEY, tile=Tile(9, 0, 199)))
    cache.close()


def test_a_file_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    cache = TileCache(path, most_bytes=10**6)
    cache.open()
    cache.advance("s", None, ("1.1", "m"), None)
    cache.put((KEY, kept_tile.packed(b"x" * 99), "1.1"))
    assert cache.get(KEY).body() == b"x" * 99
    cache.close()


WRITING = """
import sys
from pathlib import Path
from pipeline.derive.grids import Tile
from pipeline.serve import kept_tile
from pipeline.serve.kept_tile import Key
from pipeline.serve.tile_cache import TileCache

cache = TileCache(Path(sys.argv[1]), most_bytes=10**8)
cache.open()
cache.advance("s", None, ("1.1", "m"), None)
for number in range(10**6):
    body = str(number).encode() * 3000
    cache.put((Key("s", sys.argv[2], Tile(20, 0, number), 500), kept_tile.packed(body), "1.1"))
"""


def test_a_killed_process_leaves_whole_tiles(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    process = subprocess.Popen([sys.executable, "-c", WRITING, str(path), GRID])
    reader = TileCache(path, most_bytes=10**8)
    end = time.monotonic() + 20
    while time.monotonic() < end and not path.exists():
        time.sleep(0.05)
    reader.open()
    while time.monotonic() < end and reader.size()[0] < 10:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    tiles, _ = reader.size()
    assert tiles >= 10
    for number in range(tiles):
        kept = reader.get(replace(KEY, tile=Tile(20, 0, number)))
        assert kept.body() == str(number).encode() * 3000
        assert kept.tag == kept_tile.tag(kept.body())
    reader.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_seeded_tiles_are_kept_and_exported_ones_open(
    client: TestClient, far: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MAKAN_HOME": far.settings.home,
        "MAKAN_DATABASE": far.settings.database,
        "MAKAN_PUBLIC_URL": "http://makan.test",
    }.items():
        monkeypatch.setenv(name, str(value))
    seeded = CliRunner().invoke(cli, ["tiles", "seed", "parcels", "--zoom", "14", "--json"])
    assert seeded.exit_code == 0, seeded.output
    (told,) = orjson.loads(seeded.output)
    cache = TileCache(far.settings.home / "tiles" / "public.sqlite", most_bytes=10**9)
    cache.open()
    places = [*cache.places("parcel"), *cache.places("generalised_parcel")]
    cache.close()
    assert len(places) >= told["tiles"] > 8
    exported = CliRunner().invoke(cli, ["tiles", "export", "city-map", "--zoom", "15", "--json"])
    assert exported.exit_code == 0, exported.output
    written = orjson.loads(exported.output)
    path = Path(written["file"])
    try:
        _opens(client, path, written["tiles"])
    finally:
        path.unlink()
    assert client.get("/files/city-map.pmtiles").status_code == 404


def _opens(client: TestClient, path: Path, tiles: int) -> None:
    """Read by ranges over HTTP, as a browser does it."""
    asked = []

    def part(offset: int, length: int) -> bytes:
        head = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        got = client.get("/files/city-map.pmtiles", headers=head)
        assert got.status_code == 206
        assert got.headers["content-type"] == "application/vnd.pmtiles"
        asked.append(len(got.content))
        return got.content

    reader = pmtiles.reader.Reader(part)
    header, metadata = reader.header(), reader.metadata()
    assert header["addressed_tiles_count"] == tiles
    assert (header["min_zoom"], header["max_zoom"]) == (8, 15)
    assert "parcels" in [one["id"] for one in metadata["vector_layers"]]
    tile = _tiles(client, range(15, 16))[3]
    body = gzip.decompress(reader.get(tile.zoom, tile.column, tile.row))
    served = client.get(f"/tiles/{GRID}/{tile}")
    assert _shown(body) == _shown(served.content)
    assert sum(asked) < path.stat().st_size


def test_what_is_unpacked_stays_for_a_while_and_never_takes_much() -> None:
    store = Unpacked(1_000)
    store.put("a", b"a" * 400)
    store.put("b", b"b" * 400)
    store.put("a", b"a" * 400)
    assert store.get("b") == b"b" * 400
    store.put("c", b"c" * 400)  # too much: the one that was asked for longest ago goes
    assert store.get("a") is None
    assert (store.get("b"), store.get("c")) == (b"b" * 400, b"c" * 400)
    store.put("d", b"d" * 2_000)
    assert store.get("d") is None
    assert store._size == 0
