"""Several files of one raster layer: load each, then serve what is in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate
from pipeline.db.engine import Database
from pipeline.findings import Catalog
from pipeline.rasters.inspect import Job
from pipeline.rasters.load import Outcome, load
from pipeline.rasters.publish import publish
from pipeline.rasters.scan import Progress

Watch = Callable[[Job], Progress | None]


def deliver(
    database: Database,
    home: Path,
    schemas: Schemas,
    jobs: Sequence[Job],
    watch: Watch = lambda _: None,
) -> tuple[list[Outcome], ServedRaster | None]:
    """Loads ``jobs``, all of one layer, and serves the layer anew unless all were refused.

    COGs stand below ``home``. Raises DatabaseError when the database is another city's, and what
    ``load`` raises; files before the one that raises are loaded, and served by the next delivery.
    """
    with database.connect("loader") as connection:
        migrate.check_city(connection, schemas)
    catalog = Catalog.load()
    outcomes = [load(database, home, job, catalog, watch(job)) for job in jobs]
    taken = [outcome for outcome in outcomes if outcome.status != "refused"]
    if not taken:
        return outcomes, None
    served = publish(database, home, jobs[0].contract, schemas.city, taken[-1].run)
    return outcomes, served
