"""Writes a block of frames, and the seams of its orthophoto, to the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyproj import CRS

from pipeline.contracts.registry import Schemas
from pipeline.db import derived, migrate
from pipeline.db.arrival import Arrival
from pipeline.db.derived import Batch
from pipeline.db.engine import Database
from pipeline.findings import Catalog, Finding
from pipeline.photogrammetry import rows
from pipeline.photogrammetry.block import Block
from pipeline.photogrammetry.rows import OrthoSeam
from pipeline.photogrammetry.triangulation import Result
from pipeline.rasters import register


def save(
    database: Database, schemas: Schemas, block: Block, made_of: Arrival, flown: date | None
) -> int:
    """Frames, strips, gaps and the block itself in one transaction; the number of its last run."""
    batches = [
        rows.batch(schemas, rows.AerialFrame, rows.frames(block, flown), block.name),
        rows.batch(schemas, rows.FlightStrip, rows.strips(block), block.name),
        rows.batch(schemas, rows.CoverageGap, rows.gaps(block, schemas.city), block.name),
        rows.batch(schemas, rows.FlightBlock, rows.blocks(block, schemas.city, flown), block.name),
    ]
    return _write(database, schemas, batches, made_of, block.findings)


def save_seams(
    database: Database, schemas: Schemas, name: str, seams: list[OrthoSeam], made_of: Arrival
) -> int:
    """The seams of a block's orthophoto; the number of the run."""
    found = rows.batch(schemas, OrthoSeam, list(seams), name)
    return _write(database, schemas, [found], made_of, ())


def save_triangulation(
    database: Database, schemas: Schemas, name: str, found: Result, crs: CRS, made_of: Arrival
) -> int:
    """What came of a block's triangulation, with its points; the number of the last run."""
    points = rows.triangulation_points(name, found, crs, schemas.city)
    batches = [
        rows.batch(schemas, rows.TriangulationPoint, points, name),
        rows.batch(schemas, rows.Triangulation, [rows.triangulation(name, found)], name),
    ]
    return _write(database, schemas, batches, made_of, ())


def _write(
    database: Database,
    schemas: Schemas,
    batches: Sequence[Batch],
    made_of: Arrival,
    findings: Sequence[Finding],
) -> int:
    run = 0
    with database.connect("loader") as connection:
        migrate.check_city(connection, schemas)
        for batch in batches:
            run = derived.replace(connection, batch, made_of, schemas.city.srid)
        register.findings(connection, run, findings, Catalog.load())
    return run
