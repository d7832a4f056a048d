"""The works that are compared, their goals, and what Makan itself is asked for each."""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from benchmarks.serve import peers
from benchmarks.serve.drive import Request
from benchmarks.serve.peer import Place
from benchmarks.serve.sample import Sample
from pipeline.derive import grids
from pipeline.derive.grids import Tile
from pipeline.serve import crs, mvt, params
from pipeline.serve.served import Served

ITEMS = "/collections/parcels/items"
_GRID = f"/collections/parcels/tiles/{grids.WEB}"
OURS, SQL, PLAIN = "makan", "sql", "ST_AsMVT"
_PLAIN = """
SELECT ST_AsMVT(t, 'parcels', 4096, 'mvt', 'id') FROM (
    SELECT id, {fields}, ST_AsMVTGeom(
        ST_Transform(geom, 3857), %(envelope)s::geometry, 4096, 64, true) AS mvt
    FROM {view} WHERE geom && ST_Transform(%(envelope)s::geometry, {srid})
) AS t WHERE mvt IS NOT NULL
"""


@dataclass(frozen=True)
class Work:
    """One row: a name, whether each request is made once only (nothing is kept yet), and the
    goal against each side: how many times its answers a second ours are at least; None where none
    is set. A side ``makan:<work>`` is our own other work."""

    id: str
    title: str
    goals: dict[str, float | None] = field(default_factory=dict)
    once: bool = False


#: Of tiles that are not kept. Beside tiles of 10 kB (z17) a request costs about as much as the
#: tile, so that our own SQL without a server is told there as no goal.
_NOT_BEHIND: dict[str, float | None] = {
    PLAIN: 0.85,
    SQL: 0.85,
    "tipg": 1.25,
    "mapserver": 1,
    "martin": 1,
    "pg_tileserv": 1,
}
WORKS = (
    Work("bbox100", "items bbox, limit=100",
         {"pygeoapi": 7, "tipg": 3, "mapserver": 1.5, SQL: 0.5}),
    Work("page", "items, no filter, limit=100", {"tipg": 5, "pygeoapi": None}),
    Work("bbox1000", "items bbox, limit=1000",
         {"pygeoapi": 10, "tipg": 5, "mapserver": None, SQL: 0.8}),
    Work("one", "one item", {"pygeoapi": 3.5, "tipg": 1.8}),
    Work("next", "page at 200,000 by the next link", {"makan:page": 1 / 1.2, "tipg:deep": None}),
    Work("deep", "page at 200,000 by offset", {"tipg": None, "pygeoapi": None}, once=True),
    Work("count", "count only (bbox)", {"tipg": 9, "pygeoapi": None}),
    Work("filter", "CQL2 attribute + S_INTERSECTS", {"pygeoapi": 3, "tipg": 1.5}),
    *(Work(f"z{zoom}", f"MVT z{zoom}, not kept", _NOT_BEHIND, once=True) for zoom in (14, 16)),
    Work("z17", "MVT z17, not kept", {**_NOT_BEHIND, SQL: None}, once=True),
    *(
        Work(f"z{zoom}{how}", f"MVT z{zoom}, {title}", {f"makan:z{zoom}": 10})
        for zoom in (14, 16)
        for how, title in (("kept", "kept"), ("same", "304"))
    ),
    Work("z10", "MVT z10, not kept", {}, once=True),
    Work("z10kept", "MVT z10, kept", {"makan:z10": 10}),
    Work("landing", "landing page as HTML", {"pygeoapi": 10, "tipg": None}),
    Work("collections", "collections as HTML", {"pygeoapi": 10, "tipg": None}),
)  # fmt: skip


#: What an answer to a work holds, and how often at least; one that does not is no answer.
_HOLDS = {
    "bbox1000": (b'"Feature"', 990),
    "one": (b'"Feature"', 1),
    "count": (b"numberMatched", 1),
    "z14": (b"land_use", 1),
    "z16": (b"land_use", 1),
    "z17": (b"land_use", 1),
    "z10": (b"land_use", 1),
    "landing": (b"</html>", 1),
    "collections": (b"</html>", 1),
}
_PAGE = (b'"Feature"', 100)


