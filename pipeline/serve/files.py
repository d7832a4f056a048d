"""Everything that is asked for as one file: FlatGeobuf and GeoParquet, for QGIS, GDAL and analysts,
and GML for programs that read nothing newer.

A cursor of the server's brings the rows in batches, which go as Arrow columns into the file: memory
stays flat however many they are. FlatGeobuf and GeoParquet write east before north in any CRS, GML
as the CRS says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psycopg
import pyarrow as pa
from pyproj import CRS
from starlette.responses import Response, StreamingResponse

from pipeline import disk
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import ID
from pipeline.serve import gml
from pipeline.serve.errors import NO_ROOM, bad, unavailable
from pipeline.serve.query import PERIOD, Query
from pipeline.serve.served import Kind

log = logging.getLogger(__name__)

FLATGEOBUF, GEOPARQUET = "application/flatgeobuf", "application/vnd.apache.parquet"
GML = "application/gml+xml;version=3.2"
#: Formats of /items that are files: media type, title and the ending of the name.
FORMATS = {
    "fgb": (FLATGEOBUF, "This document as FlatGeobuf"),
    "parquet": (GEOPARQUET, "This document as GeoParquet"),
    "gml": (GML, "This document as GML"),
}
GEOMETRY = "geometry"
_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
}
_LIMIT_S = 300
_ROWS = 5_000
_BLOCK = 2**20
_LOOK_S = 0.5
_WGS84 = 4326
Gone = Callable[[], Awaitable[bool]]
Write = Callable[[pa.RecordBatchReader, Path], None]


@dataclass(frozen=True)
class Files:
    """What one worker needs to make files; one at a time, since each costs a core of the server."""

    database: Database
    role: str
    folder: Path
    free: asyncio.Semaphore
    base: str = ""

    async def answer(self, wished: Query, form: str, gone: Gone) -> Response:
        """The file; 503 while another one is being made or when it takes too long."""
        if self.free.locked():
            raise unavailable("another file is being made; come again, or ask for pages")
        async with self.free:
            file = await self._make(wished, form, gone)
        kind, _ = FORMATS[form]
        name = f'attachment; filename="{wished.served.id}.{form}"'
        size = str(os.fstat(file.fileno()).st_size)
        headers = {"Content-Disposition": name, "Content-Length": size}
        return StreamingResponse(_blocks(file), headers=headers, media_type=kind)

    async def _make(self, wished: Query, form: str, gone: Gone) -> BinaryIO:
        """The file, open; it has no name any more, so that it cannot stay behind."""
        job = Job(self.database.uri(self.role), wished, _writer(wished, form, self.base))
        end = asyncio.get_running_loop().time() + _LIMIT_S
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            # By the ending GDAL knows that a file is meant, and not a folder of files.
            path = Path(folder) / f"made.{form}"
            task = asyncio.create_task(asyncio.to_thread(job.run, path))
            try:
                while not task.done():
                    await asyncio.wait((task,), timeout=_LOOK_S)
                    late = asyncio.get_running_loop().time() > end
                    if not task.done() and (late or await gone()):
                        raise TimeoutError
                task.result()
            except Exception as error:
                if disk.is_full(error, self.folder):
                    log.warning("no file was made: the disk is full")
                    raise unavailable(NO_ROOM) from error
                raise
            finally:
                if not task.done():
                    job.cancel()
                    await asyncio.wait((task,))
            return path.open("rb")


class Job:
    """One file being made, in a thread; ``rows`` are those written so far."""

    def __init__(self, uri: str, wished: Query, write: Write) -> None:
        """As the login of ``uri``; nothing is asked yet."""
        self.rows = 0
        self._uri = uri
        self._wished = wished
        self._write = write
        self._in_space = isinstance(write, _FlatGeobuf)
        self._connection: Connection | None = None
        self._failure: Exception | None = None

    def run(self, path: Path) -> None:
        """Makes it; raises what the database raises."""
        with psycopg.connect(self._uri) as connection:
            self._connection = connection
            connection.execute("SET TIME ZONE 'UTC'")
            schema = _schema(self._wished)
            batches = self._batches(connection, schema)
            rows = pa.RecordBatchReader.from_batches(schema, batches)
            try:
                self._write(rows, path)
            except Exception:
                if self._failure:  # of which the writer tells in words of its own
                    raise self._failure from None
                raise

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if self._connection is not None:
            self._connection.cancel_safe(timeout=_LOOK_S)

    def _batches(self, connection: Connection, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        statement = self._wished.rows(in_space=self._in_space)
        try:
            with connection.cursor("file") as cursor:
                cursor.execute(statement.sql, statement.values, binary=True)
                while rows := cursor.fetchmany(_ROWS):
                    self.rows += len(rows)
                    columns = zip(*rows, strict=True)
                    made = [
                        pa.array(column, type=field.type)
                        for column, field in zip(columns, schema, strict=True)
                    ]
                    yield pa.RecordBatch.from_arrays(made, schema=schema)
        except Exception as error:
            self._failure = error
            raise


def _schema(wished: Query) -> pa.Schema:
    """The columns that ``Query.rows`` brings."""
    served, shape = wished.served, wished.shape
    kinds: dict[str, Kind] = {**dict.fromkeys(PERIOD, "datetime"), **served.kinds}
    fields = [pa.field(name, _TYPES[kinds[name]]) for name in (ID, *wished.columns)]
    if served.has_geometry and not shape.skip_geometry:
        fields.append(pa.field(GEOMETRY, pa.binary()))
    return pa.schema(fields)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


def gml_schema(wished: Query, base: str) -> bytes:
    """The XML schema of the collection's features as GML; 400 where it has no geometry."""
    served, geometry = wished.served, wished.served.layer.geometry
    if geometry is None:
        raise bad("f: GML needs a geometry")
    kind, srid = geometry.type, wished.shape.crs.srid
    address = f"{base}/collections/{served.id}"
    write = Gdal("GML", served.id, kind, srid, gml.schema_options(address))
    return gml.schema(_schema(wished), write)


