"""Parquet and GeoParquet, by pyarrow: row group after row group, geometry from WKB or GeoArrow.

pyogrio's wheels have no Parquet driver.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from pipeline.errors import ArrivalError
from pipeline.stages.container import Opened
from pipeline.stages.readers.base import Layer, explained, wkb_field

_WGS84 = "OGC:CRS84"
_BUFFER = 2**20
# GeoArrow's encodings: how deep lists are nested round the points, and shapely's type.
_NATIVE = {
    "point": (0, shapely.GeometryType.POINT),
    "linestring": (1, shapely.GeometryType.LINESTRING),
    "multipoint": (1, shapely.GeometryType.MULTIPOINT),
    "polygon": (2, shapely.GeometryType.POLYGON),
    "multilinestring": (2, shapely.GeometryType.MULTILINESTRING),
    "multipolygon": (3, shapely.GeometryType.MULTIPOLYGON),
}


@dataclass(frozen=True)
class _Geometry:
    """One geometry column as the file's metadata describe it."""

    encoding: str
    kind: str
    crs: str | None


class ParquetDataset:
    """A Parquet file; its one layer is called as the file."""

    driver = "Parquet"

    def __init__(self, arrival: Opened) -> None:
        """Reads the footer."""
        self.arrival = arrival
        self.told = arrival.told
        self.sheets = [arrival.place.stem]
        self.heard: set[str] = set()
        with explained(arrival.label, self.heard):
            self.file = pq.ParquetFile(arrival.place, buffer_size=_BUFFER, pre_buffer=False)

    def layer(self, sheet: str, encoding: str | None) -> Layer:  # noqa: ARG002
        """The table; its text is UTF-8 by the format."""
        described, covering = _described(self.file, self.arrival.label)
        names = [n for n in self.file.schema_arrow.names if n not in described]
        return ParquetLayer(
            label=self.arrival.label,
            sheet=sheet,
            names=[name for name in names if name not in covering],
            geometries={name: one.kind for name, one in described.items()},
            features=int(self.file.metadata.num_rows),
            heard=self.heard,
            file=self.file,
            described=described,
        )


@dataclass
class ParquetLayer(Layer):
    """The rows of a Parquet file."""

    file: Any = None
    described: Mapping[str, _Geometry] = field(default_factory=dict)

    def crs_of(self, geometry: str | None) -> str | None:
        """Each geometry has its own."""
        return self.described[geometry].crs if geometry else None

    def tables(self, rows: int) -> Generator[pa.Table]:
        """Batches of one row group after the other."""
        wanted = [*self.names, *self.described]
        stream = self.file.iter_batches(batch_size=rows, columns=wanted, use_threads=False)
        while (batch := self._next(stream)) is not None:
            self.seen += batch.num_rows
            yield self._shaped(pa.Table.from_batches([batch]))

    def _next(self, stream: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with explained(self.label, self.heard):
            batch = next(stream, None)
            if batch is not None:
                batch.validate(full=True)
            return batch

    def _shaped(self, table: pa.Table) -> pa.Table:
        for name, one in self.described.items():
            place = table.schema.get_field_index(name)
            column = table.column(place).combine_chunks()
            with explained(self.label, self.heard):
                wkb = _as_wkb(column, one.encoding)
            table = table.set_column(place, wkb_field(name), wkb)
        return table


def _described(file: pq.ParquetFile, label: str) -> tuple[dict[str, _Geometry], set[str]]:
    """The geometry columns, the primary one first; and columns that only repeat their boxes."""
    raw = (file.schema_arrow.metadata or {}).get(b"geo")
    if raw is None:
        return _by_type(file), set()
    try:
        told = json.loads(raw)
        columns = dict(
            sorted(told["columns"].items(), key=lambda c: c[0] != told["primary_column"])
        )
        found = {name: _geometry(one) for name, one in columns.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ArrivalError(
            "has geo metadata that cannot be understood",
            where=label,
            todo="Ask for GeoParquet 1.0 or 1.1.",
        ) from None
    here = set(file.schema_arrow.names)
    unknown = [o.encoding for o in found.values() if o.encoding not in ("wkb", *_NATIVE)]
    if unknown or not here.issuperset(found):
        what = f"the encoding {unknown[0]}" if unknown else "a geometry column that is not there"
        raise ArrivalError(f"names {what}", where=label, todo="Ask for GeoParquet with WKB.")
    boxes = {
        str(place[0])
        for one in columns.values()
        for place in one.get("covering", {}).get("bbox", {}).values()
    }
    return found, boxes


def _geometry(told: Mapping[str, Any]) -> _Geometry:
    kinds = {str(kind).split(" ")[0] for kind in told.get("geometry_types", [])}
    bare = {kind.removeprefix("Multi") for kind in kinds}
    kind = kinds.pop() if len(kinds) == 1 else f"Multi{bare.pop()}" if len(bare) == 1 else "Unknown"
    crs = told.get("crs", _WGS84)
    text = crs if crs is None or isinstance(crs, str) else json.dumps(crs)
    return _Geometry(str(told["encoding"]).lower(), kind, text)


def _by_type(file: pq.ParquetFile) -> dict[str, _Geometry]:
    """Parquet's own type for geometry, which needs no metadata."""
    found = {}
    for number in range(len(file.schema.names)):
        column = file.schema.column(number)
        if column.logical_type.type not in ("GEOMETRY", "GEOGRAPHY"):
            continue
        told = json.loads(column.logical_type.to_json())
        found[column.name] = _Geometry("wkb", "Unknown", told.get("crs") or _WGS84)
    return found


def _as_wkb(values: pa.Array, encoding: str) -> pa.Array:
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if encoding == "wkb":
        return values.cast(pa.binary())
    depth, kind = _NATIVE[encoding]
    there = values.is_valid()
    made = shapely.from_ragged_array(kind, *_ragged(values.filter(there), depth))
    wkb = np.full(len(values), None, dtype=object)
    wkb[there.to_numpy(zero_copy_only=False)] = shapely.to_wkb(made)
    return pa.array(wkb, type=pa.binary())


def _ragged(
    values: pa.Array, depth: int
) -> tuple[np.ndarray[Any, Any], tuple[np.ndarray[Any, Any], ...]]:
    """Coordinates (n, 2 or 3), and offsets from the innermost list to the outermost."""
    offsets = []
    for _ in range(depth):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        offsets.append(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        values = values.flatten()
    if pa.types.is_struct(values.type):
        axes = [values.field(axis) for axis in range(min(values.type.num_fields, 3))]
        coordinates = np.column_stack([one.to_numpy(zero_copy_only=False) for one in axes])
    else:
        size = values.type.list_size
        coordinates = values.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)[:, :3]
    return np.ascontiguousarray(coordinates, dtype=np.float64), tuple(reversed(offsets))
