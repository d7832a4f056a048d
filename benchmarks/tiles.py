"""Vector tiles of a loaded city: bare SQL, made, kept and unchanged ones in turn, as ratios.

    MAKAN_HOME=… makan serve &
    MAKAN_HOME=… python -m benchmarks.tiles [--collection parcels] [--tiles 12]

Each tile is asked for on one connection, after PostgreSQL has read it once: of PostGIS alone (the
same query), of the server for the first time, again, and with its tag. Empties the cache.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import statistics
import time
from collections.abc import Callable

import psycopg

from pipeline import settings
from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.derive import grids
from pipeline.derive.grids import Tile
from pipeline.serve import kept_tile, mvt, publish, tile_cache, tile_seed
from pipeline.serve.served import Served
from pipeline.settings import Settings

WAYS = ("bare SQL", "made", "kept", "304")


def timed(work: Callable[[], bytes]) -> tuple[float, bytes]:
    """Milliseconds, and what came."""
    begun = time.perf_counter()
    body = work()
    return (time.perf_counter() - begun) * 1000, body


def chosen(site: tile_seed.Offline, served: Served, most: int) -> dict[int, list[Tile]]:
    """Tiles with something in them, zoom level by zoom level, evenly chosen."""

    async def work() -> dict[int, list[Tile]]:
        found: dict[int, list[Tile]] = {}
        async with tile_seed.opened(site.settings, site.schemas, site.config["makan"]) as store:
            async for level in tile_seed.levels(store, [served], grids.WEB_MERCATOR, 17):
                if level and level[0].zoom >= served.layer.publish.min_zoom:
                    found[level[0].zoom] = level[:: max(len(level) // most, 1)][:most]
        return found

    return asyncio.run(work())


class Asked:
    """One connection to each side."""

    def __init__(self, found: Settings, site: tile_seed.Offline, served: Served) -> None:
        self.site, self.served = site, served
        audience = site.schemas.audience(found.audience)
        self.database = psycopg.connect(Database(found).uri(audience.role), autocommit=True)
        self.server = http.client.HTTPConnection(found.host, found.port, timeout=60)

    def bare(self, tile: Tile) -> bytes:
        """The tile by the first way that the server would try."""
        options = self.site.config["makan"]
        way = next(mvt.ways(self.served, tile.zoom, from_afar=True))
        asked = mvt.statement(
            self.served, grids.WEB_MERCATOR, tile, way, max_rows=options["tile_rows"]
        )
        assert asked
        cursor = self.database.cursor(binary=True)
        row = cursor.execute(asked.sql, asked.values).fetchone()
        return bytes(row[0]) if row else b""

    def http(self, tile: Tile, tag: str = "") -> bytes:
        """The tile of the server."""
        headers = {"If-None-Match": tag} if tag else {}
        self.server.request(
            "GET", f"/collections/{self.served.id}/tiles/{grids.WEB}/{tile}", headers=headers
        )
        answer = self.server.getresponse()
        body = answer.read()
        assert answer.status == (304 if tag else 200) or answer.status == 204, answer.status
        return body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", default="parcels")
    parser.add_argument("--tiles", type=int, default=12)
    given = parser.parse_args()
    found = settings.from_environment()
    site = tile_seed.Offline(found, registry.load(found.city))
    served = site.served[given.collection]
    tiles = chosen(site, served, given.tiles)
    path = publish.files(found).config.parents[2] / "tiles" / f"{found.audience}.sqlite"
    cache = tile_cache.TileCache(path, most_bytes=1)
    cache.open()
    cache._ask("DELETE FROM tile", ())
    cache.close()
    asked = Asked(found, site, served)
    print(f"{'zoom':>4} {'tiles':>5} {'kB':>6} {'most':>6}" + "".join(f"{w:>10}" for w in WAYS))
    for zoom, level in tiles.items():
        spent: dict[str, list[float]] = {way: [] for way in WAYS}
        sizes = []
        for tile in level:
            asked.bare(tile)
            ms, _ = timed(lambda: asked.bare(tile))  # noqa: B023
            spent["bare SQL"].append(ms)
            ms, body = timed(lambda: asked.http(tile))  # noqa: B023
            spent["made"].append(ms)
            sizes.append(len(body) / 1000)
            time.sleep(1.0)
            ms, again = timed(lambda: asked.http(tile))  # noqa: B023
            assert len(again) == len(body)
            spent["kept"].append(ms)
            ms, _ = timed(lambda: asked.http(tile, kept_tile.tag(again)))  # noqa: B023
            spent["304"].append(ms)
        middle = {way: statistics.median(values) for way, values in spent.items()}
        pairs = zip(spent["bare SQL"], spent["made"], strict=True)
        ratios = [statistics.median(bare / made for bare, made in pairs)]
        ratios += [middle["made"] / middle[way] for way in ("kept", "304")]
        print(
            f"{zoom:>4} {len(level):>5} {statistics.median(sizes):>6.0f} {max(sizes):>6.0f}"
            + "".join(f"{middle[way]:>7.1f} ms" for way in WAYS)
            + f"   made at {ratios[0]:.2f} of bare SQL; kept {ratios[1]:.0f}x, 304 {ratios[2]:.0f}x"
        )


if __name__ == "__main__":
    main()
