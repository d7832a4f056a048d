"""The collinearity equations: ground to pixel, and pixel to ground along its ray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyproj import CRS

from pipeline.photogrammetry.camera import Camera
from pipeline.photogrammetry.ground import Ground
from pipeline.terrain.grid import Floats

_STEPS = 30


@dataclass(frozen=True, slots=True)
class Pose:
    """One frame in space: projection centre (3,) in ``crs``, rotation (3, 3), camera."""

    centre: Floats
    rotation: Floats
    camera: Camera
    crs: CRS

    def pixels(self, ground: Floats) -> Floats:
        """Column and row (n, 2) of ground points (n, 3); NaN behind the camera."""
        x, y, z = (self.rotation.T @ (ground - self.centre).T).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(z < 0, -z, np.nan)
            direction = np.column_stack([x / depth, -y / depth])
        return self.camera.pixels(direction)

    def rays(self, pixels: Floats) -> Floats:
        """Directions to the ground (n, 3) of column and row (n, 2), one downwards."""
        right, down = self.camera.directions(pixels).T
        turned = self.rotation @ np.stack([right, -down, -np.ones_like(right)])
        return np.asarray((turned / -turned[2]).T)

    def onto(self, pixels: Floats, ground: Ground, tolerance: float) -> Floats:
        """Where rays of ``pixels`` meet the ground, (n, 3); NaN where it has no height there.

        Each step takes the height below the last meeting point; half the step where it swings.
        """
        rays = self.rays(pixels)
        z = np.full(len(rays), ground.mean)
        step = np.full(len(rays), np.inf)
        for _ in range(_STEPS):
            x, y = self._at(rays, z)
            below = ground.heights(x, y, self.crs)
            move = below - z
            swings = (np.sign(move) != np.sign(step)) & (np.abs(move) > 0.5 * np.abs(step))
            move = np.where(swings & np.isfinite(step), move / 2, move)
            z, step = z + move, move
            if not np.nanmax(np.abs(move), initial=0.0) > tolerance:
                break
        return np.column_stack([*self._at(rays, z), z])

    def _at(self, rays: Floats, z: Floats) -> tuple[Floats, Floats]:
        down = self.centre[2] - z
        return self.centre[0] + rays[:, 0] * down, self.centre[1] + rays[:, 1] * down

    def border(self, per_side: int) -> Floats:
        """Columns and rows along the image's outer edge, in order, not closed."""
        last = np.array([self.camera.columns, self.camera.rows])
        share = np.arange(per_side) / per_side
        zero, one = np.zeros(per_side), np.ones(per_side)
        around = [(share, zero), (one, share), (1 - share, one), (zero, 1 - share)]
        sides = [np.column_stack(side) for side in around]
        return np.asarray(np.vstack(sides) * last - 0.5)
