"""Sheets: drawings whose feed has a [cad] section arrive as the areas that their lines make."""

from __future__ import annotations

import fnmatch
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyproj import CRS

from pipeline.contracts.cad import Cad
from pipeline.errors import ArrivalError
from pipeline.fabric.cad.assemble import COLUMNS, Assembly, assemble
from pipeline.fabric.cad.entities import Drawn
from pipeline.stages import container
from pipeline.stages.agree import open_source
from pipeline.stages.batch import Found
from pipeline.stages.context import Context
from pipeline.stages.read import Source
from pipeline.stages.readers.base import Layer, wkb_field

_GEOMETRY = "geometry"
_ROWS = 20_000
# What a reader of drawings gives, and areas are made of.
_NEEDED = ("Layer", "Entity", "Text", "Handle", "Block", "Attributes")
# What a MicroStation design has instead: levels by number, elements by type, and no handles.
_DESIGN = {"Layer": "Level", "Entity": "Type", "Text": "Text"}


@dataclass
class Areas(Layer):
    """The areas of drawn sheets, as a layer like any other."""

    table: pa.Table = None

    def tables(self, rows: int) -> Generator[pa.Table]:
        """All areas."""
        for batch in self.table.to_batches(max_chunksize=rows) or [None]:
            self.seen += batch.num_rows if batch is not None else 0
            yield self.table.slice(0, 0) if batch is None else pa.Table.from_batches([batch])


def sheets_of(path: Path, context: Context) -> list[Path]:
    """The files of a delivery: one sheet, or a folder's sheets that the feed is for."""
    if not path.is_dir():
        return [path]
    patterns = context.feed.source.match
    found = [one for one in sorted(path.iterdir()) if one.is_file()]
    found = [one for one in found if any(fnmatch.fnmatch(one.name, p) for p in patterns)]
    if not found:
        raise ArrivalError(
            f"holds no sheet called {' or '.join(patterns)}",
            where=path.name,
            todo=f"Correct match in the feed {context.feed.id}, or give another folder.",
        )
    return found


@contextmanager
def assembled(path: Path, context: Context, rules: Cad) -> Iterator[Source]:
    """The areas of all sheets of ``path``, with what was found on the way."""
    found = Found()
    drawn: list[Drawn] = []
    crs: CRS | None = None
    with ExitStack() as stack:
        for sheet in sheets_of(path, context):
            source = _opened(stack, sheet, context)
            found.extend(source.found)
            crs = source.crs
            drawn.append(_read(source, sheet.stem))
            found.extend(source.warned())
        if crs is None:
            raise ArrivalError("has no CRS", where=path.name)
        made = assemble(drawn, rules, _metres(crs, path.name))
        _tell(made, found, context, crs)
        yield Source(context.feed, _layer(made, path.name, crs), crs, _GEOMETRY, found)


def _opened(stack: ExitStack, sheet: Path, context: Context) -> Source:
    declared = context.feed.source
    arrival = stack.enter_context(container.opened(sheet, declared.encoding, declared.member))
    source = open_source(arrival, context.feed, context.city, wants="MultiPolygon")
    names = source.layer.names
    missing = [name for name in _NEEDED if name not in names]
    if missing and not set(_DESIGN.values()) <= set(names):
        raise ArrivalError(
            f"is no drawing: it has no {', '.join(missing)}",
            where=sheet.name,
            todo=f"Take [cad] out of the feed {context.feed.id}, or ask for DXF.",
        )
    return source


def _read(source: Source, name: str) -> Drawn:
    source.layer.seen = 0
    tables = list(source.layer.tables(_ROWS))
    if source.layer.seen != source.layer.features:
        raise ArrivalError(
            f"says it has {source.features} entities, {source.layer.seen} could be read",
            where=source.label,
            todo="The file is damaged: ask for it again.",
        )
    geometry = source.geometry or _GEOMETRY
    return Drawn(name, as_drawing(pa.concat_tables(tables), geometry), geometry)


def as_drawing(table: pa.Table, geometry: str) -> pa.Table:
    """The elements of a MicroStation design as entities of a drawing, each called by its place in
    the file; a drawing stays as it is."""
    if set(_NEEDED) <= set(table.column_names):
        return table
    made = {name: table.column(other).cast(pa.string()) for name, other in _DESIGN.items()}
    made["Handle"] = pa.array([str(place) for place in range(1, table.num_rows + 1)], pa.string())
    made["Block"] = made["Attributes"] = pa.nulls(table.num_rows, pa.string())
    return pa.table({**made, geometry: table.column(geometry)})


def _metres(crs: CRS, label: str) -> float:
    """Metres in a unit of the drawing."""
    if not crs.is_projected:
        raise ArrivalError(
            f"is drawn in {crs.name}, which is not a plane",
            where=label,
            todo="Declare the CRS in which the sheets were drawn.",
        )
    return float(crs.axis_info[0].unit_conversion_factor)


def _tell(made: Assembly, found: Found, context: Context, crs: CRS) -> None:
    """Findings about the drawing, their places in the city's CRS."""
    shapes = np.array([one.place for one in made.told], dtype=object)
    placed = context.city.operation(crs).apply(shapes)
    for one, place in zip(made.told, placed, strict=True):
        found.whole(one.code, value=one.value, detail=one.detail, shape=place)


def _layer(made: Assembly, label: str, crs: CRS) -> Areas:
    table = made.table
    fields = [table.schema.field(name) for name in COLUMNS]
    table = table.cast(pa.schema([*fields, wkb_field(_GEOMETRY)]))
    return Areas(
        label=label,
        sheet="areas",
        names=list(COLUMNS),
        geometries={_GEOMETRY: "Polygon"},
        features=table.num_rows,
        crs=crs.to_wkt(),
        table=table,
    )
