"""``makan tiles``: how layers look from afar, tiles made in advance, tiles as a file."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.db.engine import Database
from pipeline.settings import Settings
from pipeline.tiling.refresh import Refreshed
from pipeline.tiling.refresh import refresh as refresh_levels
from pipeline.tiling.refresh import states as level_states


@click.group()
def tiles() -> None:
    """Tiles: their small scales, their cache, and files of them."""


@tiles.command()
@click.option("--all", "anew", is_flag=True, help="Everything, not only what loads touched.")
@as_json
@click.pass_obj
def refresh(settings: Settings, anew: bool, as_json: bool) -> None:
    """Make what layers look like from afar; `makan load` and `makan derive` do this as well."""
    console = options.console()
    found = refresh_levels(
        Database(settings), options.schemas(settings), anew=anew,
        progress=lambda name: console.print(f"{name} ...", markup=False),
    )  # fmt: skip
    if as_json:
        options.emit([asdict(one) for one in found])
        return
    for one in found:
        options.out(told(one))
    if not found:
        options.out("all small scales are fresh")


@tiles.command()
@as_json
@click.pass_obj
def levels(settings: Settings, as_json: bool) -> None:
    """List the layers that are generalised, and whether their shapes are of what is loaded."""
    found = level_states(Database(settings))
    if as_json:
        options.emit([asdict(one) for one in found])
        return
    for one in found:
        rows = f"{one.rows:>9} shapes" if one.rows is not None else ""
        when = f"refreshed {one.refreshed[:19]}" if one.refreshed else ""
        trouble = f"; {one.trouble}" if one.trouble else ""
        options.out(f"{one.layer:<22} {one.state:<6} {rows} {when}{trouble}".rstrip())


def told(one: Refreshed) -> str:
    """What became of a layer's small scales, for people."""
    of = "everything" if one.chunks is None else f"{one.chunks} chunks"
    return f"{one.layer:<22} {one.rows:>9} shapes from afar for {of} ({one.seconds:.1f} s)"
