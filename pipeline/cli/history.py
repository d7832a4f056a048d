"""``makan undo``, ``makan diff``, ``makan history`` and ``makan as-of``: loads as versions."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from pipeline import dates
from pipeline.cli import options
from pipeline.cli.fresh import keep_fresh
from pipeline.cli.options import as_json
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.report import past
from pipeline.settings import Settings
from pipeline.stages import history as versions

_SHOWN = 50


@click.command()
@click.argument("run", type=int)
@click.option("--with-later", is_flag=True, help="Undo the loads that came after it as well.")
@as_json
@click.pass_obj
def undo(settings: Settings, run: int, with_later: bool, as_json: bool) -> None:
    """Bring the layer of RUN back to what it was before that load; in seconds, in one piece."""
    database, schemas = Database(settings), options.schemas(settings)
    steps = versions.undo(database, schemas, run, with_later=with_later)
    if as_json:
        options.emit([asdict(step) for step in steps])
    else:
        for step in steps:
            options.out(
                f"run {step.run} of {step.layer} is undone: {step.taken_back} rows taken back, "
                f"{step.brought_back} former versions in force again"
            )
    keep_fresh(settings, schemas, {step.layer for step in steps}, first=False)


@click.command()
@click.argument("one", type=int)
@click.argument("two", type=int)
@as_json
@click.pass_obj
def diff(settings: Settings, one: int, two: int, as_json: bool) -> None:
    """Show what changed in a layer from the state after run ONE to the state after run TWO."""
    schemas = options.schemas(settings)
    with Database(settings).connect("loader") as connection:
        runs = [ledger.run(connection, number) for number in (one, two)]
        layers = {run.layer for run in runs}
        if len(layers) > 1:
            raise SettingsError(
                f"runs {one} and {two} are of different layers: {', '.join(sorted(layers))}",
                todo="`makan runs` lists them.",
            )
        found = versions.difference(connection, schemas.layer(layers.pop()), one, two)
    if as_json:
        options.emit([asdict(change) for change in found])
        return
    _tell_difference(runs, found)


def _tell_difference(runs: list[ledger.Run], found: list[versions.Change]) -> None:
    """The changes for people, and what is odd about the states that are compared."""
    for run in (one for one in runs if one.status != "done"):
        options.out(f"run {run.id} is {run.status}: it is compared as what stood at its time")
    if not found:
        options.out("nothing differs")
    for kind, rows in sorted(Counter(change.change for change in found).items()):
        options.out(f"{rows:>8} {kind}")
    for size, rows in (one for one in versions.by_size(found) if one[1]):
        options.out(f"{rows:>8} of them by more than {100 * size:g} % of the area")
    for change in found[:_SHOWN]:
        columns = ", ".join(change.columns or ())
        moved = f" ({change.moved:.2%} of the area moved)" if change.moved else ""
        options.out(f"{change.change:<8} {change.key} {columns}{moved}".rstrip())
    if len(found) > _SHOWN:
        options.out(f"... and {len(found) - _SHOWN} more; --json gives all")


@click.command("as-of")
@click.argument("date", callback=options.moment)
@click.option("--layer", "layers", multiple=True, help="Only this layer; may be given again.")
@click.option(
    "--recorded",
    callback=options.moment,
    metavar="DATE",
    help="As it was known then, not as it is known today.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write it to this GeoPackage.")
@as_json
@click.pass_obj
def as_of(
    settings: Settings,
    date: datetime,
    layers: tuple[str, ...],
    recorded: datetime | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show or write the city as it was at DATE (2024-03-20, 1403/01/01 or a time)."""
    schemas = options.schemas(settings)
    zone = schemas.city.timezone
    chosen = past.dated(schemas, layers)
    with Database(settings).connect("loader") as connection:
        known = None if recorded is None else dates.placed(recorded, zone)
        when = past.Moment.of(connection, dates.placed(date, zone), known)
        if out is not None:
            found = past.write(connection, schemas, chosen, when, out)
        else:
            counted = {layer.id: past.count(connection, layer, when) for layer in chosen}
            found = {name: rows for name, rows in counted.items() if rows or layers}
    if as_json:
        options.emit(found)
        return
    for name, rows in found.items():
        options.out(f"{rows:>9} {name}")
    if not found:
        options.out("there was nothing yet")


@click.command()
@click.argument("layer")
@click.argument("key")
@as_json
@click.pass_obj
def history(settings: Settings, layer: str, key: str, as_json: bool) -> None:
    """Show every version of the object of LAYER with KEY: values, file, line, load."""
    contract = options.schemas(settings).layer(layer)
    with Database(settings).connect("loader") as connection:
        found = versions.versions(connection, contract, key)
    if not found:
        raise SettingsError(f"{layer} has never had {key}", todo="Check the key's spelling.")
    if as_json:
        options.emit(found)
        return
    for version in found:
        until = f"until run {version['ended_by']}" if version["ended_by"] else "in force"
        options.out(
            f"run {version['run_id']} ({version['started']:%Y-%m-%d %H:%M}, {version['file']} "
            f"row {version['source_line']}), {until}"
        )
        for field in contract.fields:
            if version[field.name] is not None:
                options.out(f"    {field.name} = {version[field.name]}")
        original = version["original"]
        if isinstance(original, dict):
            written = ", ".join(f"{name} = {value}" for name, value in original.items())
            options.out(f"    as it arrived: {written}")
