"""``makan raster``: orthophotos and elevation models, checked, kept as COGs and served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pipeline.cli import appearance, options, progress, raster_files, raster_sheets, raster_told
from pipeline.db.engine import Database
from pipeline.findings import Catalog
from pipeline.rasters.deliver import Spread, Watch, deliver
from pipeline.rasters.inspect import Job, inspect
from pipeline.serve import running
from pipeline.settings import Settings
from pipeline.spread import executor as executors
from pipeline.terrain import parcels


@click.group()
def raster() -> None:
    """Check and load orthophotos and elevation models."""


for command in (
    appearance.quality,
    raster_sheets.publish,
    raster_sheets.remove,
    raster_sheets.list_sheets,
):
    raster.add_command(command)


@raster.command()
@raster_files.declarations
@click.pass_obj
def check(settings: Settings, /, as_json: bool, **given: Any) -> None:
    """Read every pixel of FILES and tell what is wrong; write nothing, need no database."""
    schemas = options.schemas(settings)
    catalog = Catalog.load()
    jobs = raster_files.jobs(schemas, **given)
    with _progress() as watch:
        done = [(job, inspect(job, catalog, progress=watch(job))) for job in jobs]
    refused = [job for job, found in done if not found.accepted(catalog)]
    if as_json:
        options.emit([raster_told.checked(job, found, catalog) for job, found in done])
    else:
        for job, found in done:
            verdict = "refused" if job in refused else "good"
            raster_told.tell(
                f"{job.path.name} as {job.contract.id}: {verdict}", found.findings, catalog
            )
    raster_told.end(len(refused), len(done), "refused")


@raster.command()
@raster_files.declarations
@click.option(
    "--executor", "where", help="Several files at once: local, local:4, dask://HOST:PORT."
)
@click.pass_obj
def load(settings: Settings, /, as_json: bool, where: str | None, **given: Any) -> None:
    """Check FILES, keep them as Cloud Optimized GeoTIFFs in the city's CRS, and serve them."""
    schemas = options.schemas(settings)
    catalog = Catalog.load()
    jobs = raster_files.jobs(schemas, **given)
    with ExitStack() as stack:
        watch: Watch = lambda _: None  # noqa: E731 - the one that is told nothing
        spread = None
        if where:
            watching = stack.enter_context(progress.stages())
            spread = Spread(executors.of(where), watching("checked"))
        else:
            watch = stack.enter_context(_progress())
        database = Database(settings)
        outcomes, served = deliver(database, settings.home, schemas, jobs, watch, spread)
    if served:
        if jobs[0].contract.is_terrain:
            parcels.refresh(Database(settings), schemas, settings.home / served.path)
        running.tell(settings.home)
    if as_json:
        pointer = served.model_dump() if served else None
        options.emit(
            {"files": [raster_told.loaded(o, catalog) for o in outcomes], "served": pointer}
        )
    else:
        for outcome in outcomes:
            raster_told.tell(raster_told.line(outcome), outcome.findings, catalog)
        if served:
            size = f"{served.width:,} x {served.height:,} pixels"
            options.out(f"served: {served.path}, {size}, {served.sheets} sheet(s)")
    refused = sum(outcome.status == "refused" for outcome in outcomes)
    raster_told.end(refused, len(outcomes), "refused; what was served before stays")


@contextmanager
def _progress() -> Iterator[Watch]:
    """One line of progress a file, by pixels read."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=options.console(),
        transient=True,
    ) as bar:

        def watch(job: Job) -> Any:
            task = bar.add_task(escape(job.path.name), total=None)

            def move(pixels: int, total: int) -> None:
                bar.update(task, advance=pixels, total=total)

            return move

        yield watch
