"""``makan demo``: the whole way once: sample city, database, loads, publication, server."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from pipeline.cli import database, dem, load, options, publish, raster, sample, serve
from pipeline.db.engine import Database
from pipeline.sample import city
from pipeline.settings import Settings

_CITY = Path("data_samples") / "city"
_CELL_M = 2.0


@click.command()
@click.option("--parcels", default=2_000, show_default=True, help="Size of the sample city.")
@click.option("--seed", default=1387, show_default=True, help="Which sample city.")
@click.option("--dirt", default=0.01, show_default=True, help="Share of rows with a planted fault.")
@click.pass_context
def demo(context: click.Context, parcels: int, seed: int, dirt: float) -> None:
    """Build the sample city, load it, serve it until Ctrl-C; leaves nothing running."""
    settings: Settings = context.obj
    folder = _CITY / f"{parcels}-{seed}-{dirt:g}"
    stamp, made_by = folder / "made-by", city.version()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != made_by:
        shutil.rmtree(folder, ignore_errors=True)
        context.invoke(sample.sample, out=folder, parcels=parcels, seed=seed, dirt=dirt)
        stamp.write_text(made_by, encoding="utf-8")
    db = Database(settings)
    was_running = not db.is_private or db.cluster.is_running()
    try:
        context.invoke(database.start)
        _load(context, folder)
        context.invoke(publish.publish)
        context.invoke(serve.serve)
    finally:
        if not was_running:
            db.cluster.stop()


def _load(context: click.Context, folder: Path) -> None:
    """Loads what the sample city brings; planted faults end in quarantine, as they should."""
    try:
        context.invoke(load.load, feed=None, paths=(), folder=folder, derived=True, as_json=False)
    except click.exceptions.Exit as ended:
        if ended.exit_code != 1:
            raise
    schemas = options.schemas(context.obj)
    for contract in schemas.rasters.values():
        files = {path for pattern in contract.match for path in folder.rglob(pattern)}
        if files:
            # One sheet comes with a world file and names no CRS: it must be declared.
            declared = f"EPSG:{schemas.city.srid}"
            names = tuple(sorted(files))
            context.invoke(raster.load, files=names, layer=contract.id, crs=declared)
    context.invoke(dem.build_model, loaded=True, cell=_CELL_M)
    options.console().print("the faults planted in the sample are in quarantine: see `makan runs`")
