"""Faults: what fabric rules find, column by column, each with its place on the map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import shapely

from pipeline.fabric.part import Floats, Shapes

# Narrower parts of an intersection or a difference are drawing noise: coordinates are whole mm.
GRID_M = 0.001


@dataclass
class Faults:
    """Findings of one rule over one tile. ``key`` is the row that owns the finding, ``value`` the
    other row's key, ``detail`` the measure in words, ``shape`` where it is."""

    code: list[str] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    value: list[str | None] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)
    shape: list[shapely.Geometry] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.code)

    def add(
        self,
        code: str,
        keys: list[str],
        shapes: Iterable[shapely.Geometry],
        *,
        values: Iterable[str | None] | None = None,
        details: Iterable[str],
    ) -> None:
        """One fault of ``code`` for each of ``keys``."""
        self.code += [code] * len(keys)
        self.key += keys
        self.value += [None] * len(keys) if values is None else list(values)
        self.detail += list(details)
        self.shape += list(shapes)

    def extend(self, other: Faults) -> None:
        """Takes over the faults of ``other``."""
        for name in ("code", "key", "value", "detail", "shape"):
            getattr(self, name).extend(getattr(other, name))


def areal(shapes: Shapes) -> Shapes:
    """The polygonal parts of ``shapes``, as one (multi)polygon each."""
    mixed = shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION
    if not mixed.any():
        return shapes
    made = shapes.copy()
    made[mixed] = [
        shapely.MultiPolygon([p for p in shapely.get_parts(one) if p.geom_type == "Polygon"])
        for one in shapes[mixed]
    ]
    return made


def wide(shapes: Shapes, width: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True where a polygon is somewhere wider than ``width`` (CRS units)."""
    if not len(shapes):
        return np.zeros(0, dtype=bool)
    shrunk = shapely.buffer(shapes, -width / 2, quad_segs=1)
    return np.asarray(~shapely.is_empty(shrunk))


def square_metres(areas: Floats, metres: float) -> list[str]:
    """Areas in square CRS units as text."""
    return [f"{area * metres**2:.2f} m2" for area in areas]
