"""Tiles as they are asked for: kept ones where nothing has changed, others made and kept.

Of the sources of a tile only changed rows count: after a load, the tiles that the old and the new
places of its rows touch are taken away, all others stay with their tags.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from psycopg import sql

from pipeline import __version__
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import generalised, grids
from pipeline.derive.columns import GEOMETRY
from pipeline.derive.grids import Boxes, Grid, Tile
from pipeline.serve import encodings, kept_tile, mvt, reach
from pipeline.serve.clause import template
from pipeline.serve.kept_tile import Kept, Key
from pipeline.serve.made_by import made_by
from pipeline.serve.query import Statement
from pipeline.serve.reader import Reader
from pipeline.serve.served import Served
from pipeline.serve.state import NEVER_LOADED, State
from pipeline.serve.tile_cache import TileCache
from pipeline.serve.tile_make import Bounds, Made, Maker
from pipeline.settings import Settings
from pipeline.tiling.lattice import Lattice

_MOST_MOVED = 20_000
_MOMENT_S = 0.05
_AGAIN_S = 2.0
_MOST_WAITING = 4_000_000
#: So much the counter of shapes of small scale rises when all of them are made again.
WHOLE = 1_000_000


@dataclass
class TileStore:
    """Tiles of feature layers, for one audience."""

    schemas: Schemas
    state: State
    cache: TileCache
    maker: Maker
    made_by: str
    _known: dict[str, tuple[str, int]] = field(default_factory=dict)
    _again: dict[str, float] = field(default_factory=dict)
    _moving: dict[str, asyncio.Lock] = field(default_factory=dict)
    _keeping: set[asyncio.Future[None]] = field(default_factory=set)
    _made: dict[Key, tuple[Made, str]] = field(default_factory=dict)
    _size: int = 0
    _last: float = 0.0

    async def get(
        self, served: Served, grid: Grid, tile: Tile, size: int | None = None
    ) -> Kept | Made:
        """One layer of a tile; ``Kept`` if it was made before."""
        layer = served.layer
        now = await self.state.version(layer.id)
        far = await self.state.version(generalised.state_name(layer))
        from_afar = far != NEVER_LOADED
        at_level = from_afar and tile.zoom in served.levels
        source, state = (generalised.state_name(layer), far) if at_level else (layer.id, now)
        most = size or self.maker.most.size
        key = Key(source, grid.id, tile, most)
        if not self._is_at(source, state):
            await self._moved_on(layer, source, state)
        waiting = self._made.get(key)
        if waiting and waiting[1] == state:
            return waiting[0]
        # What the file could not be told of, it still holds as it was before.
        kept = self.cache.get(key) if self._is_at(source, state) else None
        if kept:
            return kept
        made = await self.maker.make(served, grid, tile, from_afar=from_afar, size=most)
        made = replace(made, tag=kept_tile.tag(made.body))
        # Shapes of small scale that a tile of larger scale fell back to may be behind the layer.
        if at_level or not made.far or _run(far) == _run(now):
            self._keep_soon(key, made, state)
        return made

    async def encoded(self, kept: Kept, name: str) -> bytes:
        """A kept tile in the encoding ``name``, which is kept too once it was asked for."""
        if name in kept.packed:
            return kept.packed[name]
        body = await asyncio.to_thread(_encoded, kept, name)
        self._later(self.cache.add, kept, name, body)
        return body

    def _later(self, work: Callable[..., None], *given: object) -> None:
        """What no answer waits for."""
        keeping = asyncio.get_running_loop().run_in_executor(None, work, *given)
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    async def together(self, layers: Sequence[Served], grid: Grid, tile: Tile) -> bytes:
        """Several layers in one tile, which is the tiles of each one after the other; the largest
        give way where all of them would be too much."""
        found = await asyncio.gather(*(self.get(one, grid, tile) for one in layers))
        bodies = [_body(one) for one in found]
        most = self.maker.most.size
        least = most // (2 * max(len(bodies), 1))
        while sum(map(len, bodies)) > most:
            largest = max(range(len(bodies)), key=lambda number: len(bodies[number]))
            left = most - sum(map(len, bodies)) + len(bodies[largest])
            smaller = max(left, least, 1)
            if smaller >= len(bodies[largest]):
                smaller = len(bodies[largest]) // 2
            bodies[largest] = _body(await self.get(layers[largest], grid, tile, smaller))
        return b"".join(bodies)

    async def settled(self) -> None:
        """Waits until what was made is kept."""
        self._keep_now()
        if self._keeping:
            await asyncio.wait(self._keeping)

    def _keep_soon(self, key: Key, made: Made, state: str) -> None:
        """Keeps a tile when there is a moment's pause, with all that wait for it, lest what nobody
        waits for take the time of those who do; or when they are too much to hold."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        if not self._made:
            loop.call_later(_MOMENT_S, self._keep_in_pause)
        self._made[key] = made, state
        self._size += len(made.body)
        if self._size > _MOST_WAITING:
            self._keep_now()

    def _keep_in_pause(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._last >= _MOMENT_S:
            self._keep_now()
        elif self._made:
            loop.call_later(_MOMENT_S, self._keep_in_pause)

    def _keep_now(self) -> None:
        if self._made:
            made, self._made, self._size = self._made, {}, 0
            self._later(self._keep, made)

    def _keep(self, made: dict[Key, tuple[Made, str]]) -> None:
        packed = [
            (key, kept_tile.packed(one.body, one.tag), state) for key, (one, state) in made.items()
        ]
        self.cache.put(*packed)

    def _is_at(self, source: str, state: str) -> bool:
        """Whether what the file holds of ``source`` is of ``state``."""
        return self._known.get(source) == (state, self.cache.files)

    async def _moved_on(self, layer: LayerContract, source: str, state: str) -> None:
        """Takes the tiles away that are not of ``state`` any more; once for all who wait."""
        async with self._moving.setdefault(source, asyncio.Lock()):
            loop = asyncio.get_running_loop()
            if self._is_at(source, state) or loop.time() < self._again.get(source, 0.0):
                return
            before, done = self.cache.state(source), True
            if before != (state, self.made_by) and not _newer(before, state, self.made_by):
                gone = await self._gone(layer, source, before, state)
                done = self.cache.advance(source, before, (state, self.made_by), gone)
            if done:
                self._known[source] = state, self.cache.files
            else:
                self._again[source] = loop.time() + _AGAIN_S

    async def _gone(
        self, layer: LayerContract, source: str, before: tuple[str, str] | None, state: str
    ) -> list[tuple[str, Tile]] | None:
        """The kept tiles that loads since ``before`` touch; None for all of them: it is not known
        what was touched, or a load was undone."""
        if before is None or before[1] != self.made_by or not generalised.has_moved(layer):
            return None
        if await self._undone(layer, source, before[0], state):
            return None
        boxes = await self._boxes(layer, _run(before[0]))
        if boxes is None:
            return None
        return self._touched(source, boxes, far=source != layer.id)

    async def _undone(self, layer: LayerContract, source: str, before: str, state: str) -> bool:
        """Whether more was changed than later loads tell."""
        if _run(state) <= _run(before):
            return True
        if source != layer.id:
            return _steps(state) // WHOLE != _steps(before) // WHOLE
        view = sql.Identifier(self.state.schema, generalised.moved_name(layer))
        asked = template("runs_since").format(view=view).as_bytes(None)
        row = await self.maker.ask(Statement(asked, {"run": _run(before)}))
        runs = int(row[0]) if row else 0
        # Each load raises the counter by one; an undo raises it too, and leaves no rows behind.
        return _steps(state) - _steps(before) != runs

    async def _boxes(self, layer: LayerContract, run: int) -> Boxes | None:
        view = sql.Identifier(self.state.schema, generalised.moved_name(layer))
        asked = template("moved").format(view=view, geom=sql.Identifier(GEOMETRY))
        values = {"run": run, "most": _MOST_MOVED + 1}
        row = await self.maker.ask(Statement(asked.as_bytes(None), values))
        if row is None or row[0] > _MOST_MOVED:
            return None
        return np.array(row[1:], dtype=np.float64).T if row[0] else np.zeros((0, 4))

    def _touched(self, source: str, boxes: Boxes, *, far: bool) -> list[tuple[str, Tile]]:
        city = self.schemas.city
        lattice = Lattice.of(city)
        offered = grids.of(city)
        by_level: dict[tuple[str, int], list[Tile]] = {}
        for name, tile in self.cache.places(source):
            by_level.setdefault((name, tile.zoom), []).append(tile)
        found = []
        for (name, zoom), tiles in by_level.items():
            grid = offered.get(name)
            if grid is None:
                continue
            # A change of a row may move shapes in its whole chunk, and those round it.
            wide = boxes if not far else lattice.boxes(lattice.chunks(boxes, zoom), zoom)
            wide = reach.moved(wide, city.srid, grid.srid)
            edge = grid.size(zoom) * mvt.BUFFER
            touched = _tiles(grid.spans(wide + np.array([-edge, -edge, edge, edge]), zoom))
            found += [(name, one) for one in tiles if (one.row, one.column) in touched]
        return found


def _encoded(kept: Kept, name: str) -> bytes:
    return encodings.encode(kept.body(), name, small=True)


def _body(found: Kept | Made) -> bytes:
    return found.body if isinstance(found, Made) else found.body()


def store(
    settings: Settings,
    schemas: Schemas,
    state: State,
    reader: Reader,
    options: Mapping[str, Any],
) -> TileStore:
    """The tiles of the settings' audience, asked of the database by ``reader``."""
    path = settings.home / "tiles" / f"{settings.audience}.sqlite"
    cache = TileCache(path, most_bytes=options["tile_cache_mb"] * 1_000_000)
    maker = Maker(reader.row, Bounds(options["tile_rows"], options["tile_kb"] * 1000))
    kept = made_by(settings, schemas, __version__, options["tile_rows"], settings.audience)
    return TileStore(schemas, state, cache, maker, kept)


def _tiles(spans: np.ndarray) -> set[tuple[int, int]]:
    return {
        (row, column)
        for top, bottom, left, right in np.unique(spans, axis=0).tolist()
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    }


def _run(state: str) -> int:
    """The load of a state, which is ``<load>.<changes>``."""
    return int(state.partition(".")[0] or 0)


def _steps(state: str) -> int:
    return int(state.partition(".")[2] or 0)


def _newer(before: tuple[str, str] | None, state: str, made_by: str) -> bool:
    """Whether another process knows a later state than ours, which is then behind for a moment."""
    return before is not None and before[1] == made_by and _steps(before[0]) > _steps(state)
