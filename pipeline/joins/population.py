"""Population: how many people live in an area, by census blocks that it cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import shapely
from psycopg.rows import class_row

from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Database

By = Literal["dwelling", "area"]


@dataclass(frozen=True)
class Population:
    """The answer, with how it was found. ``blocks`` were cut or covered, of which so many
    ``blocks_whole``; ``blocks_masked`` count for nothing; ``blocks_by_area`` have no dwelling that
    is known, so that their people were spread evenly."""

    population: float | None
    method: By
    census_year: int
    blocks: int
    blocks_whole: int
    blocks_masked: int
    blocks_by_area: int


def population_in(
    database: Database,
    schemas: Schemas,
    area: shapely.Polygon | shapely.MultiPolygon,
    *,
    year: int | None = None,
    by: By = "dwelling",
) -> Population | None:
    """People in ``area`` (the city's CRS) by the census of ``year``, the latest if none is given.

    ``by`` dwelling: a block's people live where its dwelling postcodes are; by area: evenly. None
    where no census is loaded.
    """
    named = queries.load("population")
    with (
        database.connect("loader") as connection,
        connection.cursor(row_factory=class_row(Population)) as cursor,
    ):
        if year is None:
            row = connection.execute(named["latest"]).fetchone()
            if row is None or row[0] is None:
                return None
            year = int(str(row[0]))
        shape = shapely.to_wkb(shapely.set_srid(area, schemas.city.srid), include_srid=True)
        return cursor.execute(named["within"], {"area": shape, "year": year, "by": by}).fetchone()
