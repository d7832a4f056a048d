"""``makan tiles``: how layers look from afar, tiles made in advance, tiles as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from psycopg_pool import PoolTimeout

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.db.engine import Database, unreachable
from pipeline.derive import grids
from pipeline.errors import SettingsError
from pipeline.serve import tile_layers, tile_seed, tilesets
from pipeline.serve.errors import Problem
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


_LAST = click.IntRange(0, 22)


@tiles.command()
@click.argument("names", nargs=-1)
@click.option("--grid", default=grids.WEB, show_default=True, help="The grid of the tiles.")
@click.option("--zoom", type=_LAST, default=16, show_default=True, help="The last zoom level.")
@as_json
@click.pass_obj
def seed(settings: Settings, names: tuple[str, ...], grid: str, zoom: int, as_json: bool) -> None:
    """Make the tiles of NAMES (collections or groups; all groups) before anybody asks."""
    site = tile_seed.Offline(settings, options.schemas(settings))
    drawn = [site.drawn(name) for name in names] or list(tile_layers.groups(site).values())
    layers = {one.id: one for group in drawn for one in group.layers}

    async def work() -> list[dict[str, object]]:
        found = []
        async with tile_seed.opened(settings, site.schemas, site.config["makan"]) as store:
            for name, layer in layers.items():
                chosen = tile_layers.grid_of(site, grid)
                count, size = await tile_seed.seed(store, [layer], chosen, zoom)
                found.append({"collection": name, "tiles": count, "bytes": size})
        return found

    done = _refused(work)
    if as_json:
        options.emit(done)
        return
    for one in done:
        options.out(f"{one['collection']:<22} {one['tiles']:>8} tiles, {one['bytes']:>12,} bytes")


@tiles.command()
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--zoom", type=_LAST, default=16, show_default=True, help="The last zoom level.")
@as_json
@click.pass_obj
def export(settings: Settings, name: str, out: Path | None, zoom: int, as_json: bool) -> None:
    """Write the tiles of NAME (a collection or a group) into one PMTiles file, OUT; without OUT the
    server offers it at /files/NAME.pmtiles."""
    site = tile_seed.Offline(settings, options.schemas(settings))
    drawn = site.drawn(name)
    about = tilesets.tilejson(drawn, grids.WEB_MERCATOR, site.languages[0])
    path = out or tile_seed.exported(settings, name)

    async def work() -> tuple[int, int]:
        async with tile_seed.opened(settings, site.schemas, site.config["makan"]) as store:
            return await tile_seed.export(store, list(drawn.layers), zoom, about, path)

    count, size = _refused(work)
    if as_json:
        options.emit({"file": str(path), "tiles": count, "bytes": size})
        return
    options.out(f"{path}: {count} tiles, {path.stat().st_size:,} bytes")


def _refused[Done](work: Callable[[], Coroutine[Any, Any, Done]]) -> Done:
    """Runs ``work``; what a server would tell a client is an error of the command here."""
    try:
        return asyncio.run(work())
    except Problem as problem:
        raise SettingsError(problem.detail) from None
    except PoolTimeout as error:
        raise unreachable(error, private=True) from None


def told(one: Refreshed) -> str:
    """What became of a layer's small scales, for people."""
    of = "everything" if one.chunks is None else f"{one.chunks} chunks"
    return f"{one.layer:<22} {one.rows:>9} shapes from afar for {of} ({one.seconds:.1f} s)"
