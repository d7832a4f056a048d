"""What is asked for: boxes, ids, tiles and shapes in which there is something, chosen by chance.

The same for all sides, and so many that nobody answers out of what was asked before.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import psycopg

from pipeline.derive import grids
from pipeline.derive.grids import Tile

_BOXES = 4_000
_ITEMS = 6_000
_FILTERS = 1_500
_TILES = {14: 48, 16: 160, 17: 1280}
_SEED = 7
#: A box of so many degrees round a parcel holds far more than 100 or 1000 parcels in a city.
_REACH = {100: 0.0016, 1000: 0.0055}
_DEEP = 200_000

_HOLDING = """
SELECT west, south, east, north FROM unnest(%(w)s::float8[], %(s)s::float8[], %(e)s::float8[],
    %(n)s::float8[]) WITH ORDINALITY AS b (west, south, east, north, place)
WHERE (SELECT count(*) FROM (SELECT FROM {view} v WHERE v.geom &&
    ST_Transform(ST_MakeEnvelope(west, south, east, north, 4326), {srid})
    LIMIT %(least)s) AS found) = %(least)s
ORDER BY place
"""
_CENTRES = """
SELECT ST_X(c), ST_Y(c) FROM (SELECT ST_Transform(ST_Centroid(geom), 4326) AS c FROM {view}
WHERE id = ANY(%(ids)s)) AS found ORDER BY 1, 2
"""
_CITY = """
SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e)
FROM (SELECT ST_Extent({moved}) AS e FROM {view}) AS found
"""
_FULL = """
SELECT count(*) FROM {view}
WHERE geom && ST_Transform(ST_MakeEnvelope(%s, %s, %s, %s, 3857), {srid})
"""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Sample:
    """Of one view: its id, boxes (WGS 84) by how many features each holds at least, shapes, tiles
    by zoom level, and the tiles that hold all of the city at level 10."""

    ids: list[int]
    boxes: dict[int, list[Box]]
    shapes: list[str]
    tiles: dict[int, list[Tile]]
    parcels: int

    @property
    def deep(self) -> int:
        """How far a deep page is from the first; two thirds of a smaller city."""
        return min(_DEEP, self.parcels * 2 // 3)


def drawn(connection: psycopg.Connection[Any], view: str, srid: int) -> Sample:
    """Draws them from ``view``."""
    chance = random.Random(_SEED)

    def ask(query: str, values: Any = None) -> list[Any]:
        made = query.format(view=view, srid=srid, moved="ST_Transform(geom, 3857)")
        return connection.execute(made.encode(), values).fetchall()

    ids = [row[0] for row in ask("SELECT id FROM {view}")]
    chance.shuffle(ids)
    # Where parcels are: a box round each of some thousand, moved a little.
    centres = [tuple(row) for row in ask(_CENTRES, {"ids": ids[: 2 * _BOXES]})]
    chance.shuffle(centres)
    boxes = {least: _boxes(ask, centres, least, _BOXES, chance) for least in _REACH}
    return Sample(
        ids=ids[:_ITEMS],
        boxes=boxes,
        shapes=[_octagon(box) for box in boxes[100][:_FILTERS]],
        tiles={zoom: _tiles(ask, zoom, most, chance) for zoom, most in (*_TILES.items(), (10, 8))},
        parcels=len(ids),
    )


def _boxes(
    ask: Any, centres: list[tuple[float, ...]], least: int, most: int, chance: random.Random
) -> list[Box]:
    reach = _REACH[least]
    sides: dict[str, list[float]] = {"w": [], "s": [], "e": [], "n": []}
    for centre in centres[: 2 * most]:
        x, y = (number + chance.uniform(-1e-4, 1e-4) for number in centre)
        for name, value in zip(sides, (x - reach, y - reach, x + reach, y + reach), strict=True):
            sides[name].append(round(value, 6))
    return [tuple(row) for row in ask(_HOLDING, {**sides, "least": least + 1})][:most]


def _octagon(box: Box) -> str:
    """A shape that is no box, as WKT in WGS 84; somewhat larger than ``box``."""
    west, south, east, north = box
    x, y = (west + east) / 2, (south + north) / 2
    large, small = (east - west) * 0.7, (east - west) * 0.4
    ring = [
        *((large, small), (small, large), (-small, large), (-large, small)),
        *((-large, -small), (-small, -large), (small, -large), (large, -small), (large, small)),
    ]
    return f"POLYGON(({','.join(f'{x + dx:.6f} {y + dy:.6f}' for dx, dy in ring)}))"


def _tiles(ask: Any, zoom: int, most: int, chance: random.Random) -> list[Tile]:
    """Tiles of a level with something in them."""
    west, south, east, north = ask(_CITY)[0]
    grid = grids.WEB_MERCATOR
    size = grid.size(zoom)
    left, right = (int((x - grid.origin[0]) // size) for x in (west, east))
    top, bottom = (int((grid.origin[1] - y) // size) for y in (north, south))
    places = [
        Tile(zoom, row, column)
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    ]
    chance.shuffle(places)
    found: list[Tile] = []
    for tile in places:
        if len(found) < most and ask(_FULL, grid.bounds(tile))[0][0] > 50:
            found.append(tile)
    return found
