"""Shape: geometry as it arrived becomes the layer's geometry in the city's CRS, or a finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS

from pipeline import geo
from pipeline.contracts.layer import Geometry
from pipeline.stages.batch import Context, Found, Geometries, Lines, Mask


class Shaper:
    """Works on one batch: narrows ``alive`` down to the rows whose geometry can be loaded."""

    def __init__(self, lines: Lines, geometries: Geometries, context: Context, crs: CRS) -> None:
        """``geometries`` as read, in ``crs``; None where there is none."""
        wanted = context.layer.geometry
        if wanted is None:
            raise TypeError(f"the layer {context.layer.id} has no geometry")
        self.wanted: Geometry = wanted
        self.lines = lines
        self.given = geometries
        self.made = geometries
        self.context = context
        self.crs = crs
        self.found = Found()
        self.alive = np.ones(len(lines), dtype=bool)

    def run(self) -> tuple[Geometries, Found]:
        """The geometries (None where the row is not to be loaded) and what was found."""
        self._present()
        invalid = self._invalid_as_drawn()
        self._to_city()
        self._of_type()
        self._repair(invalid)
        self._slivers()
        self.made[~self.alive] = None
        return self.made, self.found

    def _drop(self, where: Mask, code: str, **told: object) -> None:
        where = where & self.alive
        self.found.mark(code, self.lines[where], **told)  # type: ignore[arg-type]
        self.alive &= ~where

    def _present(self) -> None:
        missing = shapely.is_missing(self.given)
        if self.wanted.required:
            self._drop(missing, "geometry.missing")
        self.alive &= ~missing
        self._drop(shapely.is_empty(self.given), "geometry.empty")
        self._drop(~geo.finite(self.given), "geometry.nonfinite")
        self.given = self.given.copy()
        self.given[~self.alive] = None
        high = shapely.has_z(self.given) | shapely.has_m(self.given)
        if high.any():
            self.given[high] = shapely.force_2d(self.given[high])
        if self.context.feed.source.polygonize:
            self.given = geo.polygonized(self.given)

    def _invalid_as_drawn(self) -> Mask:
        """Judged before reprojection: rounding afterwards must not hide or make a fault."""
        return np.asarray(self.alive & ~shapely.is_valid(self.given))

    def _to_city(self) -> None:
        city = self.context.city
        operation = city.operation(self.crs)
        self.made = operation.apply(self.given)
        self.moved = self.made is not self.given
        outside = self.alive & ~geo.within(self.made, city.extent.bounds)
        if not outside.any():
            return
        turned = operation.apply(geo.swapped(self.given[outside]))
        swapped = np.zeros(len(self.lines), dtype=bool)
        swapped[outside] = geo.within(turned, city.extent.bounds)
        self._drop(swapped, "geometry.swapped")
        boxes = shapely.bounds(self.made[outside & ~swapped])
        details = [f"x {a:.6g} to {c:.6g}, y {b:.6g} to {d:.6g}" for a, b, c, d in boxes]
        self._drop(outside & ~swapped, "geometry.outside", details=details)
        # Nothing more is asked of what is lost; some of it is infinite by now.
        self.made = self.made.copy()
        self.made[~self.alive] = None

    def _of_type(self) -> None:
        self.made = geo.promote(self.made, self.wanted.type)
        types = shapely.get_type_id(self.made)
        wrong = self.alive & (types != geo.TYPES[self.wanted.type])
        names = [geo.TYPE_NAMES.get(int(number), "curve") for number in types[wrong]]
        self._drop(wrong, "geometry.type", values=names, details=self.wanted.type)

    def _repair(self, invalid_as_drawn: Mask) -> None:
        invalid = self.alive & invalid_as_drawn
        if self.moved:
            invalid |= self.alive & ~shapely.is_valid(self.made)
        if not invalid.any():
            return
        reasons = shapely.is_valid_reason(
            np.where(invalid_as_drawn, self.given, self.made)[invalid]
        )
        repaired, share = geo.repair(self.made[invalid], self.wanted.type)
        repaired = geo.promote(repaired, self.wanted.type)
        usable = shapely.get_type_id(repaired) == geo.TYPES[self.wanted.type]
        usable &= ~shapely.is_empty(repaired) & shapely.is_valid(repaired)
        good = usable & (share <= self.wanted.max_repair_share)
        told = [
            f"{reason}; {part:.2%} changed" for reason, part in zip(reasons, share, strict=True)
        ]
        self._split(invalid, good, told)
        self.made[np.flatnonzero(invalid)[good]] = repaired[good]

    def _split(self, invalid: Mask, good: Mask, told: list[str]) -> None:
        place = np.flatnonzero(invalid)
        repaired, lost = np.zeros_like(invalid), np.zeros_like(invalid)
        repaired[place[good]] = True
        lost[place[~good]] = True
        details = np.array(told, dtype=object)
        self.found.mark("geometry.repaired", self.lines[repaired], details=details[good].tolist())
        self._drop(lost, "geometry.unrepairable", details=details[~good].tolist())

    def _slivers(self) -> None:
        metres = self.context.city.metres_per_unit
        limits: list[tuple[float | None, Callable[..., Any], float, str]] = [
            (self.wanted.min_area_m2, shapely.area, metres**2, "m2"),
            (self.wanted.min_length_m, shapely.length, metres, "m"),
        ]
        for limit, measure, factor, unit in limits:
            if limit is None:
                continue
            size = measure(self.made) * factor
            small = self.alive & (size < limit)
            details = [f"{one:.3f} {unit}, at least {limit:g} expected" for one in size[small]]
            self.found.mark("geometry.sliver", self.lines[small], details=details)


def from_wkb(lines: Lines, wkb: pa.Array) -> tuple[Geometries, Found]:
    """Geometries from WKB; what GEOS cannot read is None and geometry.unreadable."""
    found = Found()
    raw = wkb.to_numpy(zero_copy_only=False)
    made = np.asarray(shapely.from_wkb(raw, on_invalid="ignore"))
    unread = shapely.is_missing(made) & ~np.asarray(wkb.is_null())
    found.mark("geometry.unreadable", lines[unread], details="the coordinates make no geometry")
    return made, found
