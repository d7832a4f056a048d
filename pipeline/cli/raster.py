"""``makan raster``: orthophotos and elevation models, checked, kept as COGs and served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from psycopg.rows import dict_row
from pyproj import CRS
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pipeline.cli import appearance, options, progress
from pipeline.cli.options import as_json
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate, queries
from pipeline.db.engine import Database
from pipeline.errors import GuardError, SettingsError
from pipeline.findings import Catalog, Finding
from pipeline.geo import parse_crs
from pipeline.rasters.deliver import Spread, Watch, deliver
from pipeline.rasters.inspect import Declared, Inspection, Job, inspect
from pipeline.rasters.load import Outcome
from pipeline.rasters.publish import publish as publish_layer
from pipeline.serve import running
from pipeline.settings import Settings
from pipeline.spread import executor as executors
from pipeline.terrain import parcels


@click.group()
def raster() -> None:
    """Check and load orthophotos and elevation models."""


raster.add_command(appearance.quality)


def _declarations(command: Any) -> Any:
    """The arguments that check and load share."""
    for option in (
        as_json,
        click.option("--nodata", type=float, help="The value of pixels without one."),
        click.option("--date", "acquired", help="When it was flown or measured: YYYY-MM-DD."),
        click.option("--crs", help="The CRS of files that name none: EPSG:n."),
        click.option("--as", "layer", required=True, help="Which raster of schemas/rasters it is."),
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@raster.command()
@_declarations
@click.pass_obj
def check(settings: Settings, /, as_json: bool, **given: Any) -> None:
    """Read every pixel of FILES and tell what is wrong; write nothing, need no database."""
    schemas = options.schemas(settings)
    catalog = Catalog.load()
    jobs = _jobs(schemas, **given)
    with _progress() as watch:
        done = [(job, inspect(job, catalog, progress=watch(job))) for job in jobs]
    refused = [job for job, found in done if not found.accepted(catalog)]
    if as_json:
        options.emit([_checked(job, found, catalog) for job, found in done])
    else:
        for job, found in done:
            verdict = "refused" if job in refused else "good"
            _tell(f"{job.path.name} as {job.contract.id}: {verdict}", found.findings, catalog)
    _end(len(refused), len(done), "refused")


@raster.command()
@_declarations
@click.option(
    "--executor", "where", help="Several files at once: local, local:4, dask://HOST:PORT."
)
@click.pass_obj
def load(settings: Settings, /, as_json: bool, where: str | None, **given: Any) -> None:
    """Check FILES, keep them as Cloud Optimized GeoTIFFs in the city's CRS, and serve them."""
    schemas = options.schemas(settings)
    catalog = Catalog.load()
    jobs = _jobs(schemas, **given)
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
        options.emit({"files": [_loaded(o, catalog) for o in outcomes], "served": pointer})
    else:
        for outcome in outcomes:
            _tell(_line(outcome), outcome.findings, catalog)
        if served:
            size = f"{served.width:,} x {served.height:,} pixels"
            options.out(f"served: {served.path}, {size}, {served.sheets} sheet(s)")
    refused = sum(outcome.status == "refused" for outcome in outcomes)
    _end(refused, len(outcomes), "refused; what was served before stays")


@raster.command()
@click.argument("layer")
@click.pass_obj
def publish(settings: Settings, layer: str) -> None:
    """Make the served file of LAYER again from the sheets in force, if it is not up to date."""
    schemas = options.schemas(settings)
    contract = schemas.raster(layer)
    database = Database(settings)
    with database.connect("loader") as connection:
        migrate.check_city(connection, schemas)
        row = connection.execute(queries.load("raster")["latest"], {"layer": layer}).fetchone()
    if row is None or row[0] is None:
        raise SettingsError(f"no sheet of {layer} is in force", todo="`makan raster load` it.")
    served = publish_layer(database, settings.home, contract, schemas.city, int(str(row[0])))
    if served:
        running.tell(settings.home)
    options.out(f"served: {served.path}" if served else "nothing to serve")


@raster.command()
@click.argument("layer")
@click.argument("sheet")
@click.option("--date", "acquired", help="Only its state of that day: YYYY-MM-DD.")
@click.pass_obj
def remove(settings: Settings, layer: str, sheet: str, acquired: str | None) -> None:
    """Take SHEET of LAYER out of what is served, all its states or that of one day."""
    schemas = options.schemas(settings)
    contract = schemas.raster(layer)
    database = Database(settings)
    day = declared_date(acquired)
    values = {"layer": layer, "sheet": sheet, "acquired": day}
    with database.connect("loader") as connection:
        migrate.check_city(connection, schemas)
        gone = connection.execute(queries.load("raster")["forget"], values).fetchall()
    if not gone:
        raise SettingsError(
            f"no such sheet of {layer} is in force", todo="See `makan raster list`."
        )
    run = max(int(str(run)) for (run,) in gone)
    served = publish_layer(database, settings.home, contract, schemas.city, run)
    if served:
        running.tell(settings.home)
    options.out(f"{len(gone)} removed; served: {served.path if served else 'what was before'}")


