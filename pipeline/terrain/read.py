"""Reads contours, spot heights and breaklines from the files that surveyors send."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio.raw
import shapely
from pyproj import CRS

from pipeline import geo, text
from pipeline.contracts.city import City
from pipeline.errors import ArrivalError
from pipeline.findings import Finding
from pipeline.geo import Geometries
from pipeline.terrain.grid import Floats
from pipeline.terrain.survey import Survey

# Names of a height column, as surveyors and programs write them, in order of trust.
_HEIGHTS = ("elev", "elevation", "height", "contour", "ertefa", "ارتفاع", "z", "h")
_EAST, _NORTH = "x,e,east,easting,lon", "y,n,north,northing,lat"
_NUMBER = r"^[+-]?[0-9]*\.?[0-9]+$"
_NO_LINES: Geometries = np.empty(0, dtype=object)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a survey; ``crs`` for those that name none, ``column`` of heights if given."""

    layer: str
    contours: Path | None = None
    spots: Path | None = None
    breaklines: Path | None = None
    crs: CRS | None = None
    column: str | None = None

    @property
    def paths(self) -> list[Path]:
        """Those that are given."""
        given = (self.contours, self.spots, self.breaklines)
        return [path for path in given if path is not None]


def read(files: Files, city: City) -> tuple[Survey, list[Finding]]:
    """The survey in the city's CRS, and what was found; bad rows are left out and told.

    Raises ArrivalError for a file that cannot be read, has no height or no CRS.
    """
    findings: list[Finding] = []
    contours, levels = _lines(files, files.contours, city, findings)
    breaklines, _ = _lines(files, files.breaklines, city, findings, flat=True)
    spots = np.empty((0, 3))
    if files.spots is not None:
        shapes, heights = _read(files, files.spots, city, findings)
        points = shapely.get_type_id(shapes) == geo.TYPES["Point"]
        findings += _left_out(files, files.spots, int((~points).sum()), "not a point")
        spots = np.column_stack([shapely.get_coordinates(shapes[points]), heights[points]])
    if not len(contours) and not len(spots):
        raise ArrivalError("there is no height to make a surface of", where=_names(files))
    return Survey(contours, levels, breaklines, spots), findings


def _names(files: Files) -> str:
    return ", ".join(path.name for path in files.paths)


def _lines(
    files: Files, path: Path | None, city: City, findings: list[Finding], *, flat: bool = False
) -> tuple[Geometries, Floats]:
    """Single lines and a height each; ``flat``: lines without one are taken, for their course."""
    if path is None:
        return _NO_LINES, np.empty(0)
    shapes, heights = _read(files, path, city, findings, flat=flat)
    parts, row = shapely.get_parts(shapes, return_index=True)
    rings = shapely.get_type_id(parts) == geo.TYPES["Polygon"]
    parts[rings] = shapely.get_exterior_ring(parts[rings])
    lines = np.isin(shapely.get_type_id(parts), (1, 2))
    findings += _left_out(files, path, int((~lines).sum()), "not a line")
    return parts[lines], heights[row][lines]


def _read(
    files: Files, path: Path, city: City, findings: list[Finding], *, flat: bool = False
) -> tuple[Geometries, Floats]:
    """Geometries in the city's CRS and their heights; rows outside belief are told, left out."""
    shapes, columns, crs = _open(path)
    crs = _agreed(path, crs, files.crs)
    heights = _heights(path, shapes, columns, files.column, flat=flat)
    shapes = _moved(shapes, crs, city.crs)
    inside = geo.within(shapes, city.extent.bounds) & ~shapely.is_empty(shapes)
    if len(shapes) and not inside.any():
        raise ArrivalError(
            f"no row of it lies in the city, read in {crs.name}",
            where=path.name,
            todo="Declare the right CRS with --crs, or choose the city with MAKAN_CITY.",
        )
    findings += _left_out(files, path, int((~inside).sum()), "outside the city's extent")
    lost = np.zeros(len(shapes), dtype=bool) if flat else inside & ~np.isfinite(heights)
    findings += _left_out(files, path, int(lost.sum()), "without a height")
    low, high = city.heights.min, city.heights.max
    unlikely = inside & ((heights < low) | (heights > high))
    reason = f"height not between {low:g} and {high:g} m"
    findings += _left_out(files, path, int(unlikely.sum()), reason)
    good = inside & ~lost & ~unlikely
    return shapes[good], heights[good]


