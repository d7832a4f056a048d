"""``makan extract``: what belongs to an area, to be taken along where there is no network."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli import options
from pipeline.cli.options import as_json, audience_option
from pipeline.errors import ResourceError, SettingsError
from pipeline.serve import downloads, extracts
from pipeline.serve.tile_seed import Offline
from pipeline.serve.within import Area
from pipeline.settings import Settings


@click.command()
@click.argument("area", nargs=2, metavar="COLLECTION KEY")
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--zoom", type=click.IntRange(0, 22), default=17, show_default=True,
              help="The last zoom level of the tiles.")  # fmt: skip
@click.option("--rasters/--no-rasters", default=True,
              help="Take the window of orthophoto and elevation model along, too.")  # fmt: skip
@audience_option
@as_json
@click.pass_obj
def extract(
    settings: Settings,
    area: tuple[str, str],
    out: Path | None,
    zoom: int,
    rasters: bool,
    as_json: bool,
    audience: str | None = None,
) -> None:
    """Write all that belongs to the area KEY of COLLECTION (`makan extract regions 1`): a
    GeoPackage of every layer with its QGIS styles, the city's map as MBTiles, and the window of
    the orthophoto and the elevation model as COGs. The server offers them at /files/; OUT is a
    folder that they are copied to as well."""
    found = options.schemas(settings)
    collection, key = area
    settings = options.for_audience(settings, found, audience)
    site = Offline(settings, found)
    served = site.served.get(collection)
    if served is None or not Area.can_be(served):
        known = ", ".join(name for name, one in site.served.items() if Area.can_be(one))
        raise SettingsError(f"{collection} has no areas to cut by", todo=f"Known are: {known}.")
    console = options.console()
    made = extracts.extract(
        site, Area(served, key), lambda name: console.print(f"{name} ...", markup=False), zoom,
        rasters=rasters,
    )  # fmt: skip
    places = [downloads.folder(settings) / one.name for one in made]
    if out is not None:
        places = _copied(places, out)
    if as_json:
        options.emit([asdict(one) for one in made])
        return
    for one, path in zip(made, places, strict=True):
        number = sum(one.rows.values())
        options.out(f"{path}: {number:,} in {one.bytes:,} bytes, sha256 {one.sha256}")


def _copied(places: list[Path], out: Path) -> list[Path]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy2(path, out / path.name)) for path in places]
    except OSError as error:
        raise ResourceError(f"cannot be written: {error.strerror}", where=str(out)) from None
