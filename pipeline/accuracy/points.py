"""Check points: a CSV with their true coordinates, and those measured in the product."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ArrivalError
from pipeline.terrain import quality
from pipeline.terrain.derived import Model, opened
from pipeline.terrain.grid import Floats, Grid, Tile

_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫", "01234567890123456789.")
_TRUE = (("x", "e", "east"), ("y", "n", "north"))
_HEIGHT = (("z", "h", "height"),)
_SEEN = (("x_measured", "e_measured"), ("y_measured", "n_measured"))
_NAMES = ("name", "id", "point", "nam")


@dataclass(frozen=True, slots=True)
class Points:
    """Names, places (n, 2) and differences, product less truth, (n, 1) or (n, 2), metres."""

    names: list[str]
    places: Floats
    differences: Floats
    left_out: int


def horizontal(path: Path) -> Points:
    """Points with x, y and x_measured, y_measured, all in the city's CRS."""
    names, values = _read(path, (*_TRUE, *_SEEN))
    return Points(names, values[:, :2], values[:, 2:] - values[:, :2], 0)


def vertical(path: Path, model: Path) -> Points:
    """Points with x, y, z against ``model`` (bilinear); those off it are left out."""
    names, values = _read(path, (*_TRUE, *_HEIGHT))
    with opened(model) as found:
        grid = found.grid
        seen = np.array([_height(found, grid, point) for point in values])
    known = np.isfinite(seen)
    if not known.any():
        raise ArrivalError(
            "no point lies on the model", where=path.name, todo="Check the CRS of the points."
        )
    kept = [name for name, good in zip(names, known, strict=True) if good]
    missed = (seen - values[:, 2])[known, None]
    return Points(kept, values[known, :2], missed, int((~known).sum()))


def heights_above(model: Path) -> str | None:
    """The vertical datum that the file names."""
    with opened(model) as found:
        named = found.dataset.tags().get("VERTICAL_DATUM")
    return str(named) if named else None


def _height(model: Model, grid: Grid, point: Floats) -> float:
    """The model's height at a point, NaN where it has none."""
    row, column = (float(value[0]) for value in grid.position(point[None]))
    if not (0 <= row < grid.rows and 0 <= column < grid.columns):
        return float("nan")
    top, left = max(int(row - 1.5), 0), max(int(column - 1.5), 0)
    edges = (top, min(top + 4, grid.rows), left, min(left + 4, grid.columns))
    tile = Tile(*edges, edges)
    return float(quality.at(grid.part(tile), model.read(tile), point[None])[0])


def _read(path: Path, wanted: tuple[tuple[str, ...], ...]) -> tuple[list[str], Floats]:
    try:
        text = path.read_text(encoding="utf-8-sig").translate(_DIGITS)
    except (OSError, UnicodeDecodeError) as error:
        raise ArrivalError(f"cannot be read: {error}", where=str(path)) from None
    lines = text.splitlines() or [""]
    table = csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count))
    heads = {head.strip().lower(): head for head in table.fieldnames or ()}
    columns = []
    for known in wanted:
        found = next((heads[name] for name in known if name in heads), None)
        if found is None:
            raise ArrivalError(f"has no column {' or '.join(known)}", where=path.name)
        columns.append(found)
    label = next((heads[name] for name in _NAMES if name in heads), None)
    names, values = [], []
    for row in table:
        names.append(str(row[label]) if label else str(table.line_num - 1))
        try:
            values.append([float(row[column] or "") for column in columns])
        except ValueError:
            raise ArrivalError(f"line {table.line_num}: not a number", where=path.name) from None
    if not values or not np.isfinite(values).all():
        raise ArrivalError("holds no point, or one that is not finite", where=path.name)
    return names, np.array(values)
