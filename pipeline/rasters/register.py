"""The database's part: which sheet is in force, what was found, which file is served."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import shapely

from pipeline.contracts.raster import ServedSheet
from pipeline.db import queries, sources
from pipeline.db.ledger import Connection
from pipeline.findings import Catalog, Finding
from pipeline.rasters import crs as crses
from pipeline.rasters.cog import Cog
from pipeline.rasters.inspect import Inspection, Job
from pipeline.rasters.shelf import Shelf

# Of the query `sheets`, in its order.
_SHEET = ("sheet", "path", "version", "size", "acquired", "width", "height", "pixel_m")


@dataclass(frozen=True, slots=True)
class Source:
    """The arriving file as the database remembers it."""

    sha256: str
    sidecars_sha256: str | None
    digest: str
    acquired: date | None


def lock(connection: Connection, layer: str) -> None:
    """Waits until no other load of the layer is at this point; lasts to the transaction's end."""
    connection.execute(queries.load("raster")["lock"], {"layer": layer})


def unchanged(connection: Connection, shelf: Shelf, sheet: str, source: Source) -> int | None:
    """The run that took the very same source, if that sheet is in force and its file is there."""
    values = {"layer": shelf.layer, "sheet": sheet}
    rows = connection.execute(queries.load("raster")["current"], values).fetchall()
    for path, sha256, sidecars, _, digest, acquired, run in rows:
        known = (sha256, sidecars, digest)
        if known != (source.sha256, source.sidecars_sha256, source.digest):
            continue
        if source.acquired in (None, acquired) and shelf.absolute(str(path)).is_file():
            return int(str(run))
    return None


def register(
    connection: Connection, run: int, job: Job, found: Inspection, made: tuple[Source, Cog, str]
) -> bool:
    """Puts a sheet in force; ``made``: its source, its COG, and the path the COG stands at.

    True if it took the place of an earlier version. Call it in a transaction.
    """
    source, cog, path = made
    head, placed = found.header, found.placement
    if head is None or placed is None or found.footprint is None:
        raise ValueError("only an accepted raster can be registered")
    subject, city = job.subject, job.city
    sheet = {"layer": subject.layer, "sheet": subject.sheet, "acquired": source.acquired}
    replaced = connection.execute(queries.load("raster")["supersede"], sheet).fetchone()
    operation = placed.operation
    values = sheet | {
        "path": path,
        "footprint": shapely.to_wkb(found.footprint),
        "srid": city.srid,
        "width": cog.width,
        "height": cog.height,
        "pixel_x_m": cog.pixel[0] * city.metres_per_unit,
        "pixel_y_m": cog.pixel[1] * city.metres_per_unit,
        "bands": len(job.contract.bands),
        "dtype": job.contract.dtype,
        "nodata": job.contract.nodata,
        "source_file": str(job.path),
        "source_sha256": source.sha256,
        "sidecars_sha256": source.sidecars_sha256,
        "source_crs": crses.name(placed.place.crs),
        "transformation": operation.name if operation else None,
        "accuracy_m": operation.accuracy_m if operation else None,
        "contract_sha256": source.digest,
        "cog_sha256": cog.sha256,
        "cog_bytes": cog.size,
        "statistics": _statistics(job, found),
        "run_id": run,
    }
    connection.execute(queries.load("raster")["register"], values)
    if job.made_of is not None:
        sources.enter(connection, run, job.made_of)
    if operation:
        told = {"run": run, "operation": str(operation)}
        connection.execute(queries.load("raster")["operation"], told)
    return replaced is not None


def _statistics(job: Job, found: Inspection) -> str:
    bands = dict(zip(job.contract.bands, found.statistics, strict=True))
    vertical = found.placement.place.vertical if found.placement else None
    told = {
        "bands": bands,
        "valid_share": round(found.valid_share, 6),
        "vertical": crses.name(vertical) if vertical else None,
    }
    return json.dumps(told, allow_nan=False)


def findings(connection: Connection, run: int, found: Iterable[Finding], catalog: Catalog) -> None:
    """Writes what a run found."""
    rows = [
        {
            "run": run,
            "code": finding.code,
            "severity": catalog.severity(finding.code),
            "layer": finding.layer,
            "key": finding.key,
            "value": finding.value,
            "detail": finding.detail,
        }
        for finding in found
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(queries.load("raster")["finding"], rows)


def sheets(connection: Connection, layer: str) -> list[tuple[ServedSheet, bool]]:
    """Every sheet in force, in the order they lie over each other, and whether it is its last
    state, which is the one that is shown."""
    rows = connection.execute(queries.load("raster")["sheets"], {"layer": layer}).fetchall()
    found = []
    for row in rows:
        *plain, footprint, last = row
        values: dict[str, Any] = dict(zip(_SHEET, plain[:8], strict=True))
        values |= {"bounds": tuple(plain[8:12]), "footprint": json.loads(str(footprint))}
        found.append((ServedSheet(**values), bool(last)))
    return found
