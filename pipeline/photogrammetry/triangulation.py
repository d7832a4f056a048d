"""Aerial triangulation: measurements and control points read, and what came of it, ours or a
contractor's: sigma 0, the points with their residuals, check points."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from pipeline.errors import ArrivalError
from pipeline.photogrammetry import adjust, table
from pipeline.photogrammetry.adjust import Adjusted, Observed, Precision
from pipeline.photogrammetry.camera import Camera
from pipeline.photogrammetry.collinear import Pose
from pipeline.photogrammetry.table import Table
from pipeline.terrain.grid import Floats

Kind = Literal["tie", "control", "check"]
#: Check points below which ASPRS 2023 makes no statement.
ENOUGH = 30

_POINT = ("point", "point_id", "id", "name", "pt")
_FRAME = ("frame", "image", "photo", "filename", "image_id")
_PLACE = {"x": ("x", "e", "east"), "y": ("y", "n", "north"), "z": ("z", "h", "height")}
_PIXELS = {"column": ("column", "col", "px", "u"), "row": ("row", "line", "py", "v")}
_PHOTO = {"x_mm": ("x_mm", "xmm"), "y_mm": ("y_mm", "ymm")}
_RESIDUALS = {"vx": ("vx", "dx", "rx"), "vy": ("vy", "dy", "ry"), "vz": ("vz", "dz", "rz")}
_SIGMA = re.compile(
    r"sigma[\s_-]*(?:0|o|zero|naught|nought)\b[^\d\n]{0,40}?(\d+(?:\.\d+)?)\s*(um|µm|μm|micron\w*|mm|pix\w*|px)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Result:
    """A triangulated block. ``places`` (n, 3); ``residuals`` (n, 3), adjusted less given, NaN for
    ties; ``rays`` (n,) images a point, -1 where it is not told; ``sigma0_um`` in the image."""

    software: str
    sigma0_um: float | None
    frames: int | None
    points: tuple[str, ...]
    kinds: tuple[Kind, ...]
    places: Floats
    residuals: Floats
    rays: tuple[int, ...]
    gross: int | None = None

    def of(self, kind: Kind) -> Floats:
        """The residuals of the points of a kind, those without left out."""
        chosen = np.array([k == kind for k in self.kinds])
        found = self.residuals[chosen]
        return np.asarray(found[np.isfinite(found).any(axis=1)])

    def rmse(self, kind: Kind) -> tuple[float | None, float | None, float | None]:
        """Of each axis, None where no point has that coordinate."""
        found = self.of(kind)
        known = [axis[np.isfinite(axis)] for axis in found.T]
        x, y, z = (float(np.sqrt((v**2).mean())) if len(v) else None for v in known)
        return x, y, z

    @property
    def is_enough(self) -> bool:
        """Whether there are as many check points as ASPRS 2023 asks for."""
        return len(self.of("check")) >= ENOUGH


def control(path: Path) -> Table:
    """Known points: point, x, y, z and, if given, kind (control or check), sigma_xy, sigma_z."""
    more = {
        "kind": ("kind", "type"), "sigma_xy": ("sigma_xy", "sxy"), "sigma_z": ("sigma_z", "sz"),
    }  # fmt: skip
    return table.read(path, {"point": _POINT, **_PLACE}, more)


def measured(path: Path, cameras: dict[str, Camera]) -> tuple[list[str], list[str], Floats]:
    """Frame, point and pixels (k, 2) of image measurements: column and row, or mm from the
    principal point (x right, y up), for which the ``cameras`` must be of one kind."""
    found = table.read(path, {"frame": _FRAME, "point": _POINT}, {**_PIXELS, **_PHOTO})
    names = found.columns
    if {"column", "row"} <= names.keys():
        pixels = np.column_stack([found.numbers("column"), found.numbers("row")])
    elif {"x_mm", "y_mm"} <= names.keys():
        camera = next(iter(cameras.values()))
        flat = np.column_stack([found.numbers("x_mm"), -found.numbers("y_mm")])
        pixels = flat / np.array(camera.pitch) + camera.matrix[:2, 2]
    else:
        raise ArrivalError(
            "has neither pixels (column, row) nor photo coordinates (x_mm, y_mm)", where=path.name
        )
    empty = np.flatnonzero(~np.isfinite(pixels).all(axis=1))
    if len(empty):
        raise found.wrong(int(empty[0]), "a measurement is missing")
    return found.texts("frame"), found.texts("point"), pixels


def _kinds(given: Table, default: Kind) -> list[Kind]:
    kinds: list[Kind] = []
    for index, text in enumerate(given.texts("kind")):
        name = text.lower() or default
        if name not in get_args(Kind):
            raise given.wrong(index, f"{text!r} is none of {', '.join(get_args(Kind))}")
        kinds.append(name)  # type: ignore[arg-type]
    return kinds


def solve(
    poses: dict[str, Pose],
    measurements: Path,
    known: Path,
    precision: Precision,
    sigma: tuple[float, float],
) -> tuple[Result, Adjusted]:
    """Adjusts the block; ``sigma`` of control points (horizontal, vertical) where the file names
    none. Points that are neither known nor in two frames are left out."""
    first = next(iter(poses.values()))
    frames, points, pixels = measured(measurements, {"": first.camera})
    unknown = sorted(set(frames) - poses.keys())
    if unknown:
        raise ArrivalError(
            f"measures in frames without orientation: {', '.join(unknown[:5])}",
            where=measurements.name,
        )
    given = control(known)
    kinds = dict(zip(given.texts("point"), _kinds(given, "control"), strict=True))
    names, of = _usable(points, frames, kinds)
    kept = np.array([name in of for name in points])
    order = {name: n for n, name in enumerate(poses)}
    observed = Observed(
        names,
        np.array([order[name] for name in frames])[kept],
        np.array([of[name] for name in points if name in of]),
        pixels[kept],
        *_coordinates(given, kinds, names, sigma),
    )
    found = adjust.adjust(list(poses.values()), observed, precision)
    kind: tuple[Kind, ...] = tuple(kinds.get(name, "tie") for name in names)
    rays = tuple(np.bincount(observed.point, found.weights > 0, len(names)).astype(int).tolist())
    micrometres = found.sigma0_px * first.camera.pitch[0] * 1000
    gross = int((found.weights == 0).sum())
    apart = found.places - observed.known
    return Result(
        "makan", micrometres, len(poses), names, kind, found.places, apart, rays, gross
    ), found


def _usable(
    points: list[str], frames: list[str], kinds: dict[str, Kind]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Points that can be determined, in the order of their names, and their numbers."""
    seen: dict[str, set[str]] = {}
    for point, frame in zip(points, frames, strict=True):
        seen.setdefault(point, set()).add(frame)
    names = tuple(
        sorted(name for name, on in seen.items() if len(on) > 1 or kinds.get(name) == "control")
    )
    return names, {name: n for n, name in enumerate(names)}


