"""Sheets in force: ``makan raster publish``, ``remove``, ``list``."""

from __future__ import annotations

import click
from psycopg.rows import dict_row

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.cli.raster_files import declared_date
from pipeline.db import migrate, queries
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.rasters.publish import publish as publish_layer
from pipeline.serve import running
from pipeline.settings import Settings


@click.command()
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


@click.command()
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


@click.command("list")
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
