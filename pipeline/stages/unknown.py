"""Unknown: the first rows of a file nobody has described, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from pipeline import geo
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.errors import ArrivalError
from pipeline.stages import container, curves
from pipeline.stages.agree import choose_geometry, meant_crs
from pipeline.stages.encoding import Trial
from pipeline.stages.evidence import Place, Profile, find_crs, profile
from pipeline.stages.readers import open_dataset
from pipeline.stages.readers.base import Layer

_ROWS = 10_000
_AXES = (("x", "east", "easting", "lon", "long", "longitude", "طول"),
         ("y", "north", "northing", "lat", "latitude", "عرض"))  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What was read of the file. ``geometries`` are its geometry columns with what they hold,
    ``geometry`` the one that seems to be the row's shape."""

    path: Path
    driver: str
    sheet: str
    sheets: list[str]
    rows: int
    trial: Trial | None
    said: str | None
    columns: list[Profile]
    place: Place | None
    axes: tuple[str, str] | None
    geometry: str | None
    geometries: dict[str, str]
    spare: tuple[str, ...] = ()


def look(
    path: Path,
    layer: LayerContract,
    schemas: Schemas,
    sheet: str | None,
    member: str | None,
    header: int = 1,
) -> Seen:
    """Reads the first rows of ``path``, for a feed of ``layer``; raises ArrivalError."""
    with container.opened(path, member=member, header=header) as arrival:
        dataset = open_dataset(arrival)
        sheets = dataset.sheets
        if not sheets:
            raise ArrivalError("holds no layer", where=arrival.label)
        if sheet is not None and sheet not in sheets:
            raise ArrivalError(
                f"has no layer {sheet}: {', '.join(sheets[:12])}", where=arrival.label
            )
        trial, said = dataset.told.trial, dataset.told.said
        source = dataset.layer(sheet or sheets[0], trial.encoding if trial else None)
        geometry = _shape_of(source, layer)
        table = next(iter(source.tables(_ROWS)), None)
        columns = _profiles(source, geometry, table)
        axes = _axes(columns) if layer.geometry and not source.geometries else None
        shapes = _shapes(table, geometry)
        place = (
            _place(shapes, axes, columns, source.crs_of(geometry), schemas)
            if layer.geometry
            else None
        )
        return Seen(
            path, dataset.driver, source.sheet, sheets, source.features, trial, said, columns,
            place, axes, geometry, dict(source.geometries), source.spare,
        )  # fmt: skip


def _shape_of(source: Layer, layer: LayerContract) -> str | None:
    """The geometry for ``layer``; the first one where several are as good."""
    try:
        return choose_geometry(source, None, layer.geometry.type if layer.geometry else None)
    except ArrivalError:
        return next(iter(source.geometries), None)


def _profiles(source: Layer, geometry: str | None, table: pa.Table | None) -> list[Profile]:
    names = [*source.names, *(one for one in source.geometries if one != geometry)]
    if table is None:
        return [profile(name, pa.array([], pa.string())) for name in names]
    return [profile(name, table.column(name).combine_chunks()) for name in names]


def _shapes(table: pa.Table | None, geometry: str | None) -> pa.Array | None:
    if table is None or geometry is None:
        return None
    return curves.stroked(table.column(geometry).combine_chunks(), curves.SAGITTA_M)


def _axes(columns: list[Profile]) -> tuple[str, str] | None:
    """The columns of a plain table that are called like coordinates."""
    found = []
    for names in _AXES:
        match = [one.name for one in columns if one.name.casefold().strip() in names]
        if len(match) != 1:
            return None
        found.append(match[0])
    return found[0], found[1]


def _place(
    shapes: pa.Array | None,
    axes: tuple[str, str] | None,
    columns: list[Profile],
    crs: str | None,
    schemas: Schemas,
) -> Place | None:
    if axes is not None:
        by_name = {one.name: one.values for one in columns}
        x, y = (_numbers(by_name[axis]) for axis in axes)
        drawn = np.asarray(shapely.points(x, y), dtype=object)
    elif shapes is not None:
        raw = shapes.to_numpy(zero_copy_only=False)
        drawn = geo.from_wkb(raw)
    else:
        return None
    good = drawn[~shapely.is_missing(drawn)]
    good = good[~shapely.is_empty(good) & geo.finite(good)]
    if not len(good):
        return None
    return find_crs(good, meant_crs(crs), schemas.city)


def _numbers(values: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    texts = values.to_pylist()
    return np.array([_number(one) for one in texts], dtype=np.float64)


def _number(written: str | None) -> float:
    try:
        return float(written or "nan")
    except ValueError:
        return float("nan")