def _coordinates(
    given: Table, kinds: dict[str, Kind], names: tuple[str, ...], sigma: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Known coordinates (n, 3) of ``names``, and the sigma by which they hold the block."""
    at = {name: n for n, name in enumerate(given.texts("point"))}
    places = np.column_stack([given.numbers(axis) for axis in "xyz"])
    plane, height = given.numbers("sigma_xy"), given.numbers("sigma_z")
    own = np.column_stack([plane, plane, height])
    own = np.where(np.isfinite(own), own, [sigma[0], sigma[0], sigma[1]])
    known, held = np.full((len(names), 3), np.nan), np.full((len(names), 3), np.inf)
    for number, name in enumerate(names):
        if name in at:
            known[number] = places[at[name]]
            if kinds[name] == "control":
                held[number] = np.where(np.isfinite(known[number]), own[at[name]], np.inf)
    return known, held


def delivered(points: Path, listing: Path | None, software: str, sigma0: float | None) -> Result:
    """A contractor's result: the points with coordinates and residuals, sigma 0 as it is given (um)
    or as the ``listing`` of his program tells it."""
    more = {"kind": ("kind", "type"), "rays": ("rays", "images", "photos"), **_RESIDUALS}
    found = table.read(points, {"point": _POINT, **_PLACE}, more)
    places = np.column_stack([found.numbers(axis) for axis in "xyz"])
    residuals = np.column_stack([found.numbers(axis) for axis in ("vx", "vy", "vz")])
    rays = np.nan_to_num(found.numbers("rays"), nan=-1).astype(int)
    if sigma0 is None and listing is not None:
        sigma0 = _listed(listing)
    kinds = tuple(_kinds(found, "tie"))
    names = tuple(found.texts("point"))
    return Result(software, sigma0, None, names, kinds, places, residuals, tuple(rays.tolist()))


def _listed(listing: Path) -> float:
    """Sigma 0 in micrometres, as a program's listing tells it last."""
    try:
        text = listing.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ArrivalError(f"cannot be read: {error}", where=str(listing)) from None
    told = _SIGMA.findall(text)
    if not told:
        raise ArrivalError("tells no sigma 0", where=listing.name, todo="Give --sigma0.")
    number, unit = told[-1]
    if unit.lower().startswith("p"):
        raise ArrivalError(
            f"tells sigma 0 in pixels ({number})", where=listing.name, todo="Give --sigma0 in um."
        )
    return float(number) * (1000 if unit.lower() == "mm" else 1)
