"""MBTiles 1.3: vector tiles in one SQLite file, which QGIS opens without a network."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.db import queries
from pipeline.derive.grids import Tile

SUFFIX, MEDIA_TYPE = ".mbtiles", "application/vnd.mapbox-vector-tile-mbtiles+sqlite3"


@dataclass(frozen=True)
class Writer:
    """Puts tiles into one file."""

    connection: sqlite3.Connection

    def write(self, tile: Tile, body: bytes) -> None:
        """One tile, packed by gzip; rows of MBTiles begin in the south."""
        row = 2**tile.zoom - 1 - tile.row
        values = (tile.zoom, tile.column, row, body)
        self.connection.execute(queries.load("geopackage")["add_tile"], values)

    def finish(self, about: dict[str, Any], last: int) -> None:
        """All tiles are there; ``about`` is their TileJSON, ``last`` the last zoom level."""
        told = {
            "name": about["name"],
            "description": about["description"],
            "attribution": about["attribution"],
            "format": "pbf",
            "type": "overlay",
            "bounds": ",".join(str(number) for number in about["bounds"]),
            "minzoom": str(about["minzoom"]),
            "maxzoom": str(last),
            "json": json.dumps({"vector_layers": about["vector_layers"]}, ensure_ascii=False),
        }
        self.connection.executemany(queries.load("geopackage")["add_metadata"], told.items())


@contextmanager
def writer(path: Path) -> Iterator[Writer]:
    """A new file at ``path``."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in ("tiles", "metadata"):
            connection.execute(queries.load("geopackage")[name])
        yield Writer(connection)
