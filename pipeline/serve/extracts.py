"""Extracts: all that belongs to an area, to be taken along where there is no network.

A GeoPackage of all layers, the city's map as MBTiles, and of every raster the window of the area as
a COG, on the pixels of what is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from psycopg import sql

from pipeline.db import queries
from pipeline.derive import grids
from pipeline.derive.columns import GEOMETRY
from pipeline.derive.grids import Bounds
from pipeline.errors import SettingsError
from pipeline.rasters import cut
from pipeline.serve import downloads, geopackage, mbtiles, tile_layers, tile_seed, tilesets
from pipeline.serve.downloads import PICTURE, SUFFIX, Download, Tell
from pipeline.serve.tile_seed import Offline
from pipeline.serve.within import Area

LAST_ZOOM = 17


def extract(
    site: Offline, area: Area, tell: Tell, last: int = LAST_ZOOM, *, rasters: bool = True
) -> list[Download]:
    """Makes the files of all that belongs to ``area``, its tiles down to the zoom level ``last``,
    and with ``rasters`` its pictures and heights. Raises SettingsError for an area that is not
    there."""
    own, mercator, degrees = _boxes(site, area)
    states, loads = downloads.states(site, site.database)
    state = downloads.state_of(site, list(downloads.stored(site)), states)
    made = [_tables(site, area, tell, (state, loads))]
    tell("tiles")
    name = f"{area.name}{mbtiles.SUFFIX}"
    with _begun(site, area.name, mbtiles.SUFFIX) as part:
        count = asyncio.run(_tiles(site, (mercator, degrees), part, last))
        told = (state, {"tiles": count}, loads)
        made.append(downloads.entered(site.settings, name, area.served.id, part, told))
    return [*made, *(_rasters(site, area, own, tell) if rasters else ())]


def _tables(
    site: Offline, area: Area, tell: Tell, told: tuple[str, dict[str, tuple[int, str]]]
) -> Download:
    rows: dict[str, int] = {}
    state, loads = told
    name = f"{area.name}{SUFFIX}"
    with _begun(site, area.name, SUFFIX) as part:
        for one in downloads.tables(site):
            tell(one.id)
            rows[one.id] = downloads.add(site, one, area, part)
        geopackage.dress(site, downloads.drawn(site, rows), part, site.languages[0])
        return downloads.entered(site.settings, name, area.served.id, part, (state, rows, loads))


def _begun(site: Offline, name: str, suffix: str) -> AbstractContextManager[Path]:
    return downloads.begun(downloads.folder(site.settings) / f"{name}.part{suffix}")


def _rasters(site: Offline, area: Area, box: Bounds, tell: Tell) -> Iterator[Download]:
    """The window of each raster that is published, where there is any of it."""
    settings = site.settings
    for contract in site.schemas.rasters.values():
        if contract.collection not in site.config["resources"]:
            continue
        tell(contract.collection)
        name = f"{area.name}-{contract.collection}"
        served = cut.served(settings.home, contract)
        with _begun(site, name, PICTURE) as part:
            found = cut.cut(settings.home, contract, site.schemas.city, box, part)
            if served is None or found is None:
                continue
            rows = {contract.collection: found.width * found.height}
            told = ("", rows, {contract.id: (served.run, served.updated)})
            yield downloads.entered(
                settings, f"{name}{PICTURE}", area.served.id, part, told, served.version
            )


async def _tiles(site: Offline, boxes: tuple[Bounds, Bounds], path: Any, last: int) -> int:
    drawn = next(iter(tile_layers.groups(site).values()))
    about = tilesets.tilejson(drawn, grids.WEB_MERCATOR, site.languages[0])
    about |= {"bounds": [round(number, 7) for number in boxes[1]]}
    async with tile_seed.opened(site.settings, site.schemas, site.config["makan"]) as store:
        layers = list(drawn.layers)
        count, _ = await tile_seed.export(store, layers, last, about, path, boxes[0])
    return count


def _boxes(site: Offline, area: Area) -> tuple[Bounds, Bounds, Bounds]:
    """The box of the area in the city's CRS, in web mercator, and in degrees."""
    parts = {
        "view": area.served.view, "geom": sql.Identifier(GEOMETRY),
        "key": sql.Identifier(area.column),
    }  # fmt: skip
    asked = queries.load("geopackage")
    with site.database.connect(area.served.audience.role) as connection:
        found = connection.execute(
            sql.SQL(asked["box"]).format(**parts), {"value": area.key}
        ).fetchone()
        if found is None:
            there = connection.execute(sql.SQL(asked["keys"]).format(**parts)).fetchall()
            known = ", ".join(str(key) for (key,) in there)
            raise SettingsError(f"{area.served.id} has no {area.key}", todo=f"There are: {known}.")
    numbers: list[Any] = list(found)
    return tuple(numbers[:4]), tuple(numbers[4:8]), tuple(numbers[8:])
