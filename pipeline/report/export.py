"""Export: the rows a run set aside, under the source's own names, to be corrected and sent back."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pyarrow as pa
import pyogrio
import shapely
from pyproj import CRS

from pipeline.db.engine import Connection
from pipeline.errors import ArrivalError, ResourceError, SettingsError
from pipeline.report import workbook
from pipeline.report.aside import Aside, rows, shapes
from pipeline.report.origin import DRIVERS, EN, FA, FID, LINE, REASONS, SHEET, Origin, crs_of

GEOMETRY = "makan_geometry"
_GPKG = {"FID": FID, "GEOMETRY_NAME": GEOMETRY}


def export(connection: Connection, found: Origin, out: Path, *, closed: bool = False) -> int:
    """Writes the open rows of the run (with ``closed`` all) to ``out``; how many they are.

    GPKG holds the geometry as it arrived, in the CRS it arrived in; XLSX the attributes alone.
    """
    _refuse(found, out)
    chosen = [row for row in rows(connection, found) if closed or row.closed_by is None]
    table = _table(chosen)
    spatial = found.context.layer.geometry is not None and not found.context.feed.source.points
    try:
        with TemporaryDirectory(prefix=".makan-", dir=out.parent) as folder:
            part = Path(folder) / out.name
            if out.suffix.lower() == ".xlsx":
                workbook.write(part, SHEET, table)
            elif spatial:
                write_gpkg(part, table, shapes(chosen), crs_of(found))
            else:
                write_gpkg(part, table, None, None)
            os.replace(part, out)  # noqa: PTH105 - one rename, as the file appears whole
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=str(out), todo="Choose another place."
        ) from None
    return len(chosen)


def _refuse(found: Origin, out: Path) -> None:
    if out.suffix.lower() not in DRIVERS:
        raise SettingsError(f"{out.name} is neither .gpkg nor .xlsx", todo="Choose one of them.")
    if out.exists():
        # It may be what somebody has been correcting for days.
        raise SettingsError("is there already", where=str(out), todo="Choose another name.")
    if found.of is not None:
        raise SettingsError(
            f"run {found.run.id} corrects run {found.of}, under which its rows stay open",
            todo=f"Run `makan quarantine {found.of}`.",
        )


def write_gpkg(path: Path, table: pa.Table, drawn: Any, crs: CRS | None) -> None:
    """``table`` as the only layer of a new GeoPackage; ``drawn`` are its geometries, if any."""
    told: dict[str, Any] = {"layer": SHEET, "driver": "GPKG", "layer_options": _GPKG}
    if drawn is not None:
        column = pa.array(shapely.to_wkb(drawn), type=pa.binary())
        table = table.append_column(GEOMETRY, column)
        told |= {"geometry_name": GEOMETRY, "geometry_type": "Unknown"}
        told |= {"crs": None if crs is None else _crs_text(crs)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pyogrio.write_arrow(table, path, **told)
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise ArrivalError(
            f"its rows make no GeoPackage ({said})", where=path.name, todo="Choose .xlsx."
        ) from None


def _crs_text(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt()


def _table(chosen: Sequence[Aside]) -> pa.Table:
    names = list(dict.fromkeys(name for row in chosen for name in row.raw))
    columns = {
        LINE: pa.array([row.line for row in chosen], type=pa.int64()),
        REASONS: pa.array([" ".join(row.reasons) for row in chosen], type=pa.string()),
        FA: pa.array([" | ".join(row.fa) for row in chosen], type=pa.string()),
        EN: pa.array([" | ".join(row.en) for row in chosen], type=pa.string()),
    }
    columns |= {name: _column([row.raw.get(name) for row in chosen]) for name in names}
    return pa.table(columns)


def _column(values: list[Any]) -> pa.Array:
    """Numbers stay numbers where the whole column is of them; all else is text, digit by digit."""
    kinds = {type(value) for value in values if value is not None}
    exact = all(abs(value) < 2**53 for value in values if isinstance(value, int))
    if kinds and kinds <= {int, float} and exact:
        return pa.array(values, type=pa.int64() if kinds == {int} else pa.float64())
    return pa.array([as_written(value) for value in values], type=pa.string())


def as_written(value: Any) -> str | None:
    """One raw value as a person would have typed it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return orjson.dumps(value).decode()
