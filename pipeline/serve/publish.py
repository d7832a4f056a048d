"""``makan publish``: asks the database where the data are, renders both files the server reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import orjson
import psycopg
import yaml
from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive import openapi, views
from pipeline.derive.collections import Extent
from pipeline.derive.columns import GEOMETRY, ID
from pipeline.errors import DatabaseError, ResourceError
from pipeline.serve import config, crs
from pipeline.serve.clause import template
from pipeline.settings import Settings

Connection = psycopg.Connection[tuple[object, ...]]


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
        extents = {
            layer.id: _extent(connection, schemas, layer, audience)
            for layer in schemas.layers.values()
            if audience.sees(layer)
        }
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
        fresh = path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise ResourceError(f"cannot be written: {error.strerror}", where=str(path)) from None


def _extent(
    connection: Connection, schemas: Schemas, layer: LayerContract, audience: Audience
) -> Extent:
    """Where and when the layer's features are; the city's extent while there are none."""
    if layer.source != "log":
        _check_view(connection, schemas, layer, audience)
    bounds = None
    if layer.geometry:
        view = sql.Identifier(audience.schema_name, layer.id)
        asked = template("extent").format(geom=sql.Identifier(GEOMETRY), view=view)
        bounds = connection.execute(asked).fetchone()
    city = schemas.city
    box = bounds if bounds and bounds[0] is not None else city.extent.bounds
    west, south, east, north = (float(str(number)) for number in box)
    moved = crs.transform(crs.ring((west, south, east, north)), city.srid, 4326)
    begin, end = _period(connection, schemas, layer, audience)
    left, bottom, right, top = (round(number, 7) for number in moved.bounds)
    return Extent((left, bottom, right, top), begin, end)


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


def _period(
    connection: Connection, schemas: Schemas, layer: LayerContract, audience: Audience
) -> tuple[datetime | None, datetime | None]:
    if layer.source == "feed" and layer.publish.time is None:
        view = sql.Identifier(audience.schema_name, views.versions_view(layer))
        found = connection.execute(template("first").format(view=view)).fetchone()
        return _moment(found[0] if found else None), None
    if layer.source == "log":
        return None, None
    column = layer.publish.time
    name = schemas.city.published(column) if column else None
    if name not in views.published_fields(schemas, layer, audience):
        return None, None
    view = sql.Identifier(audience.schema_name, layer.id)
    asked = template("period").format(time=sql.Identifier(str(name)), view=view)
    begin, end = connection.execute(asked).fetchone() or (None, None)
    return _moment(begin), _moment(end)


def _moment(found: object) -> datetime | None:
    if isinstance(found, datetime):
        return found.astimezone(UTC)
    return datetime.combine(found, time(), UTC) if isinstance(found, date) else None
