"""GeoPackages of what an audience sees: for work without a network, and for downloads.

Features keep their ids and their published names, in the city's CRS; QGIS finds its styles in the
file (the table ``layer_styles``) and draws the layers as the server does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pipeline.db import queries
from pipeline.derive import style_qml, symbols
from pipeline.derive.columns import GEOMETRY, ID
from pipeline.serve import crs, files, params
from pipeline.serve.clause import Clause
from pipeline.serve.query import Query
from pipeline.serve.served import Served
from pipeline.serve.tile_seed import Offline

#: What every QGIS since 3.16 reads without a word.
_VERSION = "1.2"
DRIVER, MEDIA_TYPE = "GPKG", "application/geopackage+sqlite3"


def wished(served: Served, where: Iterable[Clause] = ()) -> Query:
    """Every feature of ``served`` for which ``where`` holds, in the city's CRS."""
    found = params.query(served, {"crs": crs.stored(served.city).uri}, whole=True)
    return replace(found, where=tuple(where))


def add(site: Offline, asked: Query, path: Path, language: str) -> int:
    """Writes what is asked for into ``path`` as a layer beside those that are there; how many
    features it has. Raises what the database raises."""
    served, geometry = asked.served, asked.served.layer.geometry
    options = {
        "FID": ID,
        # Two layers may not have one, and titles are for people.
        "IDENTIFIER": f"{served.layer.title.of(language)} ({served.id})",
        "DESCRIPTION": served.layer.description.of(language),
        **({"GEOMETRY_NAME": GEOMETRY} if geometry else {}),
    }
    kind = geometry.gdal_type if geometry else None
    write = files.Gdal(
        DRIVER, served.id, kind, asked.shape.crs.srid, {"VERSION": _VERSION}, options
    )
    job = files.Job(site.database.uri(served.audience.role), asked, write)
    job.run(path)
    return job.rows


def dress(site: Offline, names: Iterable[str], path: Path, language: str) -> None:
    """Puts QGIS' styles of the layers ``names`` into the GeoPackage ``path``."""
    asked = queries.load("geopackage")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(asked["styles"])
        connection.execute(asked["styles_known"])
        for name in names:
            one = site.served[name]
            drawing = symbols.drawing(site.schemas, one.layer, one.audience)
            sheet = style_qml.style(site.schemas, drawing, one.audience, language).decode()
            connection.execute(asked["add_style"], (name, GEOMETRY, name, sheet))
