"""Cameras: focal length, pixels, distortion; read from YAML as orthority and OpenSfM write it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from pipeline.errors import ArrivalError
from pipeline.terrain.grid import Floats

_TERMS = ("k1", "k2", "p1", "p2", "k3")


@dataclass(frozen=True, slots=True)
class Camera:
    """A frame camera. ``focal`` and ``pitch`` (of a pixel, across and down) in millimetres;
    ``centre`` is the principal point in pixels from the middle, right and down; ``distortion``
    is Brown's k1, k2, p1, p2, k3 for x/f, y/f (as OpenCV has them)."""

    name: str
    columns: int
    rows: int
    focal: float
    pitch: tuple[float, float]
    centre: tuple[float, float] = (0.0, 0.0)
    distortion: tuple[float, ...] = field(default=(0.0,) * 5)

    @property
    def focal_pixels(self) -> tuple[float, float]:
        """Focal length in pixels, across and down."""
        return self.focal / self.pitch[0], self.focal / self.pitch[1]

    @property
    def is_distorted(self) -> bool:
        """Whether the lens bends anything."""
        return any(self.distortion)

    @property
    def matrix(self) -> Floats:
        """OpenCV's camera matrix; pixel centres are whole numbers."""
        fx, fy = self.focal_pixels
        cx = (self.columns - 1) / 2 + self.centre[0]
        cy = (self.rows - 1) / 2 + self.centre[1]
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])

    def pixels(self, direction: Floats) -> Floats:
        """Column and row (n, 2) of x/f right and y/f down (n, 2)."""
        bent = self._bent(direction) if self.is_distorted else direction
        matrix = self.matrix
        return bent * matrix.diagonal()[:2] + matrix[:2, 2]

    def directions(self, pixels: Floats) -> Floats:
        """x/f right and y/f down (n, 2) of column and row (n, 2)."""
        matrix = self.matrix
        if not self.is_distorted:
            return np.asarray((pixels - matrix[:2, 2]) / matrix.diagonal()[:2])
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-12)
        lens = np.asarray(self.distortion)
        points = np.ascontiguousarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
        found = cv2.undistortPoints(points, matrix, lens, criteria=criteria)
        return np.asarray(found, dtype=np.float64).reshape(-1, 2)

    def _bent(self, direction: Floats) -> Floats:
        k1, k2, p1, p2, k3 = self.distortion
        x, y = direction.T
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.column_stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ]
        )


def read(path: Path) -> dict[str, Camera]:
    """The cameras of a YAML file by name; ArrivalError says what is missing.

    Either one mapping of ``im_size, focal_len, sensor_size`` (pixels, mm, mm) with ``cx, cy``
    (share of the longer side) and Brown's terms, or several, each below its name.
    """
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArrivalError(f"no camera file: {error}", where=str(path)) from None
    if not isinstance(found, dict):
        raise ArrivalError("no camera file: no names in it", where=str(path))
    named = {path.stem: found} if "focal_len" in found else found
    return {str(name): _camera(str(name), terms, path) for name, terms in named.items()}


def _camera(name: str, terms: Any, path: Path) -> Camera:
    try:
        columns, rows = (int(value) for value in terms["im_size"])
        focal = float(terms["focal_len"])
        width, height = (float(value) for value in terms["sensor_size"])
        kind = str(terms.get("type", "pinhole"))
        centre = [float(terms.get(term, 0.0)) * max(columns, rows) for term in ("cx", "cy")]
        lens = tuple(float(terms.get(term, 0.0)) for term in _TERMS)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArrivalError(
            f"camera {name}: {error!r} is missing or no number",
            where=path.name,
            todo="Needed are im_size (pixels), focal_len (mm) and sensor_size (mm).",
        ) from None
    if kind not in ("pinhole", "brown", "opencv"):
        raise ArrivalError(
            f"camera {name} is a {kind}", where=path.name, todo="Taken are pinhole and brown."
        )
    if min(columns, rows, focal, width, height) <= 0:
        raise ArrivalError(f"camera {name}: a size is not above zero", where=path.name)
    pitch = (width / columns, height / rows)
    return Camera(name, columns, rows, focal, pitch, (centre[0], centre[1]), lens)
