"""Exterior orientation as contractors deliver it: PAT-B, blank-separated columns, CSV, GeoJSON."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pyproj import CRS

from pipeline import geo
from pipeline.errors import ArrivalError
from pipeline.photogrammetry import rotation
from pipeline.photogrammetry.rotation import Unit
from pipeline.terrain.grid import Floats

Form = Literal["patb", "columns", "csv", "geojson"]
_NOT_ORTHONORMAL = 1e-6
_WORDS = re.compile(r"[\s,;]+")
_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
# Column names as programs write them; the first of each that is there is used.
_NAMES = {
    "frame": ("filename", "image", "image_id", "photo", "id", "name", "frame"),
    "x": ("x", "e", "east", "easting", "x0"),
    "y": ("y", "n", "north", "northing", "y0"),
    "z": ("z", "h", "alt", "altitude", "z0"),
    "omega": ("omega", "o", "w"),
    "phi": ("phi", "p"),
    "kappa": ("kappa", "k"),
}


@dataclass(frozen=True, slots=True)
class Orientation:
    """Where frames were taken: names, ``centres`` (n, 3) in ``crs``, ``rotations`` (n, 3, 3) from
    camera to ground, lines of the file, and camera names where the file gives them."""

    names: tuple[str, ...]
    centres: Floats
    rotations: Floats
    lines: tuple[int, ...]
    form: Form
    unit: Unit | None
    crs: CRS | None
    cameras: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows as written: names, positions and angles (n, 3)."""

    names: list[str]
    centres: Floats
    angles: Floats
    lines: list[int]
    cameras: list[str | None]


def read(path: Path, unit: Unit | None, crs: CRS | None) -> Orientation:
    """All frames of ``path``; ``unit`` of the angles, ``crs`` where the file names none.

    Raises ArrivalError, naming frame and line, for what cannot be taken: angles of no declared or
    evident unit, a matrix that is no rotation, a number that is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").translate(_DIGITS)
    except (OSError, UnicodeDecodeError) as error:
        raise ArrivalError(f"cannot be read: {error}", where=str(path)) from None
    form = _form(path, text)
    if form == "patb":
        return _patb(path, text, crs or _beside(path))
    if form == "geojson":
        rows, own = _geojson(path, text)
        return _rotated(path, rows, form, unit or "rad", crs or own)
    rows = _csv(path, text) if form == "csv" else _columns(path, text)
    return _rotated(path, rows, form, _unit(path, rows, unit), crs or _beside(path))


def _form(path: Path, text: str) -> Form:
    if path.suffix.lower() in (".geojson", ".json") or text.lstrip().startswith("{"):
        return "geojson"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ArrivalError("holds no frame", where=path.name)
    if any(_is_head(line) for line in lines[:1]):
        return "csv"
    counts = [len(_WORDS.split(line.strip())) for line in lines[:3]]
    return "patb" if counts in ([4, 5, 4], [5, 5, 4]) else "columns"


def _is_head(line: str) -> bool:
    words = {word.strip().strip('"').lower() for word in _WORDS.split(line.strip())}
    return {"omega", "phi", "kappa"} <= words


def _beside(path: Path) -> CRS | None:
    prj = path.with_suffix(".prj")
    return geo.parse_crs(prj.read_text(encoding="utf-8").strip()) if prj.is_file() else None


def _numbers(path: Path, words: list[str], line: int, frame: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise ArrivalError(f"frame {frame}, line {line}: {error}", where=path.name) from None
    if not np.isfinite(values).all():
        raise ArrivalError(f"frame {frame}, line {line}: a number is not finite", where=path.name)
    return values


def _patb(path: Path, text: str, crs: CRS | None) -> Orientation:
    """Three records a photo: number, X, Y, Z; five terms of the matrix; the other four."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) % 3:
        raise ArrivalError(
            f"PAT-B has three lines a photo, this file {len(lines)}: the last is cut off",
            where=path.name,
        )
    names, centres, terms, at = [], [], [], []
    for first in range(0, len(lines), 3):
        (line, head), (_, upper), (_, lower) = lines[first : first + 3]
        words = _WORDS.split(head.strip())
        names.append(words[0])
        centres.append(_numbers(path, words[-3:], line, words[0]))
        rest = _WORDS.split(upper.strip()) + _WORDS.split(lower.strip())
        terms.append(_numbers(path, rest, line, words[0]))
        at.append(line)
        if len(rest) != 9:
            raise ArrivalError(f"frame {words[0]}, line {line}: no nine terms", where=path.name)
    rotations = np.array(terms).reshape(-1, 3, 3)
    apart = rotation.apart_from_orthonormal(rotations)
    wrong = int(apart.argmax())
    if apart[wrong] > _NOT_ORTHONORMAL:
        raise ArrivalError(
            f"frame {names[wrong]}, line {at[wrong]}: the matrix is no rotation "
            f"(RR' differs from I by {apart[wrong]:.2g})",
            todo="Nothing was loaded; ask for the file again.",
            where=path.name,
        )
    cameras = (None,) * len(names)
    place = np.array(centres)
    return Orientation(tuple(names), place, rotations, tuple(at), "patb", None, crs, cameras)


