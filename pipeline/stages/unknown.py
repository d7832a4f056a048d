"""Unknown: the first rows of a file nobody has described, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import shapely

from pipeline import geo
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.errors import ArrivalError
from pipeline.stages import container
from pipeline.stages.agree import meant_crs
from pipeline.stages.evidence import Place, Profile, Trial, find_crs, profile, try_encodings
from pipeline.stages.read import OPTIONS, WKB_NAMES, explained

_ROWS = 10_000
_HEAD = 2**20
_AXES = (("x", "east", "easting", "lon", "long", "longitude", "طول"),
         ("y", "north", "northing", "lat", "latitude", "عرض"))  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What was read of the file."""

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


def look(path: Path, layer: LayerContract, schemas: Schemas, sheet: str | None) -> Seen:
    """Reads the first rows of ``path``, for a feed of ``layer``; raises ArrivalError."""
    trial = _table_trial(path)
    heard: set[str] = set()
    encoding = trial.encoding if trial else None
    with container.opened(path, encoding) as arrival, explained(arrival.label, heard):
        sheets = [str(row[0]) for row in pyogrio.list_layers(arrival.place)]
        if not sheets:
            raise ArrivalError("holds no layer", where=arrival.label)
        if sheet is not None and sheet not in sheets:
            raise ArrivalError(
                f"has no layer {sheet}: {', '.join(sheets[:12])}", where=arrival.label
            )
        chosen = sheet or sheets[0]
        driver = pyogrio.read_info(arrival.place, layer=chosen)["driver"]
        options = OPTIONS.get(driver, {})
        info = pyogrio.read_info(arrival.place, layer=chosen, force_feature_count=True, **options)
        table = _first_rows(arrival.place, chosen, options)
        shapes, plain = _split(table)
        if info["encoding"] != "UTF-8":
            trial, plain = _decode(plain)
        columns = [profile(one, plain.column(one).combine_chunks()) for one in plain.column_names]
        axes = _axes(columns) if layer.geometry and info["geometry_type"] is None else None
        place = _place(shapes, axes, columns, info, schemas) if layer.geometry else None
        said = arrival.said
    return Seen(
        path, driver, chosen, sheets, int(info["features"]), trial, said, columns, place, axes
    )


def _table_trial(path: Path) -> Trial | None:
    """The encoding of a plain CSV, from its first bytes."""
    if path.suffix.lower() not in container.TABLES or not path.is_file():
        return None
    with path.open("rb") as stream:
        lines = stream.read(_HEAD).splitlines()
    return try_encodings(lines[:-1] or lines)


def _first_rows(place: str, sheet: str, options: dict[str, str]) -> pa.Table:
    with pyogrio.open_arrow(place, layer=sheet, batch_size=_ROWS, use_pyarrow=True, **options) as (
        _,
        reader,
    ):
        batch = next(reader, None)
        return pa.Table.from_batches([batch] if batch is not None else [], schema=reader.schema)


def _split(table: pa.Table) -> tuple[pa.Array | None, pa.Table]:
    """The first geometry column (WKB), and the plain ones."""
    shapes = None
    for place, field in reversed(list(enumerate(table.schema))):
        if (field.metadata or {}).get(b"ARROW:extension:name", b"").decode() in WKB_NAMES:
            shapes = table.column(place).combine_chunks()
            table = table.remove_column(place)
    return shapes, table


def _decode(table: pa.Table) -> tuple[Trial | None, pa.Table]:
    """Text of a file that does not say its encoding, in the one that makes most sense."""
    raw = {
        name: table.column(name).combine_chunks().cast(pa.binary()).to_pylist()
        for name in table.column_names
        if pa.types.is_string(table.schema.field(name).type)
    }
    trial = try_encodings(one for column in raw.values() for one in column if one is not None)
    name = trial.encoding if trial else "UTF-8"
    for column, values in raw.items():
        texts = [None if one is None else one.decode(name, "replace") for one in values]
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, pa.array(texts, type=pa.string()))
    return trial, table


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
    info: dict[str, Any],
    schemas: Schemas,
) -> Place | None:
    if axes is not None:
        by_name = {one.name: one.values for one in columns}
        x, y = (_numbers(by_name[axis]) for axis in axes)
        drawn = np.asarray(shapely.points(x, y), dtype=object)
    elif shapes is not None:
        raw = shapes.to_numpy(zero_copy_only=False)
        drawn = np.asarray(shapely.from_wkb(raw, on_invalid="ignore"), dtype=object)
    else:
        return None
    good = drawn[~shapely.is_missing(drawn)]
    good = good[~shapely.is_empty(good) & geo.finite(good)]
    if not len(good):
        return None
    own = meant_crs(info["crs"])
    return find_crs(good, own, schemas.city)


def _numbers(values: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    texts = values.to_pylist()
    return np.array([_number(one) for one in texts], dtype=np.float64)


def _number(written: str | None) -> float:
    try:
        return float(written or "nan")
    except ValueError:
        return float("nan")
