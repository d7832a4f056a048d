"""GeoJSON and TopoJSON: GDAL reads them, but leaves out without a word what is no feature to it.

In a topology that is every feature whose type is null, as programs write those without a geometry:
they come as empty ones. In a list of features it is anything else than features: they are counted.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stages.container import Opened
from pipeline.stages.readers import features
from pipeline.stages.readers.base import Layer
from pipeline.stages.readers.gdal import GdalDataset, GdalLayer

_HEAD = 4096
_WHOLE = 2.0**53
_TOPOLOGY, _NULL = re.compile(rb'"type"\s*:\s*"Topology"'), re.compile(rb'"type"\s*:\s*null')
# What the id beside the properties is called: the first of these that no property is.
_IDS = ("id", "feature_id")
_NOTHING = {"type": "MultiPoint", "coordinates": []}


class JsonDataset(GdalDataset):
    """GeoJSON or TopoJSON, every feature of it."""

    def __init__(self, arrival: Opened) -> None:
        """Reads a topology, which GDAL holds in memory as well."""
        super().__init__(_whole(arrival))

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The layer; the features of a GeoJSON are counted by its commas."""
        layer = super().layer(sheet, encoding)
        listed = features.count(Path(self.place)) if self.driver == "GeoJSON" else None
        if listed is None or not isinstance(layer, GdalLayer):
            return layer
        made = JsonLayer(**vars(layer))
        made.features = listed
        made.spare = tuple(one for one in _IDS if one not in layer.names)[:1]
        return made


@dataclass
class JsonLayer(GdalLayer):
    """Features, with what stands as ``id`` beside their properties if a feed asks for it."""

    def want(self, names: set[str]) -> None:
        """By the name that is in no property."""
        self.spare = tuple(one for one in self.spare if one in names)
        self.names = [*self.names, *self.spare]

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream of GDAL, and the ids."""
        ids = features.ids(Path(self.place), self.label)
        for table in super().tables(rows):
            self._tell_long_numbers(table)
            yield self._numbered(table, ids)

    def _tell_long_numbers(self, table: pa.Table) -> None:
        """Numbers that have been cut: in a column that has fractions as well, or longer ones."""
        for column, values in zip(table.schema, table.columns, strict=True):
            if pa.types.is_floating(column.type):
                size = pc.max(pc.abs(values)).as_py()
                if size is not None and size >= _WHOLE:
                    self.heard.add(
                        f"{column.name} has numbers of more than 15 figures beside others, and "
                        "their last figures are lost: as text they would be kept"
                    )

    def _numbered(self, table: pa.Table, ids: Iterator[str | None]) -> pa.Table:
        for name in self.spare:
            if name in self.names:
                found = pa.array(islice(ids, table.num_rows), pa.string())
                if len(found) == table.num_rows:  # else the file will be refused
                    return table.append_column(name, found)
        return table


def _whole(arrival: Opened) -> Opened:
    with arrival.place.open("rb") as stream:
        head = stream.read(_HEAD)
    if not _TOPOLOGY.search(head):
        return arrival
    data = arrival.place.read_bytes()
    if not _NULL.search(data):
        return arrival
    try:
        topology = orjson.loads(data)
    except orjson.JSONDecodeError:  # GDAL says what is wrong
        return arrival
    copy = arrival.folder / "whole" / arrival.place.name
    copy.parent.mkdir()
    copy.write_bytes(orjson.dumps(_with_empty(topology)))
    return replace(arrival, place=copy)


def _with_empty(topology: dict[str, Any]) -> dict[str, Any]:
    """The same with empty geometries where there were none."""
    objects = topology.get("objects", {})
    return {**topology, "objects": {name: _filled(one) for name, one in objects.items()}}


def _filled(layer: Any) -> Any:
    parts = layer.get("geometries") if isinstance(layer, dict) else None
    if not isinstance(parts, list):
        return layer
    return {**layer, "geometries": [_drawn(part) for part in parts]}


def _drawn(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") is None:
        return {**part, **_NOTHING}
    return part
