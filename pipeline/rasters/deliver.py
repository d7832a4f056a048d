"""Several files of one raster layer: load each, then serve what is in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate
from pipeline.db.engine import Database
from pipeline.findings import Catalog
from pipeline.rasters.inspect import Job
from pipeline.rasters.load import Outcome, Preparation, Prepared, is_known, load, prepare
from pipeline.rasters.publish import publish
from pipeline.rasters.scan import Progress
from pipeline.rasters.shelf import Shelf
from pipeline.spread import executor
from pipeline.spread.executor import Executor
from pipeline.spread.executor import Watch as Counted

Watch = Callable[[Job], Progress | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """Where files are made COGs, and what is told how many are done."""

    executor: Executor
    watch: Counted | None = None


def deliver(
    database: Database,
    home: Path,
    schemas: Schemas,
    jobs: Sequence[Job],
    watch: Watch = lambda _: None,
    spread: Spread | None = None,
) -> tuple[list[Outcome], ServedRaster | None]:
    """Loads ``jobs``, all of one layer, and serves the layer anew unless all were refused.

    COGs stand below ``home``. With ``spread`` files are checked and made COGs over its executor,
    whose workers must reach ``home``; they are put in force here, one after the other.

    Raises DatabaseError when the database is another city's, and what
    ``load`` raises; files before the one that raises are loaded, and served by the next delivery.
    """
    with database.connect("loader") as connection:
        migrate.check_city(connection, schemas)
    catalog = Catalog.load()
    with ExitStack() as stack:
        ready = _prepared(database, home, jobs, spread, stack) if spread else {}
        outcomes = [
            load(database, home, job, catalog, watch(job), ready.get(number))
            for number, job in enumerate(jobs)
        ]
    taken = [outcome for outcome in outcomes if outcome.status != "refused"]
    if not taken:
        return outcomes, None
    served = publish(database, home, jobs[0].contract, schemas.city, taken[-1].run)
    return outcomes, served


def _prepared(
    database: Database, home: Path, jobs: Sequence[Job], spread: Spread, stack: ExitStack
) -> dict[int, Prepared]:
    """What the executor made of the files that are not in force already, by their number."""
    folder = stack.enter_context(Shelf(home, jobs[0].contract.id).work())
    new = [number for number, job in enumerate(jobs) if not is_known(database, home, job)]
    tasks = [Preparation(jobs[number], folder.resolve() / str(number)) for number in new]
    made = executor.gather(spread.executor, prepare, tasks, spread.watch)
    return dict(zip(new, made, strict=True))