def _writer(wished: Query, form: str, base: str) -> Write:
    """What puts the rows into a file of this format; 400 for what no file can hold."""
    if wished.cursor is not None or wished.hits:
        raise bad(f"f: a file ({form}) has no pages and no hits; leave cursor and resulttype out")
    geometry = wished.served.layer.geometry
    shaped = geometry is not None and not wished.shape.skip_geometry
    if form == "parquet":
        srid = wished.shape.crs.srid
        kind = geometry.gdal_type if geometry and shaped else None
        return _Parquet(kind, srid)
    if geometry is None or not shaped:
        raise bad(f"f: {form} needs a geometry; GeoParquet (f=parquet) and CSV do not")
    drawn = (wished.served.id, geometry.gdal_type, wished.shape.crs.srid)
    if form == "gml":
        return Gdal("GML", *drawn, gml.options(f"{base}/collections/{wished.served.id}"))
    return _FlatGeobuf(Gdal("FlatGeobuf", *drawn))


@dataclass(frozen=True)
class Gdal:
    """Writes rows as the layer ``name`` by one of GDAL's drivers; without a ``type`` a table."""

    driver: str
    name: str
    type: str | None
    srid: int
    options: dict[str, str] = field(default_factory=dict)
    layer_options: dict[str, str] = field(default_factory=dict)

    def __call__(self, rows: pa.RecordBatchReader, path: Path, **of_layer: str) -> None:
        """Writes all of ``rows`` into the file ``path``."""
        import pyogrio  # only here: it takes time to import, and few ask for files

        shaped = {
            "geometry_name": GEOMETRY, "geometry_type": self.type, "crs": f"EPSG:{self.srid}"
        }  # fmt: skip
        pyogrio.write_arrow(
            rows, path, driver=self.driver, layer=self.name, dataset_options=self.options,
            layer_options={**self.layer_options, **of_layer}, **(shaped if self.type else {}),
        )  # fmt: skip


@dataclass(frozen=True)
class _FlatGeobuf:
    by_gdal: Gdal

    def __call__(self, rows: pa.RecordBatchReader, path: Path) -> None:
        from pipeline.serve import flatgeobuf  # with what it needs, likewise

        def write(some: pa.RecordBatchReader, there: Path, index: str) -> None:
            self.by_gdal(some, there, SPATIAL_INDEX=index)

        flatgeobuf.write(rows, path, GEOMETRY, write)


@dataclass(frozen=True)
class _Parquet:
    type: str | None
    srid: int

    def __call__(self, rows: pa.RecordBatchReader, path: Path) -> None:
        from pyarrow import parquet

        schema = rows.schema.with_metadata({"geo": json.dumps(self._geo())} if self.type else None)
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))

    def _geo(self) -> dict[str, object]:
        """The metadata of GeoParquet 1.1; without a CRS it means longitude and latitude."""
        column: dict[str, object] = {"encoding": "WKB", "geometry_types": [self.type]}
        if self.srid != _WGS84:
            column["crs"] = CRS.from_epsg(self.srid).to_json_dict()
        return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
