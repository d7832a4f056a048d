"""``makan derive`` and ``makan facts``: what the database works out itself, and how fresh it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from pipeline.cli import options, tiles
from pipeline.cli.options import as_json
from pipeline.db import sources
from pipeline.db.engine import Database
from pipeline.db.sources import Model
from pipeline.joins import derive as joins
from pipeline.joins.derive import Derived
from pipeline.serve.refresh import Refresher, told_to_end
from pipeline.settings import Settings
from pipeline.tiling.refresh import Refreshed, refresh


@click.command()
@click.option(
    "--all", "anew", is_flag=True, help="Work everything out anew, not only what loads touched."
)
@click.option(
    "--follow", is_flag=True, help="Go on until Ctrl-C: what edits touch, as soon as they are made."
)
@as_json
@click.pass_obj
def derive(settings: Settings, anew: bool, follow: bool, as_json: bool) -> None:
    """Work out what follows from the layers: blocks, zones, widening, neighbours, matches, and what
    the layers look like from afar (tiles of small scale).

    Only what loads have touched since is looked at again. `makan load` does this by itself, and
    `makan serve` for edits, unless its server is given logins of its own that may not: then
    `makan derive --follow` does, beside it or on another machine.
    """
    console = options.console()
    found = joins.derive(
        Database(settings), options.schemas(settings), anew=anew,
        progress=lambda name: console.print(f"{name} ...", markup=False),
    )  # fmt: skip
    levels = refresh(
        Database(settings), options.schemas(settings), anew=anew,
        progress=lambda name: console.print(f"{name} from afar ...", markup=False),
    )  # fmt: skip
    if as_json:
        options.emit([*map(asdict, found), *map(asdict, levels)])
    else:
        _tell(found, levels)
    if follow:
        Refresher(Database(settings), options.schemas(settings), "loader").run(told_to_end())


def _tell(found: list[Derived], levels: list[Refreshed]) -> None:
    for one in found:
        options.out(told(one))
    for level in levels:
        options.out(tiles.told(level))
    if not found and not levels:
        options.out("all facts are fresh")


@click.command()
@as_json
@click.pass_obj
def facts(settings: Settings, as_json: bool) -> None:
    """List the facts: whether each is worked out from the layers as they are now.

    With them the elevation models that are made of loaded heights.
    """
    found = joins.states(Database(settings))
    with Database(settings).connect("loader") as connection:
        models = sources.models(connection)
    if as_json:
        options.emit([*map(asdict, found), *map(_as_fact, models)])
        return
    for one in found:
        rows = f"{one.rows:>9} rows" if one.rows is not None else ""
        when = f"derived {one.derived[:19]}" if one.derived else ""
        trouble = f"; {one.trouble}" if one.trouble else ""
        options.out(f"{one.fact:<22} {one.state:<6} {rows} {when}{trouble}".rstrip())
    for model in models:
        state = _as_fact(model)["state"]
        options.out(f"{model.raster:<22} {state:<6} {model}")
    behind = sum(one.state == "stale" for one in found)
    if behind:
        options.out(
            f"{behind} facts are behind their layers: a server that runs follows edits within "
            "seconds; else run `makan derive`, or `makan derive --follow`"
        )


def _as_fact(model: Model) -> dict[str, Any]:
    """A model of heights as the facts are told."""
    state = "stale" if model.changes else "fresh"
    return {"fact": model.raster, "state": state, **asdict(model)}


def told(one: Derived) -> str:
    """What became of a fact, for people."""
    of = "all subjects" if one.touched is None else f"{one.touched} subjects"
    return f"{one.fact:<22} {one.rows:>9} rows for {of} ({one.seconds:.1f} s)"
