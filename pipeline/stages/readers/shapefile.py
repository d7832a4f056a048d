"""Shapefile and DBF: GDAL reads them, but for what it makes of dates, numbers and deleted rows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from pipeline.errors import ArrivalError
from pipeline.stages.container import Opened
from pipeline.stages.dbase import NUMBERS, Column, Dbase, dates
from pipeline.stages.encoding import python_name
from pipeline.stages.readers.base import Layer
from pipeline.stages.readers.gdal import GdalDataset, GdalLayer
from pipeline.stages.shapeindex import are_in_order, refuse_torn

_DATE = "D"


class ShapefileDataset(GdalDataset):
    """A Shapefile, or a table of dBASE."""

    def __init__(self, arrival: Opened) -> None:
        """ArrivalError where a part of a Shapefile is missing that nothing can be read without."""
        super().__init__(arrival)
        place = arrival.place
        self.file = _part(place, ".dbf") if place.is_file() else None
        if place.suffix.lower() == ".shp" and place.is_file():
            self._look_at_index(place)

    def _look_at_index(self, place: Path) -> None:
        index = _part(place, ".shx")
        if index is None:
            raise ArrivalError(
                "comes without its .shx",
                where=self.label,
                todo="Ask for all its files (.shp, .shx, .dbf, .prj, .cpg), best in one zip.",
            )
        table = self._table
        refuse_torn(place, index, None if table is None else table.count, self.label)
        if not are_in_order(place, index):
            self.heard.add("its shapes bear other numbers than their rows; are they theirs?")

    @cached_property
    def _table(self) -> Dbase | None:
        return None if self.file is None else Dbase(self.file)

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The layer, counted by the marks of its records."""
        layer = super().layer(sheet, encoding)
        table = self._table
        if table is None or not isinstance(layer, GdalLayer):
            if layer.geometries:
                layer.heard.add("its .dbf is missing: the rows have no attributes")
            return layer
        deleted = len(table.records) - len(table.alive)
        if deleted:
            layer.heard.add(f"{deleted} rows are marked as deleted and left out")
        made = ShapefileLayer(**vars(layer), table=table)
        made.features -= deleted
        return made


@dataclass
class ShapefileLayer(GdalLayer):
    """Its dates as they are written; columns of numbers that hold anything else as text."""

    table: Dbase | None = None

    @cached_property
    def _told(self) -> list[tuple[int, Column]]:
        """The columns that are read here, with their places."""
        if self.table is None or len(self.table.columns) != len(self.names):
            return []
        return [
            (place, column)
            for place, column in enumerate(self.table.columns)
            if column.kind == _DATE or (column.kind in NUMBERS and self.table.unreadable(column))
        ]

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The stream of GDAL, in which these columns are what stands in the file."""
        first = 0
        for table in super().tables(rows):
            yield self._as_written(table, first)
            first += table.num_rows
        # What GDAL could not read of them has been read.
        ours = [f".{self.names[place]} parsed incompletely" for place, _ in self._told]
        self.heard -= {said for said in self.heard if any(one in said for one in ours)}

    def _as_written(self, table: pa.Table, first: int) -> pa.Table:
        if self.table is None or not self._told:
            return table
        places = self.table.alive[first : first + table.num_rows]
        if len(places) < table.num_rows:  # the file is cut: it will be refused
            return table
        for place, column in self._told:
            name = self.names[place]
            at = table.schema.get_field_index(name)
            encoding = python_name(self.encoding or "") or "latin-1"
            written = self.table.texts(column, places, encoding)
            shown = dates(written) if column.kind == _DATE else written
            table = table.set_column(at, name, shown)
        return table


def _part(place: Path, suffix: str) -> Path | None:
    """The file of the same name with another ending, in small letters or capitals."""
    if place.suffix.lower() == suffix:
        return place
    beside = (place.with_suffix(suffix), place.with_suffix(suffix.upper()))
    return next((one for one in beside if one.is_file()), None)
