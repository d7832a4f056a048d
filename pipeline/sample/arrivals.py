"""Arrivals: tables as the offices have them, and how each is written to its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyogrio
import shapely

from pipeline import text
from pipeline.sample import xlsx
from pipeline.sample.arrays import Bools, Objects

CRS = "EPSG:32639"
_OLD_PROGRAM = str.maketrans({"ک": "ك", "\u200c": " "})
_STAMP = "2026-01-01T00:00:00.000Z"


@dataclass
class Arrival:
    """One file of one office, taken by the feed ``feed`` (empty: there is no feed yet).

    ``frame`` has the office's columns, as many rows as ``shapes`` (None for plain tables);
    ``geometry`` is the file's geometry type. ``xy`` names the columns that hold coordinates in a
    CSV, ``decimals`` how exactly. ``high``: points have heights. ``safe`` marks rows no fault may
    be planted in, ``broken`` has the WKB of rows whose geometry no library would make.
    """

    feed: str
    file: str
    driver: str
    frame: pd.DataFrame
    shapes: Objects | None = None
    geometry: str = ""
    layer: str = ""
    encoding: str = "UTF-8"
    crs: str = CRS
    xy: tuple[str, str] | None = None
    decimals: int = 2
    high: bool = False
    notes: tuple[str, ...] = ()
    safe: Bools = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    broken: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.safe):
            self.safe = np.zeros(len(self.frame), dtype=np.bool_)

    @property
    def holds_text(self) -> bool:
        """Whether a number column of this format can hold text as well."""
        return self.driver in ("CSV", "XLSX")


def legacy(values: Objects) -> Objects:
    """Texts as old programs have them: in Windows-1256, with Arabic kaf and no ZWNJ."""
    found = np.empty(len(values), dtype=object)
    found[:] = [
        None if v is None else text.in_code_page(str(v).translate(_OLD_PROGRAM), "cp1256")
        for v in values
    ]
    return found


def write(arrival: Arrival, folder: Path) -> None:
    """Writes the arrival's file (and sidecars) into ``folder``."""
    path = folder / arrival.file
    if arrival.driver == "XLSX":
        xlsx.write(path, {arrival.layer: arrival.frame, "راهنما": _guide(arrival)})
    elif arrival.driver == "CSV":
        _write_csv(arrival, path)
    else:
        _write_shapes(arrival, path)


def _guide(arrival: Arrival) -> pd.DataFrame:
    return pd.DataFrame({"توضیح": list(arrival.notes) or ["-"]})


def _write_csv(arrival: Arrival, path: Path) -> None:
    """UTF-8 with a byte order mark, as spreadsheet programs save it."""
    frame = _with_coordinates(arrival)
    table = pa.table({name: arrow_column(frame[name]) for name in frame.columns})
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        pyarrow.csv.write_csv(table, file, options)


def arrow_column(values: pd.Series[Any]) -> pa.Array:
    """The column for Arrow; a mixture of numbers and text becomes text."""
    if values.dtype != object:
        return pa.Array.from_pandas(values)
    there = values.notna()
    if there.any() and not values[there].map(lambda v: isinstance(v, str)).all():
        values = values.map(_plain, na_action="ignore")
    return pa.array(values.where(there, None), type=pa.string(), from_pandas=True)


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _with_coordinates(arrival: Arrival) -> pd.DataFrame:
    """The table with its point shapes as the columns ``xy``, right after the first column."""
    if arrival.xy is None or arrival.shapes is None:
        return arrival.frame
    x = np.round(shapely.get_x(arrival.shapes), arrival.decimals)
    y = np.round(shapely.get_y(arrival.shapes), arrival.decimals)
    first, *rest = (arrival.frame[name] for name in arrival.frame.columns)
    pair = (pd.Series(v, name=n) for n, v in zip(arrival.xy, (x, y), strict=True))
    return pd.concat([first, *pair, *rest], axis=1)


def _write_shapes(arrival: Arrival, path: Path) -> None:
    names = list(arrival.frame.columns)
    arrays = [_encodable(arrow_column(arrival.frame[n]), arrival.encoding) for n in names]
    geometry = pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"})
    fields = [pa.field(n, a.type) for n, a in zip(names, arrays, strict=True)] + [geometry]
    drawn = np.asarray(shapely.to_wkb(arrival.shapes), dtype=object)
    for row, broken in arrival.broken.items():
        drawn[row] = broken
    wkb = pa.array(drawn, type=pa.binary())
    table = pa.table([*arrays, wkb], schema=pa.schema(fields))
    options: dict[str, Any] = {"layer_options": {}}
    if arrival.driver == "ESRI Shapefile":
        options["encoding"] = arrival.encoding
        options["layer_options"] = {"DBF_DATE_LAST_UPDATE": _STAMP[:10]}
    elif arrival.driver == "GeoJSON":
        options["layer_options"] = {"COORDINATE_PRECISION": "3"}
    _remove(path)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _STAMP})
    pyogrio.write_arrow(
        table,
        str(path),
        layer=arrival.layer or path.stem,
        driver=arrival.driver,
        geometry_name="geometry",
        geometry_type=_declared_type(arrival),
        crs=arrival.crs,
        **options,
    )
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _encodable(values: pa.Array, encoding: str) -> pa.Array:
    """Texts that ``encoding`` holds; GDAL would drop what it does not."""
    if encoding == "UTF-8" or not pa.types.is_string(values.type):
        return values
    held = [None if v is None else text.in_code_page(v, encoding) for v in values.to_pylist()]
    return pa.array(held, type=pa.string())


def _declared_type(arrival: Arrival) -> str:
    """The type that the file declares: none in particular where something else is among it."""
    kinds = shapely.get_type_id(arrival.shapes)
    usual = shapely.get_type_id(shapely.from_wkt(f"{arrival.geometry.upper()} EMPTY"))
    single = usual - 3 if arrival.geometry.startswith("Multi") else usual
    strange = (kinds != usual) & (kinds != single) & (kinds >= 0)
    if strange.any():
        return "Unknown"
    return f"{arrival.geometry} Z" if arrival.high else arrival.geometry


def _remove(path: Path) -> None:
    """A file of an earlier run would be appended to or complained of."""
    for sidecar in ("", *(".shp", ".shx", ".dbf", ".prj", ".cpg")):
        (path.with_suffix(sidecar) if sidecar else path).unlink(missing_ok=True)
