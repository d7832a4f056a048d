"""Makes one layer of a tile so that it is small enough, whatever is in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pipeline.derive.grids import Grid, Tile
from pipeline.serve import mvt
from pipeline.serve.mvt import Way
from pipeline.serve.query import Statement
from pipeline.serve.served import Served

Ask = Callable[[Statement], Awaitable[tuple[Any, ...] | None]]
_SPARE = 0.9


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no tile exceeds: rows that are looked at, and bytes."""

    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class Made:
    """One layer of a tile; ``far``: it shows what the layer looks like from afar; ``tag``: that of
    the bytes, where it is known."""

    body: bytes
    far: bool = False
    tag: str | None = None


@dataclass(frozen=True)
class Maker:
    """Makes tiles by ``ask``, which puts a question to the database."""

    ask: Ask
    most: Bounds

    async def make(
        self, served: Served, grid: Grid, tile: Tile, *, from_afar: bool, size: int | None = None
    ) -> Made:
        """The richest tile of at most ``size`` bytes (those of ``most`` unless given). Where even
        the barest is larger, it holds the largest features alone."""
        size = size or self.most.size
        body, shapes, way = b"", 0, Way()
        for way in mvt.ways(served, tile.zoom, from_afar=from_afar):
            body, shapes = await self._one(served, grid, tile, way)
            if len(body) <= size and shapes < self.most.rows:
                return Made(body, far=way.level is not None)
        rows = shapes
        while len(body) > size or rows >= self.most.rows:
            rows = int(min(rows, rows * size / max(len(body), 1)) * _SPARE)
            way = Way(rich=False, rows=max(rows, 1))
            body, _ = await self._one(served, grid, tile, way)
            if rows < 2:
                break
        return Made(body)

    async def _one(self, served: Served, grid: Grid, tile: Tile, way: Way) -> tuple[bytes, int]:
        asked = mvt.statement(served, grid, tile, way, max_rows=self.most.rows)
        row = await self.ask(asked) if asked else None
        return (bytes(row[0]), int(row[1])) if row and row[1] else (b"", 0)
