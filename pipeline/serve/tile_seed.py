"""Tiles before anybody asks: into the cache, or into one PMTiles file that is served by ranges."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from psycopg import sql

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive import grids
from pipeline.derive.columns import GEOMETRY
from pipeline.derive.grids import Bounds, Grid, Tile
from pipeline.errors import SettingsError
from pipeline.serve import crs, mbtiles, mvt, publish, reach, served, tile_layers, tile_store
from pipeline.serve.clause import template
from pipeline.serve.query import Statement
from pipeline.serve.reader import Reader
from pipeline.serve.served import Served
from pipeline.serve.state import State
from pipeline.serve.tile_layers import Drawn
from pipeline.serve.tile_store import TileStore
from pipeline.settings import Settings

_AT_ONCE = 4
_GZIP_LEVEL = 6


def exported(settings: Settings, name: str) -> Path:
    """Where the file of tiles is that the server offers."""
    return publish.files(settings).config.with_name(f"{name}.pmtiles")


@asynccontextmanager
async def opened(
    settings: Settings, schemas: Schemas, options: dict[str, Any]
) -> AsyncIterator[TileStore]:
    """The tiles of the settings' audience, without a server."""
    audience = schemas.audience(settings.audience)
    reader = Reader(Database(settings), audience.role, size=_AT_ONCE, alone=True)
    await reader.open()
    state = State(reader, audience)
    store = tile_store.store(settings, schemas, state, reader, options)
    store.cache.open(patient=True)
    try:
        yield store
    finally:
        await store.settled()
        store.cache.close()
        await reader.close()


async def _children(store: TileStore, layers: list[Served], grid: Grid, tile: Tile) -> list[Tile]:
    """The tiles below ``tile`` in which one of ``layers`` has something."""
    below = [
        Tile(tile.zoom + 1, 2 * tile.row + down, 2 * tile.column + right)
        for down in (0, 1)
        for right in (0, 1)
    ]
    found = await asyncio.gather(*(_any(store, layers, grid, one) for one in below))
    return [one for one, there in zip(below, found, strict=True) if there]


async def _any(store: TileStore, layers: list[Served], grid: Grid, tile: Tile) -> bool:
    for layer in layers:
        box = reach.stored(grid, grid.bounds(tile, mvt.BUFFER), layer.city)
        if box is None or not grid.has(tile):
            return False
        parts = {"view": layer.view, "geom": sql.Identifier(GEOMETRY)}
        asked = template("tile_any").format(**parts).as_bytes(None)
        values = {"box": crs.rectangle(box[0], layer.city.srid)}
        row = await store.maker.ask(Statement(asked, values))
        if row and row[0]:
            return True
    return False


async def levels(
    store: TileStore, layers: list[Served], grid: Grid, last: int
) -> AsyncIterator[list[Tile]]:
    """Level by level down to ``last``, the tiles in which one of ``layers`` has something."""
    async for level in _levels(store, layers, grid, last, None):
        yield level


async def _levels(
    store: TileStore, layers: list[Served], grid: Grid, last: int, box: Bounds | None
) -> AsyncIterator[list[Tile]]:
    """``levels`` of the tiles that meet ``box``, in the grid's CRS."""
    here = [Tile(grid.narrow, row, 0) for row in range(grid.shape(grid.narrow)[0])]
    for zoom in range(grid.narrow, last + 1):
        if zoom > grid.narrow:
            here = [one for tile in here for one in await _children(store, layers, grid, tile)]
        here = [one for one in here if box is None or _meet(grid.bounds(one), box)]
        yield here


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


async def _made(store: TileStore, layers: list[Served], grid: Grid, tile: Tile) -> bytes:
    """The tile of all ``layers`` that are drawn at its zoom."""
    return await store.together([one for one in layers if one.is_at(tile.zoom)], grid, tile)


async def seed(store: TileStore, layers: list[Served], grid: Grid, last: int) -> tuple[int, int]:
    """Makes and keeps every tile of ``layers`` down to the zoom level ``last``; how many tiles, and
    their bytes."""
    tiles = size = 0
    async for level in levels(store, layers, grid, last):
        for first in range(0, len(level), _AT_ONCE):
            some = level[first : first + _AT_ONCE]
            made = await asyncio.gather(*(_made(store, layers, grid, one) for one in some))
            tiles += sum(1 for body in made if body)
            size += sum(map(len, made))
            await store.settled()
    return tiles, size