def _moved(shapes: Geometries, crs: CRS, target: CRS) -> Geometries:
    """``shapes`` in ``target``, heights in their coordinates as they are; 0 everywhere is none."""
    move = geo.transformer(crs, target)

    def moved(points: Floats) -> Floats:
        east, north = move.transform(points[:, 0], points[:, 1])
        z = points[:, 2] if points[:, 2].any() else np.full(len(points), np.nan)
        return np.column_stack([east, north, z])

    return np.asarray(shapely.transform(shapes, moved, include_z=True))


def _left_out(files: Files, path: Path, count: int, reason: str) -> list[Finding]:
    if not count:
        return []
    return [
        Finding("terrain.left_out", files.layer, key=path.name, value=str(count), detail=reason)
    ]


def _open(path: Path) -> tuple[Geometries, dict[str, Any], CRS | None]:
    if not path.is_file():
        raise ArrivalError("no such file", where=str(path), todo="Check the path.")
    place: Any = f"/vsizip/{path.resolve()}" if path.suffix.lower() == ".zip" else path
    options: dict[str, Any] = {}
    if path.suffix.lower() in (".csv", ".txt"):
        options = {"X_POSSIBLE_NAMES": _EAST, "Y_POSSIBLE_NAMES": _NORTH}
        options["AUTODETECT_TYPE"] = "YES"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta, _, wkb, fields = pyogrio.raw.read(place, **options)
    except (RuntimeError, ValueError, OSError) as error:
        raise ArrivalError(f"cannot be read: {error}", where=str(path)) from None
    if wkb is None:
        raise ArrivalError(
            "has no geometry",
            where=path.name,
            todo="A table of points needs the columns x and y (or east and north).",
        )
    shapes = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"))
    shapes[shapely.is_missing(shapes)] = shapely.Point()
    crs = geo.parse_crs(meta["crs"]) if meta["crs"] else None
    return shapes, dict(zip(meta["fields"], fields, strict=True)), crs


def _agreed(path: Path, own: CRS | None, declared: CRS | None) -> CRS:
    crs = own or declared
    if crs is None:
        raise ArrivalError("names no CRS", where=path.name, todo="Declare it with --crs EPSG:n.")
    return crs.sub_crs_list[0] if crs.is_compound else crs


def _heights(
    path: Path, shapes: Geometries, columns: dict[str, Any], column: str | None, *, flat: bool
) -> Floats:
    """A height each: of the named column, of one that is called so, or of the coordinates."""
    name = column if column in columns else _called(columns) if column is None else None
    if name is not None:
        return _numbers(columns[name])
    points, row = shapely.get_coordinates(shapes, include_z=True, return_index=True)
    if np.isfinite(points[:, 2]).any() and points[:, 2].any():
        total = np.bincount(row, points[:, 2], len(shapes))
        return np.asarray(total / np.maximum(np.bincount(row, minlength=len(shapes)), 1))
    if flat:
        return np.full(len(shapes), np.nan)
    known = ", ".join(columns) or "none"
    raise ArrivalError(
        f"has no height: no z in its coordinates, and its columns are {known}",
        where=path.name,
        todo="Name the column with --column.",
    )


def _called(columns: dict[str, Any]) -> str | None:
    lower = {name.lower(): name for name in columns}
    return next((lower[name] for name in _HEIGHTS if name in lower), None)


def _numbers(values: Any) -> Floats:
    """A column as numbers, also when it is text with Persian digits; NaN where it is none."""
    try:
        return np.asarray(values, dtype=np.float64)
    except ValueError:
        written = text.number_text(pa.array(values, pa.string()))
        plain = pc.if_else(pc.match_substring_regex(written, _NUMBER), written, None)
        numbers = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(numbers, dtype=np.float64)
