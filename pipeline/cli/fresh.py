"""After a change of layers: facts that hang on them and their look from afar are made again.

Where there are any. What makes them takes a while to import, so it is only asked for when needed.
"""

from __future__ import annotations

from pipeline.cli import options
from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db import queries, sources
from pipeline.db.engine import Database
from pipeline.errors import MakanError
from pipeline.findings import Catalog
from pipeline.settings import Settings


def keep_fresh(settings: Settings, schemas: Schemas, layers: set[str], *, first: bool) -> None:
    """After a change of ``layers``: what was loaded stands, whatever becomes of the rest.

    What was never worked out waits for ``makan derive``, unless ``first``.
    """
    database = Database(settings)
    derived, refreshed = (True, True) if first else _there(database)
    if derived:
        _facts(database, schemas, layers, first=first)
    if refreshed:
        _generalised(database, schemas, layers, first=first)
    _terrain(settings, schemas, layers)
    _models(database, schemas, layers)


def after_migration(settings: Settings, schemas: Schemas, *, derive: bool) -> None:
    """What a migration has made anew, empty, where it was there before: works it out again, or
    tells what to do (unless ``derive``). Until then questions that need it are answered 503."""
    database = Database(settings)
    facts, levels = _lost(database)
    if derive and facts:
        _facts(database, schemas, None, first=True)
    if derive and levels:
        _generalised(database, schemas, levels, first=True)
    if not derive and (facts or levels):
        told = ", ".join(sorted({*facts, *(f"{name} from afar" for name in levels)}))
        said = f"to be worked out anew by `makan derive`: {told}"
        options.console().print(said, markup=False, soft_wrap=True)


def _lost(database: Database) -> tuple[set[str], set[str]]:
    """Facts, and layers seen from afar, that are empty in a database where others are not."""
    asked = (("facts", "lost"), ("generalised", "lost"))
    with database.connect("loader") as connection:
        rows = [connection.execute(queries.load(f)[name]).fetchall() for f, name in asked]
    facts, levels = ({str(row[0]) for row in some} for some in rows)
    return facts, levels


def _models(database: Database, schemas: Schemas, layers: set[str]) -> None:
    """Tells which elevation models are older now than the heights that they are made of."""
    if not any(schemas.layer(name).relief for name in layers):
        return
    console = options.console()
    try:
        with database.connect("loader") as connection:
            found = sources.tell(connection, Catalog.load())
    except MakanError as error:
        console.print(f"models are not looked at: {error}", markup=False, soft_wrap=True)
        return
    for model in found:
        console.print(str(model), markup=False, soft_wrap=True)


def _there(database: Database) -> tuple[bool, bool]:
    """Whether any fact was ever derived, and any layer made for small scales."""
    asked = (("facts", "any_derived"), ("generalised", "any_refreshed"))
    try:
        with database.connect("loader") as connection:
            rows = [connection.execute(queries.load(f)[name]).fetchone() for f, name in asked]
    except MakanError as error:
        options.console().print(f"facts are stale: {error}", markup=False, soft_wrap=True)
        return False, False
    derived, refreshed = (bool(row and row[0]) for row in rows)
    return derived, refreshed


def _terrain(settings: Settings, schemas: Schemas, layers: set[str]) -> None:
    """Heights and slopes of what was loaded, if there is a model of the ground."""
    models = [contract for contract in schemas.rasters.values() if contract.is_terrain]
    if not any(ServedRaster.pointer(settings.home, model.id).is_file() for model in models):
        return
    from pipeline.rasters.shelf import Shelf
    from pipeline.terrain import parcels

    served = Shelf(settings.home, models[0].id).served()
    if served is None or not parcels.concerns(schemas, layers):
        return
    console = options.console()
    try:
        found = parcels.follow(Database(settings), schemas, settings.home, served)
    except MakanError as error:
        console.print(f"terrain is stale: {error}", markup=False, soft_wrap=True)
        return
    if found:
        console.print(f"terrain of {found:,} parcels", markup=False, soft_wrap=True)


def _facts(database: Database, schemas: Schemas, layers: set[str] | None, *, first: bool) -> None:
    from pipeline.cli.derive import told
    from pipeline.joins import derive as joins

    console = options.console()
    try:
        found = joins.derive(database, schemas, layers=layers, first=first)
    except MakanError as error:
        console.print(f"facts are stale: {error}", markup=False, soft_wrap=True)
        return
    for one in found:
        console.print(told(one), markup=False, soft_wrap=True)


def _generalised(database: Database, schemas: Schemas, layers: set[str], *, first: bool) -> None:
    from pipeline.cli.tiles import told
    from pipeline.tiling.refresh import refresh

    console = options.console()
    try:
        found = refresh(database, schemas, layers=layers, first=first)
    except MakanError as error:
        console.print(f"small scales are stale: {error}", markup=False, soft_wrap=True)
        return
    for one in found:
        console.print(told(one), markup=False, soft_wrap=True)
