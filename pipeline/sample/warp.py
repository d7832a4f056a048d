"""From the drawing board to the ground: a smooth displacement that bends straight streets.

The city is laid out on a board with straight streets (metres east and north of the origin) and
every vertex then goes through ``Ground.place``. The displacement is the curl of a potential, so it
keeps areas nearly; its gradient stays below 1, so nothing folds over; and it is exactly zero near
the origin, so that the fixture's coordinates are the same in every city.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.sample.arrays import Floats

ORIGIN = (488_600.0, 3_833_100.0)
"""East and north (EPSG:32639, metres) of the board's origin: the south-west corner of parcel P7."""

STILL_RADIUS_M = 160.0
"""Within this distance of the origin the ground is the board."""


def ramp(distance: Floats, start: float, end: float) -> Floats:
    """0 up to ``start``, 1 from ``end``, between them smooth with two derivatives."""
    t = np.clip((distance - start) / (end - start), 0.0, 1.0)
    return np.asarray(t**3 * (10.0 - 15.0 * t + 6.0 * t * t), dtype=np.float64)


@dataclass(frozen=True)
class Waves:
    """A sum of plane waves, shown only where both masks are open.

    ``kx``, ``ky`` (radians per metre) and ``phase`` are (waves,); ``grow`` is the distance from the
    origin (m) at which the mask is fully open; ``around`` limits it to x, y, radius (m).
    """

    kx: Floats
    ky: Floats
    phase: Floats
    grow: float
    around: tuple[float, float, float] | None = None
    amplitude: float = 1.0

    def potential(self, x: Floats, y: Floats) -> Floats:
        """The potential (m2) at points of the board."""
        total = np.zeros_like(x)
        for kx, ky, phase in zip(self.kx, self.ky, self.phase, strict=True):
            total += np.sin(kx * x + ky * y + phase) / np.hypot(kx, ky)
        total *= self.amplitude * ramp(np.hypot(x, y), STILL_RADIUS_M, self.grow)
        if self.around:
            cx, cy, radius = self.around
            total *= 1.0 - ramp(np.hypot(x - cx, y - cy), 0.5 * radius, radius)
        return total

    def shift(self, x: Floats, y: Floats, step: float = 0.5) -> tuple[Floats, Floats]:
        """The displacement (m): the curl of the potential, by central differences."""
        east = self.potential(x, y + step) - self.potential(x, y - step)
        north = self.potential(x - step, y) - self.potential(x + step, y)
        return east / (2 * step), north / (2 * step)


@dataclass(frozen=True)
class Ground:
    """Where points of the board lie on the ground."""

    waves: tuple[Waves, ...]

    def place(self, x: Floats, y: Floats) -> Floats:
        """Board coordinates (n,) to an (n, 2) array of east and north, EPSG:32639, whole mm."""
        east, north = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
        moved = np.hypot(x, y) > STILL_RADIUS_M
        for wave in self.waves:
            de, dn = wave.shift(x[moved], y[moved])
            east[moved] += de
            north[moved] += dn
        return np.column_stack([np.round(ORIGIN[0] + east, 3), np.round(ORIGIN[1] + north, 3)])


def _draw(
    rng: np.random.Generator, length: float, grow: float, around: tuple[float, float, float] | None
) -> Waves:
    direction = rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 4
    k = 2 * np.pi / (length * rng.uniform(0.75, 1.35, 4))
    return Waves(
        k * np.cos(direction), k * np.sin(direction), rng.uniform(0, 2 * np.pi, 4), grow, around
    )


def _limited(waves: Waves, length: float, reach: float, gradient: float) -> Waves:
    """The same waves, as strong as ``gradient`` (change of displacement by metre) allows."""
    x0, y0, reach = waves.around or (0.0, 0.0, reach)
    at = np.linspace(-reach, reach, int(np.clip(2 * reach / length * 12, 40, 400)))
    x, y = (grid.ravel() for grid in np.meshgrid(x0 + at, y0 + at))
    norm = np.zeros_like(x)
    for dx, dy in ((1.0, 0.0), (0.0, 1.0)):
        ahead, behind = waves.shift(x + dx, y + dy), waves.shift(x - dx, y - dy)
        norm += sum(((a - b) / 2) ** 2 for a, b in zip(ahead, behind, strict=True))
    strength = gradient / max(float(np.sqrt(norm.max())), 1e-12)
    return Waves(
        waves.kx, waves.ky, waves.phase, waves.grow, waves.around, waves.amplitude * strength
    )


def ground(rng: np.random.Generator, reach: float, old_town: tuple[float, float, float]) -> Ground:
    """The ground of a city of radius ``reach`` (m); the ``old_town`` (x, y, radius) is crooked."""
    scales = [
        (5200.0, 2600.0, None, 0.36),
        (1100.0, 700.0, None, 0.20),
        (150.0, 320.0, old_town, 0.22),
    ]
    waves = [
        _limited(_draw(rng, length, grow, around), length, reach, gradient)
        for length, grow, around, gradient in scales
    ]
    return Ground(tuple(waves))