@raster.command("list")
@as_json
@click.pass_obj
def list_sheets(settings: Settings, as_json: bool) -> None:
    """List the sheets in force."""
    with Database(settings).connect("loader") as connection:
        migrate.check_city(connection, options.schemas(settings))
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(queries.load("raster")["list"]).fetchall()
    if as_json:
        options.emit(rows)
        return
    for row in rows:
        size = f"{row['width']:,} x {row['height']:,} at {row['pixel_x_m']:.3g} m"
        told = f"{size}, {row['cog_bytes'] / 1e6:.1f} MB, run {row['run_id']}"
        options.out(f"{row['layer']} {row['sheet']} {row['acquired'] or '-'}: {told}")


def _jobs(
    schemas: Schemas,
    files: tuple[Path, ...],
    layer: str,
    crs: str | None,
    acquired: str | None,
    nodata: float | None,
) -> list[Job]:
    declared = Declared(declared_crs(crs), declared_date(acquired), nodata)
    contract = schemas.raster(layer)
    jobs = [Job(path, contract, schemas.city, declared) for path in files]
    sheets = [job.subject.sheet for job in jobs]
    doubled = {sheet for sheet in sheets if sheets.count(sheet) > 1}
    if doubled:
        raise SettingsError(
            f"two files would be the sheet {', '.join(sorted(doubled))}",
            todo="A sheet is called after its file; rename one of them.",
        )
    return jobs


def declared_crs(text: str | None) -> CRS | None:
    """What --crs names, None where it is not given; raises SettingsError where it names no CRS."""
    if text is None:
        return None
    found = parse_crs(text)
    if found is None:
        raise SettingsError(f"--crs {text!r} names no CRS", todo="Give it as EPSG:32639.")
    return found


def declared_date(text: str | None) -> date | None:
    """The day that --date names, None where it is not given; raises SettingsError for another."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, not an instant
    except ValueError:
        raise SettingsError(
            f"--date {text!r} is no day", todo="Give it as YYYY-MM-DD, such as 2024-05-31."
        ) from None


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


def _line(outcome: Outcome) -> str:
    run = f"run {outcome.run}: {outcome.layer} {outcome.status}, {Path(outcome.file).name}"
    if outcome.path is None:
        return run
    how = " in place of an earlier version" if outcome.replaced else ""
    return f"{run} -> {outcome.path}{how}  ({outcome.seconds:.1f} s)"


def _tell(head: str, findings: Sequence[Finding], catalog: Catalog) -> None:
    options.out(head)
    for finding in findings:
        severity = catalog.severity(finding.code)
        options.out(f"  {severity:<7} {finding.code}: {catalog.message(finding)}")


def _end(refused: int, all_files: int, what: str) -> None:
    if refused and refused == all_files:
        files = "the file is" if refused == 1 else f"all {refused} files are"
        raise GuardError(f"{files} {what}", todo="The findings above say why.")
    if refused:
        raise click.exceptions.Exit(1)


def _findings(findings: Sequence[Finding], catalog: Catalog) -> list[dict[str, Any]]:
    return [
        {
            "code": finding.code,
            "severity": catalog.severity(finding.code),
            "value": finding.value,
            "detail": finding.detail,
            "message": catalog.message(finding),
            "message_fa": catalog.message(finding, "fa"),
        }
        for finding in findings
    ]


def _checked(job: Job, found: Inspection, catalog: Catalog) -> dict[str, Any]:
    """An inspection as JSON."""
    placed = found.placement
    return {
        "file": str(job.path),
        "layer": job.contract.id,
        "sheet": job.subject.sheet,
        "accepted": found.accepted(catalog),
        "pixel_m": placed.pixel_m if placed else None,
        "operation": str(placed.operation) if placed and placed.operation else None,
        "valid_share": found.valid_share,
        "statistics": dict(zip(job.contract.bands, found.statistics, strict=False)),
        "footprint": found.footprint.wkt if found.footprint else None,
        "findings": _findings(found.findings, catalog),
    }


def _loaded(outcome: Outcome, catalog: Catalog) -> dict[str, Any]:
    """An outcome as JSON."""
    return {**asdict(outcome), "findings": _findings(outcome.findings, catalog)}
