"""A flight over a ground and a picture that are known everywhere: frames with exact truth.

The picture is a field of blobs at known places. A frame is rendered by following each pixel's ray
to the ground by bisection, with a few lines of geometry of its own: nothing of the product's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

EAST, NORTH = 488_600.0, 3_833_000.0
FOCAL_MM, PITCH_MM = 120.0, 0.012
_STEP, _SIGMA = 12.0, 0.2  # of the blobs, in m
_BASE = 60


@dataclass(frozen=True)
class Shot:
    """A frame: projection centre, omega, phi, kappa in degrees, columns and rows; k1, k2."""

    name: str
    centre: tuple[float, float, float]
    angles: tuple[float, float, float]
    size: tuple[int, int]
    lens: tuple[float, float] = (0.0, 0.0)


def ground(east: Any, north: Any) -> Any:
    """Heights in m: hills of 12 m each way, 930 m on average."""
    x, y = (east - EAST) / 130, (north - NORTH) / 110
    return 930 + 12 * np.sin(x) * np.cos(y) + 0.02 * (east - EAST)


def places(east: Any, north: Any) -> tuple[Any, Any]:
    """The blob nearest to each point: a lattice of 12 m, each moved by up to 3 m."""
    i, j = np.floor((east - EAST) / _STEP), np.floor((north - NORTH) / _STEP)
    x = EAST + (i + 0.5) * _STEP + 3 * np.sin(12.9898 * i + 78.233 * j)
    y = NORTH + (j + 0.5) * _STEP + 3 * np.cos(39.346 * i + 11.135 * j)
    return x, y


def picture(east: Any, north: Any) -> Any:
    """Grey levels of the ground."""
    x, y = places(east, north)
    away = ((east - x) ** 2 + (north - y) ** 2) / (2 * _SIGMA**2)
    return _BASE + 180 * np.exp(-away)


def rotation(angles: tuple[float, float, float]) -> Any:
    """Camera to ground, of omega, phi, kappa in degrees: the three turns one after another."""
    (so, sp, sk), (co, cp, ck) = np.sin(np.radians(angles)), np.cos(np.radians(angles))
    about_x = np.array([[1, 0, 0], [0, co, -so], [0, so, co]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[ck, -sk, 0], [sk, ck, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def render(shot: Shot, path: Path) -> Path:
    """The frame as a TIFF of three like bands."""
    columns, rows = shot.size
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    x = (column - (columns - 1) / 2) * PITCH_MM / FOCAL_MM
    y = -(row - (rows - 1) / 2) * PITCH_MM / FOCAL_MM
    x, y = _straight(x, y, shot.lens)
    turn = rotation(shot.angles)
    ray = [turn[k, 0] * x + turn[k, 1] * y - turn[k, 2] for k in range(3)]
    low, high = ((shot.centre[2] - z) / -ray[2] for z in (1000.0, 860.0))
    for _ in range(36):
        middle = (low + high) / 2
        east, north, z = (shot.centre[k] + ray[k] * middle for k in range(3))
        above = z > ground(east, north)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    grey = np.rint(picture(east, north)).astype(np.uint8)
    profile = {"driver": "GTiff", "count": 3, "width": columns, "height": rows, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as written:
        for band in (1, 2, 3):
            written.write(grey, band)
    return path


def _straight(x: Any, y: Any, lens: tuple[float, float]) -> tuple[Any, Any]:
    """Undoes k1 and k2 by repeated substitution."""
    u, v = x, y
    for _ in range(40):
        r2 = u * u + v * v
        radial = 1 + lens[0] * r2 + lens[1] * r2 * r2
        u, v = x / radial, y / radial
    return u, v


def write_model(path: Path, cell: float = 1.0, side: float = 700.0) -> Path:
    """The ground as an elevation model round the origin."""
    count = round(2 * side / cell)
    at = (np.arange(count) + 0.5) * cell - side
    z = ground(*np.meshgrid(EAST + at, NORTH - at)).astype(np.float32)
    place = Affine(cell, 0, EAST - side, 0, -cell, NORTH + side)
    profile = {"driver": "GTiff", "count": 1, "width": count, "height": count, "dtype": "float32"}
    with rasterio.open(path, "w", crs="EPSG:32639", transform=place, **profile) as written:
        written.write(z, 1)
    return path


def write_camera(path: Path, shot: Shot) -> Path:
    """The camera of a shot, as YAML."""
    columns, rows = shot.size
    sensor = [columns * PITCH_MM, rows * PITCH_MM]
    lens = f"type: brown\nk1: {shot.lens[0]}\nk2: {shot.lens[1]}\n" if any(shot.lens) else ""
    text = f"im_size: [{columns}, {rows}]\nfocal_len: {FOCAL_MM}\nsensor_size: {sensor}\n{lens}"
    path.write_text(text, encoding="utf-8")
    return path


def missed(path: Path, half: int = 8) -> Any:
    """How far blobs of an orthophoto are from their true places, (n, 2) in cells, by centroids."""
    with rasterio.open(path) as dataset:
        grey = dataset.read(1).astype(np.float64)
        valid = dataset.read_masks(1) > 0
        place = dataset.transform
    rows, columns = np.indices(grey.shape)
    east, north = place @ (columns + 0.5, rows + 0.5)
    x, y = (np.asarray(v) for v in places(east, north))
    known = np.unique(np.column_stack([x[valid], y[valid]]), axis=0)
    found = []
    for true in known:
        column, row = (float(v) - 0.5 for v in ~place @ (true[0], true[1]))
        r, c = round(row), round(column)
        here = np.s_[r - half : r + half + 1, c - half : c + half + 1]
        if min(r, c) < half or valid[here].shape != (2 * half + 1,) * 2 or not valid[here].all():
            continue
        # A blob next to the seam of its lattice cell is cut off: it has no centroid.
        if len(np.unique(x[here])) > 1:
            continue
        light = grey[here] - _BASE
        down, right = np.indices(light.shape) - half
        found.append(
            [
                (right * light).sum() / light.sum() - (column - c),
                (down * light).sum() / light.sum() - (row - r),
            ]
        )
    return np.array(found)
