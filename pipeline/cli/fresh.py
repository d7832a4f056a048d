"""After a change of layers: facts that hang on them and their look from afar are made again.

Where there are any. What makes them takes a while to import, so it is only asked for when needed.
"""

from __future__ import annotations

from pipeline.cli import options
from pipeline.contracts.raster import ServedRaster
from pipeline.db import queries
from pipeline.db.engine import Database
from pipeline.errors import MakanError
from pipeline.settings import Settings


def keep_fresh(settings: Settings, layers: set[str], *, first: bool) -> None:
    """After a change of ``layers``: what was loaded stands, whatever becomes of the rest.

    What was never worked out waits for ``makan derive``, unless ``first``.
    """
    _facts(settings, layers, first=first)
    _generalised(settings, layers, first=first)
    _terrain(settings, layers)


def _terrain(settings: Settings, layers: set[str]) -> None:
    """Heights and slopes of what was loaded, if there is a model of the ground."""
    schemas, console = options.schemas(settings), options.console()
    models = [contract for contract in schemas.rasters.values() if contract.is_terrain]
    if not any(ServedRaster.pointer(settings.home, model.id).is_file() for model in models):
        return
    from pipeline.rasters.shelf import Shelf
    from pipeline.terrain import parcels

    served = Shelf(settings.home, models[0].id).served()
    if served is None or not parcels.concerns(schemas, layers):
        return
    try:
        found = parcels.follow(Database(settings), schemas, settings.home, served)
    except MakanError as error:
        console.print(f"terrain is stale: {error}", markup=False, soft_wrap=True)
        return
    if found:
        console.print(f"terrain of {found:,} parcels", markup=False, soft_wrap=True)


def _facts(settings: Settings, layers: set[str], *, first: bool) -> None:
    console, database = options.console(), Database(settings)
    try:
        if not first and not _any(database, "facts", "any_derived"):
            return
        from pipeline.cli.derive import told
        from pipeline.joins import derive as joins

        found = joins.derive(database, options.schemas(settings), layers=layers, first=first)
    except MakanError as error:
        console.print(f"facts are stale: {error}", markup=False, soft_wrap=True)
        return
    for one in found:
        console.print(told(one), markup=False, soft_wrap=True)


def _generalised(settings: Settings, layers: set[str], *, first: bool) -> None:
    console, database = options.console(), Database(settings)
    try:
        if not first and not _any(database, "generalised", "any_refreshed"):
            return
        from pipeline.cli.tiles import told
        from pipeline.tiling.refresh import refresh

        found = refresh(database, options.schemas(settings), layers=layers, first=first)
    except MakanError as error:
        console.print(f"small scales are stale: {error}", markup=False, soft_wrap=True)
        return
    for one in found:
        console.print(told(one), markup=False, soft_wrap=True)


def _any(database: Database, file: str, query: str) -> bool:
    with database.connect("loader") as connection:
        row = connection.execute(queries.load(file)[query]).fetchone()
    return bool(row and row[0])
