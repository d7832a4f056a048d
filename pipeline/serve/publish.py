"""``makan publish``: asks the database where the data are, renders both files the server reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from pipeline import disk
from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive import openapi, views
from pipeline.derive.columns import GEOMETRY, ID
from pipeline.errors import DatabaseError, ResourceError
from pipeline.serve import config
from pipeline.serve.clause import template
from pipeline.serve.extents import Connection, Extents
from pipeline.settings import Settings

_LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Published:
    """Where the two files are."""

    config: Path
    openapi: Path


def files(settings: Settings) -> Published:
    """The two files of this home, whether they are there yet or not."""
    folder = settings.home / "published" / settings.audience
    return Published(folder / "pygeoapi.yml", folder / "openapi.json")


def publish(settings: Settings, schemas: Schemas, database: Database) -> Published:
    """Renders both files for the settings' audience; raises DatabaseError when the database is not
    what they describe."""
    audience = schemas.audience(settings.audience)
    with database.connect(audience.role) as connection:
        # The extents of a large city take longer than what a request may.
        connection.execute(f"SET statement_timeout = '{_LIMIT_S}s'")
        _check_version(connection, audience)
        layers = [layer for layer in schemas.layers.values() if audience.sees(layer)]
        for layer in layers:
            if layer.source != "log":
                _check_view(connection, schemas, layer, audience)
        path = files(settings).config.with_name("extents.json")
        extents = Extents(connection, schemas, audience, path, settings).all(layers)
    rasters = config.loaded_rasters(settings.home, schemas.rasters)
    rendered = config.render(settings, schemas, extents, rasters)
    document = openapi.document(schemas, audience, rendered)
    place = files(settings)
    _write(
        place.config,
        yaml.dump(rendered, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False).encode(),
    )
    _write(place.openapi, orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return place


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write_bytes(path, content)
    except OSError as error:
        raise ResourceError(f"cannot be written: {error.strerror}", where=str(path)) from None


def _check_view(
    connection: Connection, schemas: Schemas, layer: LayerContract, audience: Audience
) -> None:
    """The view must have the columns this city's contracts give it, in the city's CRS."""
    expected: set[Any] = {ID, *views.published_fields(schemas, layer, audience)}
    expected |= set(views.hidden_columns(schemas, layer, audience))
    if layer.geometry:
        expected.add(GEOMETRY)
    name = f"{audience.schema_name}.{layer.id}"
    columns = connection.execute(template("view_columns"), {"view": name}).fetchall()
    srids = {srid for column, srid in columns if column == GEOMETRY}
    if {column for column, _ in columns} != expected or srids - {schemas.city.srid}:
        raise DatabaseError(
            f"the view {name} is not that of the city {schemas.city.id}",
            todo="Run `makan db migrate`, or check MAKAN_CITY and MAKAN_DATABASE_URL.",
        )


def _check_version(connection: Connection, audience: Audience) -> None:
    """The view that says which load a layer is at is younger than the first databases."""
    name = f"{audience.schema_name}.{views.VERSION}"
    if not connection.execute(template("view_columns"), {"view": name}).fetchall():
        raise DatabaseError(f"there is no view {name}", todo="Run `makan db migrate`.")