def fault(work: str, port: int, path: str) -> str | None:
    """What is wrong with the answer of a server to the first request of a work."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as line:
        line.request("GET", path)
        answer = line.getresponse()
        body = answer.read()
    text, least = _HOLDS.get(work, _PAGE)
    found = body.count(text)
    if answer.status == 200 and found >= least:
        return None
    return f"{answer.status}, {found} times {text.decode()} of {least}: {body[:80]!r}"


@dataclass
class Makan:
    """Our side: a running server and what it is asked."""

    port: int
    pid: int
    home: Path
    served: Served
    options: dict[str, Any]
    sample: Sample

    def ask(self, work: str) -> list[Request] | None:
        """The requests of a work; tags and cursors are looked up first."""
        level = work.removesuffix("kept").removesuffix("same")
        if level in (*peers.NOT_KEPT, "z10"):
            found = [Request(self._tile(one)) for one in self.sample.tiles[int(level[1:])]]
            return self._tagged(found) if work.endswith("same") else found
        return self._items.get(work, list)() or None

    def _tile(self, tile: Tile) -> str:
        return f"{_GRID}/{tile.zoom}/{tile.row}/{tile.column}"

    @cached_property
    def _items(self) -> dict[str, Callable[[], list[Request]]]:
        sample = self.sample
        return {
            "bbox100": lambda: self._boxes(100),
            "bbox1000": lambda: self._boxes(1000),
            "page": lambda: [Request(f"{ITEMS}?limit=100")],
            "one": lambda: [Request(f"{ITEMS}/{number}") for number in sample.ids],
            "deep": lambda: [
                Request(f"{ITEMS}?limit=100&offset={sample.deep + number}")
                for number in range(peers.DEEP)
            ],
            "next": self._cursors,
            "count": lambda: [
                Request(f"{ITEMS}?{peers.query(bbox=peers.box(one), resulttype='hits')}")
                for one in sample.boxes[1000]
            ],
            "filter": lambda: peers.filters(ITEMS, sample, "S_INTERSECTS"),
            "landing": lambda: [Request("/?f=html")],
            "collections": lambda: [Request("/collections?f=html")],
        }

    def _boxes(self, least: int) -> list[Request]:
        return [
            Request(f"{ITEMS}?{peers.query(bbox=peers.box(one), limit=least)}")
            for one in self.sample.boxes[least]
        ]

    def _cursors(self) -> list[Request]:
        """Twenty pages from the deep place on, each by the link of the one before it."""
        path, found = f"{ITEMS}?limit=100&offset={self.sample.deep}", []
        for _ in range(20):
            page = json.loads(self.get(path)[1])
            href = next(link["href"] for link in page["links"] if link["rel"] == "next")
            parts = urlsplit(href)
            path = f"{parts.path}?{parts.query}"
            found.append(Request(path))
        return found

    def _tagged(self, asked: Sequence[Request]) -> list[Request]:
        return [
            Request(one.path, (f"If-None-Match: {self.get(one.path)[0]['etag']}",)) for one in asked
        ]

    def get(self, path: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of one answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as line:
            line.request("GET", path)
            answer = line.getresponse()
            body = answer.read()
            assert answer.status == 200, (path, answer.status, body[:300])
            return {name.lower(): value for name, value in answer.getheaders()}, body

    def statements(self, work: str) -> list[tuple[bytes, dict[str, Any]]] | None:
        """What the database alone is asked: our own SQL of the work."""
        if work in peers.NOT_KEPT:
            level = self.sample.tiles[int(work[1:])]
            way = next(mvt.ways(self.served, level[0].zoom, from_afar=True))
            made = (
                mvt.statement(
                    self.served, grids.WEB_MERCATOR, tile, way, max_rows=self.options["tile_rows"]
                )
                for tile in level
            )
            return [(one.sql, one.values) for one in made if one]
        if work not in ("bbox100", "bbox1000"):
            return None
        found = []
        for request in self.ask(work) or []:
            given = dict(parse_qsl(urlsplit(request.path).query))
            asked = params.query(self.served, given).page()
            found.append((asked.sql, asked.values))
        return found

    def plain(self, work: str, place: Place) -> list[tuple[bytes, dict[str, Any]]]:
        """The tiles of a level as anybody would ask PostGIS for them."""
        zoom = int(work[1:])
        fields = ", ".join(place.tile_fields[zoom])
        view = f"{place.schema}.{place.view}"
        asked = _PLAIN.format(fields=fields, view=view, srid=place.srid).encode()
        grid = grids.WEB_MERCATOR
        return [
            (asked, {"envelope": crs.rectangle(grid.bounds(tile), grid.srid)})
            for tile in self.sample.tiles[zoom]
        ]

    def forget_tiles(self) -> None:
        """No tile is kept any more."""
        path = self.home / "tiles" / "public.sqlite"
        if path.exists():
            with closing(sqlite3.connect(path, timeout=10)) as db, db:
                db.execute("DELETE FROM tile")

    def city_tiles(self) -> tuple[float, int, int]:
        """The whole city at level 10, not kept: median ms of a tile, most bytes, tiles."""
        found = self.sample.tiles[10]
        spent, most = [], 0
        for _ in range(3):
            self.forget_tiles()
            for tile in found:
                begun = time.perf_counter()
                _, body = self.get(self._tile(tile))
                spent.append(1000 * (time.perf_counter() - begun))
                most = max(most, len(body))
            time.sleep(0.2)
        return sorted(spent)[len(spent) // 2], most, len(found)

    def file(self, form: str, place: Place) -> tuple[float, int]:
        """Seconds of the whole layer in a format over HTTP, in its own CRS, into a file; bytes."""
        uri = f"http://www.opengis.net/def/crs/EPSG/0/{place.srid}"
        begun = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as line:
            line.request("GET", f"{ITEMS}?f={form}&crs={uri}")
            answer = line.getresponse()
            with (place.folder / f"makan.{form}").open("wb") as file:
                while part := answer.read(1 << 20):
                    file.write(part)
                size = file.tell()
        return time.perf_counter() - begun, size


def ogr2ogr(place: Place) -> tuple[float, int, float]:
    """Seconds of ogr2ogr writing the same file, its bytes, and the peak memory in MB."""
    path = place.folder / "ogr2ogr.fgb"
    path.unlink(missing_ok=True)
    columns = ", ".join(("id", *place.fields, "geom"))
    words = ["ogr2ogr", "-f", "FlatGeobuf", str(path), f"PG:{place.uri}"]
    asked = f"SELECT {columns} FROM {place.schema}.{place.view}"
    begun = time.perf_counter()
    process = subprocess.Popen([*words, "-sql", asked, "-nln", "parcels"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    return time.perf_counter() - begun, path.stat().st_size, usage.ru_maxrss / 1024
