"""Files that are made before anybody asks, each with its checksum: a GeoPackage of each collection,
and extracts of an area for work without a network (``extracts``).

They lie beside what was published, with an index that says what each was made of. A file whose
layers have not changed since is current, and is not made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import orjson
from psycopg import sql

from pipeline import disk
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Database, translated
from pipeline.derive import views
from pipeline.derive.raster_collections import COG
from pipeline.serve import geopackage, mbtiles, publish, within
from pipeline.serve.clause import template
from pipeline.serve.served import Served
from pipeline.serve.tile_seed import Offline
from pipeline.serve.within import Area
from pipeline.settings import Settings

SUFFIX, PICTURE = ".gpkg", ".tif"
MEDIA_TYPES = {
    SUFFIX: geopackage.MEDIA_TYPE, mbtiles.SUFFIX: mbtiles.MEDIA_TYPE, PICTURE: COG,
}  # fmt: skip
_INDEX = "index.json"
Tell = Callable[[str], None]


class Site(Protocol):
    """A published service, whether it runs or not."""

    @property
    def schemas(self) -> Schemas:
        """The contracts."""

    @property
    def served(self) -> Mapping[str, Served]:
        """Feature collections by id."""


@dataclass(frozen=True)
class Download:
    """One file: ``of`` is the collection it is made of, or cut by; ``state`` stands for all that
    went in; ``rows`` are features by layer, ``loads`` the run and the time each layer is of. What
    is of a raster is current while its ``version`` is served."""

    name: str
    of: str
    bytes: int
    sha256: str
    made: str
    state: str
    rows: dict[str, int]
    loads: dict[str, tuple[int, str]] = field(default_factory=dict)
    version: str | None = None

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
    now, loads = states(site, database)
    for one in tables(site):
        name = f"{one.id}{SUFFIX}"
        state = state_of(site, [one], now)
        if name in known and known[name].state == state:
            continue
        tell(one.id)
        own = {layer: load for layer, load in loads.items() if layer == one.layer.id}
        with begun(folder(settings) / f"{one.id}.part{SUFFIX}") as part:
            rows = {one.id: add(site, one, None, part)}
            geopackage.dress(site, drawn(site, rows), part, site.languages[0])
            made.append(entered(settings, name, one.id, part, (state, rows, own)))
    _forget(settings, {one.id for one in tables(site)})
    return made


def current(site: Site, one: Download, states: dict[str, str], rasters: Collection[str]) -> bool:
    """Whether nothing that ``one`` was made of has changed: ``states`` are those of the layers,
    ``rasters`` the versions of what is served of rasters."""
    if one.version is not None:
        return one.version in rasters
    whole = one.name != f"{one.of}{SUFFIX}"
    made_of = stored(site) if whole else filter(None, map(site.served.get, one.rows))
    return one.state == state_of(site, list(made_of), states)


def tables(site: Site) -> Iterator[Served]:
    """The collections that can be taken along: what was, and what changed, is asked online."""
    return (one for one in site.served.values() if one.layer.source != "log")


def stored(site: Site) -> Iterator[Served]:
    """Those of which it is known when they change: what a view holds is another thing tomorrow."""
    return (one for one in tables(site) if one.layer.source != "view")


def drawn(site: Offline, names: dict[str, int]) -> list[str]:
    """Those of the collections ``names`` that have shapes."""
    return [name for name in names if site.served[name].has_geometry]


def add(site: Offline, one: Served, area: Area | None, path: Path) -> int:
    """Puts what of the collection belongs to ``area`` into the GeoPackage ``path``; how much."""
    clause = within.clause(one, area, site.served) if area else None
    asked = geopackage.wished(one, [clause] if clause else [])
    with translated(private=site.database.is_private):
        return geopackage.add(site, asked, path, site.languages[0])


def states(site: Offline, database: Database) -> tuple[dict[str, str], dict[str, tuple[int, str]]]:
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


def state_of(site: Site, layers: list[Served], states: dict[str, str]) -> str:
    """Stands for the data and the contracts of ``layers``."""
    digest = hashlib.sha256()
    for one in layers:
        digest.update(f"{states.get(one.layer.id)} {site.schemas.digest(one.layer.id)}".encode())
    return digest.hexdigest()[:32]


@contextmanager
def begun(path: Path) -> Iterator[Path]:
    """``path``, where nothing is, in a folder that is there; what was not put in its place by the
    end goes again, lest a full disk stays full of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def entered(
    settings: Settings,
    name: str,
    of: str,
    part: Path,
    told: tuple[str, dict[str, int], dict[str, tuple[int, str]]],
    version: str | None = None,
) -> Download:
    """Puts the file in its place, and into the index; ``told`` are its state, rows and loads."""
    state, rows, loads = told
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size, now = part.stat().st_size, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    part.replace(folder(settings) / name)
    found = Download(name, of, size, digest, now, state, rows, loads, version)
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
    content = orjson.dumps({name: asdict(one) for name, one in index.items()})
    disk.write_bytes(folder(settings) / _INDEX, content)
