"""The past: the city as it was at a moment, as it is known today or as it was known then."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyogrio
from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, GEOMETRY, HISTORY, ID
from pipeline.errors import ResourceError, SettingsError
from pipeline.stages.clean import ARROW_TYPES

_ROWS = 5_000
_GPKG = ".gpkg"


@dataclass(frozen=True)
class Moment:
    """When things held; ``known`` is the publication after which they were known so, None: now."""

    held: datetime
    known: int | None = None

    @classmethod
    def of(cls, connection: Connection, held: datetime, recorded: datetime | None) -> Moment:
        """What held at one moment as was recorded by another."""
        if recorded is None:
            return cls(held)
        row = connection.execute(
            queries.load("history")["known_at"], {"moment": recorded}
        ).fetchone()
        return cls(held, int(str(row[0])) if row else 0)

    @property
    def values(self) -> dict[str, object]:
        """For the queries."""
        return {"moment": self.held, "known": self.known}


def dated(schemas: Schemas, names: Sequence[str]) -> list[LayerContract]:
    """The layers called ``names``, or all that keep versions; SettingsError for one without."""
    layers = [schemas.layer(name) for name in names or schemas.load_order]
    kept = [layer for layer in layers if layer.source == "feed"]
    if names and len(kept) < len(layers):
        other = ", ".join(layer.id for layer in layers if layer.source != "feed")
        raise SettingsError(f"{other} keeps no versions", todo="It follows from other layers.")
    return kept


def count(connection: Connection, layer: LayerContract, when: Moment) -> int:
    """How many objects of ``layer`` there were."""
    found = query(layer, [sql.Identifier("v", ID)])
    counted = sql.SQL(queries.load("history")["count"]).format(query=found)
    row = connection.execute(counted, when.values).fetchone()
    return int(str(row[0])) if row else 0


def write(
    connection: Connection,
    schemas: Schemas,
    layers: Sequence[LayerContract],
    when: Moment,
    out: Path,
) -> dict[str, int]:
    """Writes what was to a new GeoPackage, a table a layer; how many rows each has.

    Layers that had none are left out. The file appears whole or not at all.
    """
    if out.suffix.lower() != _GPKG:
        raise SettingsError(f"{out.name} is no .gpkg", todo="Give a name that ends in .gpkg.")
    if out.exists():
        raise SettingsError("is there already", where=str(out), todo="Choose another name.")
    found: dict[str, int] = {}
    try:
        with TemporaryDirectory(prefix=".makan-", dir=out.parent) as folder:
            part = Path(folder) / out.name
            for layer in layers:
                rows = count(connection, layer, when)
                if rows:
                    _table(connection, schemas.city.srid, layer, when, part)
                    found[layer.id] = rows
            if found:
                os.replace(part, out)  # noqa: PTH105 - one rename, as the file appears whole
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=str(out), todo="Choose another place."
        ) from None
    return found


def query(layer: LayerContract, columns: Sequence[sql.Composable]) -> sql.Composed:
    """SQL for ``columns`` of the versions ``v`` that held at a ``Moment``."""
    return sql.SQL(queries.load("history")["as_of"]).format(
        columns=sql.SQL(", ").join(columns),
        target=sql.Identifier(DATA, layer.id),
        history=sql.Identifier(HISTORY, layer.id),
    )


def _schema(layer: LayerContract) -> pa.Schema:
    fields = [pa.field(ID, pa.int64())]
    fields += [pa.field(field.name, ARROW_TYPES[field.type]) for field in layer.fields]
    if layer.geometry:
        fields.append(pa.field(GEOMETRY, pa.binary()))
    return pa.schema(fields)


def _table(
    connection: Connection, srid: int, layer: LayerContract, when: Moment, path: Path
) -> None:
    schema = _schema(layer)
    rows = pa.RecordBatchReader.from_batches(schema, _batches(connection, layer, when, schema))
    told: dict[str, object] = {"layer": layer.id, "driver": "GPKG"}
    if layer.geometry:
        told |= {"geometry_name": GEOMETRY, "geometry_type": layer.geometry.gdal_type}
        told |= {"crs": f"EPSG:{srid}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a table without geometry or CRS
        pyogrio.write_arrow(rows, path, **told)


def _batches(
    connection: Connection, layer: LayerContract, when: Moment, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    columns: list[sql.Composable] = [sql.Identifier("v", ID)]
    columns += [sql.Identifier("v", field.name) for field in layer.fields]
    if layer.geometry:
        columns.append(sql.SQL("ST_AsBinary({})").format(sql.Identifier("v", GEOMETRY)))
    with connection.cursor("past") as cursor:
        cursor.execute(query(layer, columns), when.values, binary=True)
        while rows := cursor.fetchmany(_ROWS):
            made = [
                pa.array(column, type=field.type)
                for column, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(made, schema=schema)