async def export(
    store: TileStore,
    layers: list[Served],
    last: int,
    about: dict[str, Any],
    path: Path,
    box: Bounds | None = None,
) -> tuple[int, int]:
    """Writes every tile of ``layers`` (that meets ``box``, in web mercator) down to the zoom level
    ``last`` into ``path``, which appears when it is whole: MBTiles if it is called so, else
    PMTiles. ``about`` is its TileJSON. How many tiles, and their bytes."""
    part = path.with_name(f"{path.name}.part")
    grid, tiles, size = grids.WEB_MERCATOR, 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = mbtiles.writer if path.suffix == mbtiles.SUFFIX else _pmtiles
    try:
        with opened(part) as writer:
            async for level in _levels(store, layers, grid, last, box):
                for tile in _in_order(level):
                    body = await _made(store, layers, grid, tile)
                    if body:
                        writer.write(tile, gzip.compress(body, _GZIP_LEVEL, mtime=0))
                        tiles, size = tiles + 1, size + len(body)
            if not tiles:
                raise SettingsError("there is nothing to export", todo="Load the layer first.")
            writer.finish(about, min(last, about["maxzoom"]))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return tiles, size


@dataclass(frozen=True)
class _Pmtiles:
    writer: Any

    def write(self, tile: Tile, body: bytes) -> None:
        """The next tile along the curve."""
        self.writer.write_tile(zxy_to_tileid(tile.zoom, tile.column, tile.row), body)

    def finish(self, about: dict[str, Any], last: int) -> None:
        """All tiles are there."""
        self.writer.finalize(*_described(about, last))


@contextmanager
def _pmtiles(path: Path) -> Iterator[_Pmtiles]:
    with path.open("wb") as file:
        yield _Pmtiles(Writer(file))  # type: ignore[no-untyped-call]


def _in_order(level: list[Tile]) -> list[Tile]:
    """Tiles along the curve that PMTiles are read by."""
    return sorted(level, key=lambda one: zxy_to_tileid(one.zoom, one.column, one.row))


def _described(about: dict[str, Any], last: int) -> tuple[dict[str, Any], dict[str, Any]]:
    west, south, east, north = (round(number * 1e7) for number in about["bounds"])
    header = {
        "tile_type": TileType.MVT,
        "tile_compression": Compression.GZIP,
        "min_zoom": about["minzoom"],
        "max_zoom": last,
        "min_lon_e7": west,
        "min_lat_e7": south,
        "max_lon_e7": east,
        "max_lat_e7": north,
        "center_zoom": about["minzoom"],
        "center_lon_e7": (west + east) // 2,
        "center_lat_e7": (south + north) // 2,
    }
    kept = ("name", "description", "attribution", "vector_layers")
    return header, {key: about[key] for key in kept}


@dataclass(frozen=True)
class Offline:
    """A published service that need not run."""

    settings: Settings
    schemas: Schemas

    @cached_property
    def config(self) -> dict[str, Any]:
        """The published configuration; SettingsError while nothing is published."""
        path = publish.files(self.settings).config
        try:
            found: dict[str, Any] = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        except FileNotFoundError:
            raise SettingsError("nothing is published yet", todo="Run `makan publish`.") from None
        return found

    @property
    def base(self) -> str:
        """The public address."""
        return self.settings.public_base

    @cached_property
    def database(self) -> Database:
        """Where the data are."""
        return Database(self.settings)

    @cached_property
    def served(self) -> dict[str, Served]:
        """Feature collections by id."""
        return served.catalog(self.schemas, self.schemas.audience(self.settings.audience))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of titles."""
        return self.schemas.city.languages

    def drawn(self, name: str) -> Drawn:
        """The collection or the group called ``name``; SettingsError names those there are."""
        groups = tile_layers.groups(self)
        if name in groups:
            return groups[name]
        tiled = [one.id for one in self.served.values() if one.has_geometry]
        if name not in tiled:
            known = ", ".join([*groups, *tiled])
            raise SettingsError(f"no tiles are called {name}", todo=f"Known are: {known}.")
        return tile_layers.of_collection(self, name)
