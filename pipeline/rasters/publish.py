"""Makes what was loaded the thing clients get: one file a layer, and a pointer to it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import rasterio
import shapely

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract, ServedRaster, ServedSheet
from pipeline.db import queries
from pipeline.db.engine import Database
from pipeline.db.ledger import Connection
from pipeline.errors import ResourceError
from pipeline.rasters import cog, disk, mosaic, patch, register
from pipeline.rasters import crs as crses
from pipeline.rasters.cog import Cog
from pipeline.rasters.patch import Bounds
from pipeline.rasters.shelf import Shelf

_VRT = "mosaic.vrt"
_COG = "mosaic.tif"
_SEVERAL = 2
_MOST_CHANGED = 0.5


def publish(
    database: Database, home: Path, contract: RasterContract, city: City, run: int
) -> ServedRaster | None:
    """Serves the sheets in force: the one sheet itself, or one COG made of all of them.

    Safe to repeat; without a change nothing is written. None if no sheet is in force. ``run`` is
    the load that this belongs to. Only then are files removed that are in force no more.
    """
    shelf = Shelf(home, contract.id)
    with database.connect("loader") as connection:
        register.lock(connection, contract.id)
        sheets = register.sheets(connection, contract.id)
        if not sheets:
            return None
        shown = [one for one, last in sheets if last]
        digest = _digest(shown, contract)
        served = shelf.served()
        if served is None or served.made_of != digest:
            made = _make(shelf, contract, city, (shown, served), run)
            served = _told(shelf, city, made, digest, run, len(shown))
            _record(connection, served)
        parts = _placed(shelf, [one for one, _ in sheets], served)
        if served.parts != parts:
            served = served.model_copy(update={"parts": parts})
            shelf.serve(served)
        shelf.sweep([one.path for one in parts] + [served.path])
    return served


def _placed(
    shelf: Shelf, sheets: list[ServedSheet], served: ServedRaster
) -> tuple[ServedSheet, ...]:
    """The sheets with the place of their pixels; files that were known before are not opened."""
    known = {one.version: one.transform for one in served.parts}
    found = []
    for one in sheets:
        path, place = shelf.absolute(one.path), known.get(one.version)
        if place is None and path.is_file():
            with rasterio.open(path, driver="GTiff") as dataset:
                place = tuple(dataset.transform)[:6]
        found.append(one.model_copy(update={"transform": place}))
    return tuple(found)


def _digest(sheets: list[ServedSheet], contract: RasterContract) -> str:
    """SHA-256 over the sheets in their order and how they are written."""
    parts = [contract.encoding.model_dump_json(), *(one.version for one in sheets)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _make(
    shelf: Shelf,
    contract: RasterContract,
    city: City,
    sheets: tuple[list[ServedSheet], ServedRaster | None],
    run: int,
) -> Cog:
    """The file of all ``sheets``: those in force, and what was served until now."""
    shown, before = sheets
    paths = [shelf.absolute(one.path) for one in shown]
    for path in paths:
        if not path.is_file():
            raise ResourceError(
                "a sheet in force is gone",
                where=str(path),
                todo="Load its source again, or restore the file from a backup.",
            )
    if len(paths) == 1:
        return cog.describe(paths[0])
    with shelf.work() as folder:
        tiles = [mosaic.tile(path.resolve()) for path in paths]
        whole = mosaic.grid(tiles, contract.limits.max_pixels)
        text = mosaic.document(tiles, whole, mosaic.Form.of(contract, city))
        with disk.writing(folder / _VRT):
            (folder / _VRT).write_text(text, encoding="utf-8")
        boxes = _changed(shown, before, contract)
        made = None
        if before is not None and boxes:
            made = _patched(shelf.absolute(before.path), folder, boxes, contract)
        if made is None:
            made = cog.write(folder / _VRT, folder / _COG, contract.encoding, driver="VRT")
        place = shelf.whole(run)
        with disk.writing(place):
            disk.publish(made.path, place)
    return cog.describe(place)


def _changed(
    shown: list[ServedSheet], before: ServedRaster | None, contract: RasterContract
) -> list[Bounds]:
    """Where the file that was served until now is out of date; nothing if that is most of it, or
    if it is not such a file."""
    if before is None or before.sheets < _SEVERAL:
        return []
    last = {part.sheet: part for part in before.parts}
    was = [part for part in before.parts if last[part.sheet] is part]
    if _digest(was, contract) != before.made_of:
        return []
    versions = {one.version for one in was}, {one.version for one in shown}
    differ = versions[0] ^ versions[1]
    boxes = list({one.bounds for one in (*was, *shown) if one.version in differ})
    west, south, east, north = before.bounds
    area = shapely.union_all([shapely.box(*box) for box in boxes]).area
    return boxes if area < _MOST_CHANGED * (east - west) * (north - south) else []


def _patched(old: Path, folder: Path, boxes: list[Bounds], contract: RasterContract) -> Cog | None:
    """The old file with what has changed, None where all of it must be written."""
    target = folder / _COG
    with disk.writing(target):
        good = old.is_file() and patch.patched(old, folder / _VRT, boxes, contract, target)
    return cog.proven(target) if good else None


def _told(shelf: Shelf, city: City, made: Cog, digest: str, run: int, sheets: int) -> ServedRaster:
    lonlat = crses.to_lonlat(city.crs, made.bounds)
    return ServedRaster(
        layer=shelf.layer,
        path=shelf.relative(made.path),
        version=made.sha256,
        made_of=digest,
        run=run,
        sheets=sheets,
        srid=city.srid,
        width=made.width,
        height=made.height,
        bounds=made.bounds,
        lonlat=lonlat or (-180.0, -90.0, 180.0, 90.0),
        updated=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _record(connection: Connection, served: ServedRaster) -> None:
    values = {
        "layer": served.layer,
        "path": served.path,
        "version": served.version,
        "sheets": served.sheets,
        "run_id": served.run,
    }
    connection.execute(queries.load("raster")["serve"], values)