def _columns(path: Path, text: str) -> _Rows:
    """name X Y Z omega phi kappa, separated by blanks; lines with # are comments."""
    rows = _Rows([], np.empty(0), np.empty(0), [], [])
    values = []
    for number, line in enumerate(text.splitlines(), 1):
        words = _WORDS.split(line.strip())
        if not line.strip() or line.startswith("#"):
            continue
        if len(words) < 7:
            raise ArrivalError(
                f"line {number} has {len(words)} columns",
                where=path.name,
                todo="Needed are: name X Y Z omega phi kappa.",
            )
        rows.names.append(words[0])
        rows.lines.append(number)
        rows.cameras.append(None)
        values.append(_numbers(path, words[-6:], number, words[0]))
    return _with(rows, np.array(values))


def _with(rows: _Rows, values: Floats) -> _Rows:
    return _Rows(rows.names, values[:, :3], values[:, 3:6], rows.lines, rows.cameras)


def _csv(path: Path, text: str) -> _Rows:
    separator = max(",;\t", key=text.splitlines()[0].count)
    table = csv.DictReader(text.splitlines(), delimiter=separator)
    heads = {head.strip().lower(): head for head in table.fieldnames or ()}
    columns = {}
    for term, known in _NAMES.items():
        found = next((heads[name] for name in known if name in heads), None)
        if found is None:
            raise ArrivalError(
                f"has no column for {term}",
                where=path.name,
                todo=f"It may be called {', '.join(known)}.",
            )
        columns[term] = found
    rows = _Rows([], np.empty(0), np.empty(0), [], [])
    values = []
    for row in table:
        name = str(row[columns["frame"]]).strip()
        words = [str(row[columns[term]] or "") for term in list(_NAMES)[1:]]
        rows.names.append(name)
        rows.lines.append(table.line_num)
        camera = row.get(heads.get("camera", ""))
        rows.cameras.append(str(camera).strip() if camera else None)
        values.append(_numbers(path, words, table.line_num, name))
    if not values:
        raise ArrivalError("holds no frame", where=path.name)
    return _with(rows, np.array(values))


def _geojson(path: Path, text: str) -> tuple[_Rows, CRS | None]:
    """Orthority's exterior parameters: xyz in ``world_crs``, opk in radians."""
    try:
        document: Any = json.loads(text)
        features = [feature["properties"] for feature in document["features"]]
        names = [str(given["filename"]) for given in features]
        values = np.array([[*given["xyz"], *given["opk"]] for given in features], np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise ArrivalError(
            f"is no GeoJSON of exterior orientation ({error!r})",
            where=path.name,
            todo="Each feature needs filename, xyz and opk in its properties.",
        ) from None
    own = geo.parse_crs(str(document["world_crs"])) if "world_crs" in document else None
    cameras = [str(given["camera"]) if given.get("camera") else None for given in features]
    return _with(_Rows(names, values, values, [*range(1, len(names) + 1)], cameras), values), own


def _unit(path: Path, rows: _Rows, unit: Unit | None) -> Unit:
    """The declared unit, if the angles can be of it. Raises ArrivalError if not, or if none is."""
    seen = rotation.suggested(rows.angles)
    if unit is None:
        likely = f"they look like {seen}" if seen else "they do not tell"
        raise ArrivalError(
            f"the unit of the angles is not declared; {likely}",
            where=path.name,
            todo="Give --angles deg, grad or rad.",
        )
    if not rotation.believable(rows.angles, unit) or (seen is not None and seen != unit):
        worst = int(np.abs(rows.angles[:, :2]).max(axis=1).argmax())
        likely = f"; they look like {seen}" if seen else ""
        raise ArrivalError(
            f"the angles are not of a vertical flight in {unit} (frame {rows.names[worst]}, "
            f"line {rows.lines[worst]}){likely}",
            where=path.name,
            todo="Check --angles, and whether the order is omega, phi, kappa.",
        )
    return unit


def _rotated(path: Path, rows: _Rows, form: Form, unit: Unit, crs: CRS | None) -> Orientation:
    if not rotation.believable(rows.angles, unit):
        raise ArrivalError(f"the angles are not of a vertical flight in {unit}", where=path.name)
    rotations = rotation.matrices(rows.angles * rotation.TO_RADIANS[unit])
    names, lines, cameras = tuple(rows.names), tuple(rows.lines), tuple(rows.cameras)
    return Orientation(names, rows.centres, rotations, lines, form, unit, crs, cameras)
