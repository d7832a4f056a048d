"""Files that are made before anybody asks, each with its checksum: a GeoPackage of each collection,
and extracts of an area for work without a network.

They lie beside what was published, with an index that says what each was made of. A file whose
layers have not changed since is not made again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Database, translated
from pipeline.derive import grids, views
from pipeline.derive.columns import GEOMETRY
from pipeline.derive.grids import Bounds
from pipeline.errors import SettingsError
from pipeline.serve import geopackage, mbtiles, publish, tile_layers, tile_seed, tilesets, within
from pipeline.serve.clause import template
from pipeline.serve.served import Served
from pipeline.serve.tile_seed import Offline
from pipeline.serve.within import Area
from pipeline.settings import Settings

SUFFIX = ".gpkg"
MEDIA_TYPES = {SUFFIX: geopackage.MEDIA_TYPE, mbtiles.SUFFIX: mbtiles.MEDIA_TYPE}
_INDEX = "index.json"
_LAST_ZOOM = 17
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Download:
    """One file: ``of`` is the collection it is made of, or cut by; ``state`` stands for all that
    went in; ``rows`` are features by layer, ``loads`` the run and the time each layer is of."""

    name: str
    of: str
    bytes: int
    sha256: str
    made: str
    state: str
    rows: dict[str, int]
    loads: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """What kind of file it is."""
        return MEDIA_TYPES[Path(self.name).suffix]


def folder(settings: Settings) -> Path:
    """Where the files of the settings' audience are."""
    return publish.files(settings).config.with_name("downloads")


def offered(settings: Settings) -> dict[str, Download]:
    """The files that are there, by name."""
    path = folder(settings) / _INDEX
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    return _read(path, changed)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> dict[str, Download]:
    del changed  # another one, another index
    found = orjson.loads(path.read_bytes())
    return {name: Download(**told) for name, told in found.items()}


def refresh(settings: Settings, site: Offline, tell: Tell) -> list[Download]:
    """Makes the GeoPackage of each collection whose layer has changed since; those that were made.
    Raises DatabaseError where the database is away."""
    database, known, made = site.database, offered(settings), []
    states, loads = _states(site, database)
    for one in _tables(site):
        name = f"{one.id}{SUFFIX}"
        state = _state(site, [one], states)
        if name in known and known[name].state == state:
            continue
        tell(one.id)
        part = _empty(folder(settings) / f"{one.id}.part{SUFFIX}")
        rows = {one.id: _add(site, one, None, part)}
        geopackage.dress(site, _drawn(site, rows), part, site.languages[0])
        own = {layer: load for layer, load in loads.items() if layer == one.layer.id}
        made.append(_entered(settings, name, one.id, part, (state, rows, own)))
    _forget(settings, {one.id for one in _tables(site)})
    return made


def extract(
    settings: Settings, site: Offline, area: Area, tell: Tell, last: int = _LAST_ZOOM
) -> list[Download]:
    """Makes the GeoPackage of all that belongs to ``area``, and MBTiles of the city's map there
    down to the zoom level ``last``. Raises SettingsError for an area that is not there."""
    mercator, degrees = _boxes(site, area)
    states, loads = _states(site, site.database)
    rows: dict[str, int] = {}
    part = _empty(folder(settings) / f"{area.name}.part{SUFFIX}")
    for one in _tables(site):
        tell(one.id)
        rows[one.id] = _add(site, one, area, part)
    geopackage.dress(site, _drawn(site, rows), part, site.languages[0])
    state = _state(site, list(_tables(site)), states)
    told = (state, rows, loads)
    made = [_entered(settings, f"{area.name}{SUFFIX}", area.served.id, part, told)]
    tell("tiles")
    part = folder(settings) / f"{area.name}.part{mbtiles.SUFFIX}"
    tiles = asyncio.run(_tiles(settings, site, (mercator, degrees), part, last))
    told = (state, {"tiles": tiles}, loads)
    return [*made, _entered(settings, f"{area.name}{mbtiles.SUFFIX}", area.served.id, part, told)]


async def _tiles(
    settings: Settings, site: Offline, boxes: tuple[Bounds, Bounds], path: Path, last: int
) -> int:
    drawn = next(iter(tile_layers.groups(site).values()))
    about = tilesets.tilejson(drawn, grids.WEB_MERCATOR, site.languages[0])
    about |= {"bounds": [round(number, 7) for number in boxes[1]]}
    async with tile_seed.opened(settings, site.schemas, site.config["makan"]) as store:
        layers = list(drawn.layers)
        count, _ = await tile_seed.export(store, layers, last, about, path, boxes[0])
    return count


def _tables(site: Offline) -> Iterator[Served]:
    """The collections that can be taken along: what was, and what changed, is asked online."""
    return (one for one in site.served.values() if one.layer.source != "log")


def _drawn(site: Offline, names: dict[str, int]) -> list[str]:
    return [name for name in names if site.served[name].has_geometry]


def _add(site: Offline, one: Served, area: Area | None, path: Path) -> int:
    clause = within.clause(one, area, site.served) if area else None
    asked = geopackage.wished(one, [clause] if clause else [])
    with translated(private=site.database.is_private):
        return geopackage.add(site, asked, path, site.languages[0])


def _boxes(site: Offline, area: Area) -> tuple[Bounds, Bounds]:
    """The box of the area in web mercator, and in degrees."""
    parts = {
        "view": area.served.view, "geom": sql.Identifier(GEOMETRY),
        "key": sql.Identifier(area.column),
    }  # fmt: skip
    asked = queries.load("geopackage")
    with site.database.connect(area.served.audience.role) as connection:
        found = connection.execute(
            sql.SQL(asked["box"]).format(**parts), {"value": area.key}
        ).fetchone()
        if found is None:
            there = connection.execute(sql.SQL(asked["keys"]).format(**parts)).fetchall()
            known = ", ".join(str(key) for (key,) in there)
            raise SettingsError(f"{area.served.id} has no {area.key}", todo=f"There are: {known}.")
    numbers: list[Any] = list(found)
    return tuple(numbers[:4]), tuple(numbers[4:])


def _states(site: Offline, database: Database) -> tuple[dict[str, str], dict[str, tuple[int, str]]]:
    """The state of each layer, and the run and the time that it was last written."""
    audience = next(iter(site.served.values())).audience
    version = sql.Identifier(audience.schema_name, views.VERSION)
    source = sql.Identifier(audience.schema_name, views.SOURCE)
    with database.connect(audience.role) as connection:
        row = connection.execute(template("versions").format(view=version)).fetchone()
        asked = sql.SQL(queries.load("geopackage")["loaded"]).format(view=source)
        loads: Any = connection.execute(asked).fetchall()
    states: dict[str, str] = orjson.loads(str(row[0])) if row else {}
    return states, {layer: (run, loaded) for layer, run, loaded in loads}


def _state(site: Offline, layers: list[Served], states: dict[str, str]) -> str:
    """Stands for the data and the contracts of ``layers``."""
    digest = hashlib.sha256()
    for one in layers:
        digest.update(f"{states.get(one.layer.id)} {site.schemas.digest(one.layer.id)}".encode())
    return digest.hexdigest()[:32]


def _empty(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def _entered(
    settings: Settings,
    name: str,
    of: str,
    part: Path,
    told: tuple[str, dict[str, int], dict[str, tuple[int, str]]],
) -> Download:
    """Puts the file in its place, and into the index."""
    state, rows, loads = told
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size, now = part.stat().st_size, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    part.replace(folder(settings) / name)
    found = Download(name, of, size, digest, now, state, rows, loads)
    _keep(settings, {**offered(settings), name: found})
    return found


def _forget(settings: Settings, names: set[str]) -> None:
    """Collections that are no more have no file either."""
    known = offered(settings)
    gone = {name for name, one in known.items() if one.of not in names}
    for name in gone:
        (folder(settings) / name).unlink(missing_ok=True)
    if gone:
        _keep(settings, {name: one for name, one in known.items() if name not in gone})


def _keep(settings: Settings, index: dict[str, Download]) -> None:
    path = folder(settings) / _INDEX
    fresh = path.with_suffix(".new")
    fresh.write_bytes(orjson.dumps({name: asdict(one) for name, one in index.items()}))
    fresh.replace(path)
