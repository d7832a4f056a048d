"""Shape: geometry as it arrived becomes the layer's geometry in the city's CRS, or a finding."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS

from pipeline import geo
from pipeline.contracts.layer import Geometry
from pipeline.stages import heights, outline
from pipeline.stages.batch import Found, Geometries, Lines, Mask
from pipeline.stages.context import Context
from pipeline.stages.flatten import Flattener, Heights
from pipeline.stages.unread import Ruler, explain

_TOO_FEW = "Too few points"


class Shaper:
    """Works on one batch: narrows ``alive`` down to the rows whose geometry can be loaded.

    ``as_arrived`` are the rows of which nothing was changed.
    """

    def __init__(self, lines: Lines, geometries: Geometries, context: Context, crs: CRS) -> None:
        """``geometries`` as read, in ``crs``; None where there is none."""
        wanted = context.layer.geometry
        if wanted is None:
            raise TypeError(f"the layer {context.layer.id} has no geometry")
        self.wanted: Geometry = wanted
        self.lines = lines
        self.arrived = geometries
        self.given = geometries
        self.made = geometries
        self.context = context
        self.crs = crs
        self.found = Found()
        self.heights = Heights()
        self.least = outline.REPEATED_M / context.city.metres_per_unit
        self.shortened = np.zeros(0, dtype=np.int64)
        self.alive = np.ones(len(lines), dtype=bool)

    def run(self) -> tuple[Geometries, Found]:
        """The geometries (None where the row is not to be loaded) and what was found."""
        found = self.work()
        return geo.promote(self.made, self.wanted.type), found

    def work(self) -> Found:
        """What was found; ``made`` are the geometries, but a single part stays one where the layer
        takes multi parts: its WKB only needs another head."""
        self._present()
        self._flatten()
        invalid = self._invalid_as_drawn()
        self._to_city()
        self._of_type()
        turning = self._repeated_points()
        self._repair(invalid)
        self._spikes(turning)
        self.made[~self.alive] = None
        self.as_arrived = geo.identical(self.made, self.arrived) & self.alive
        return self.found

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

    def _flatten(self) -> None:
        ruler = ruler_of(self.context, self.crs)
        polygonize = self.context.feed.source.polygonize
        flattener = Flattener(self.lines, self.given, self.wanted, ruler, polygonize)
        self.given, found, self.heights = flattener.run()
        self.found.extend(found)
        self.alive &= ~shapely.is_missing(self.given)
        bad, values = heights.unlikely(self.given, self.context)
        low, high = self.context.city.heights.min, self.context.city.heights.max
        self._drop(bad, "geometry.height", values=values, details=f"{low:g} … {high:g}")

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
        # Metres that are said to be degrees are nowhere: they are told as they came.
        boxes = np.where(np.isfinite(boxes), boxes, shapely.bounds(self.given[outside & ~swapped]))
        details = [f"x {a:.9g} to {c:.9g}, y {b:.9g} to {d:.9g}" for a, b, c, d in boxes]
        self._drop(outside & ~swapped, "geometry.outside", details=details)
        # Nothing more is asked of what is lost; some of it is infinite by now.
        self.made = self.made.copy()
        self.made[~self.alive] = None

    def _of_type(self) -> None:
        several = self.wanted.type.startswith("Multi")
        self.made = self.made.copy() if several else geo.promote(self.made, self.wanted.type)
        types = shapely.get_type_id(self.made)
        single = geo.TYPES[self.wanted.type.removeprefix("Multi")]
        wrong = self.alive & (types != geo.TYPES[self.wanted.type]) & (types != single)
        names = [geo.TYPE_NAMES.get(int(number), "curve") for number in types[wrong]]
        self._drop(wrong, "geometry.type", values=names, details=self.wanted.type)

    def _repeated_points(self) -> Mask:
        """Leaves out points that repeat the one before; returns where outlines turn back."""
        seen = outline.look(self.made, self.least)
        again = np.flatnonzero(seen.repeated & self.alive)
        if len(again):
            made, lost = outline.without_repeated(self.made[again], self.least)
            changed = (lost > 0) & ~shapely.is_empty(made)
            self.made = self.made.copy()
            self.made[again[changed]] = made[changed]
            self.shortened = again[changed]
            details = [str(count) for count in lost[changed]]
            self.found.mark("geometry.repeated_points", self.lines[self.shortened], details=details)
        return seen.turning

    def _repair(self, invalid_as_drawn: Mask) -> None:
        invalid = self.alive & invalid_as_drawn
        if self.moved:
            invalid |= self.alive & ~shapely.is_valid(self.made)
        elif len(self.shortened):
            invalid[self.shortened] |= ~shapely.is_valid(self.made[self.shortened])
        if not invalid.any():
            return
        judged = np.where(invalid_as_drawn, self.given, self.made)
        reasons = np.full(len(judged), "", dtype=object)
        reasons[invalid] = shapely.is_valid_reason(judged[invalid])
        few = np.array([reason.startswith(_TOO_FEW) for reason in reasons], dtype=bool)
        self._drop(few, "geometry.degenerate", details="all its points lie together")
        place = np.flatnonzero(invalid & ~few)
        repaired, share = self._repaired(place, invalid_as_drawn[place])
        good = shapely.get_type_id(repaired) == geo.TYPES[self.wanted.type]
        good &= ~shapely.is_empty(repaired) & shapely.is_valid(repaired)
        good &= share <= self.wanted.max_repair_share
        told = [
            f"{reason}; {part:.2%} changed"
            for reason, part in zip(reasons[place], share, strict=True)
        ]
        self._split(place, good, told)
        self.made[place[good]] = repaired[good]

    def _repaired(self, place: Lines, as_drawn: Mask) -> tuple[Geometries, geo.Floats]:
        """Valid geometries, and the share of area that each has lost or won by it.

        What was invalid as drawn is repaired as drawn: rounding must not make a spike of no width
        one of a hair's.
        """
        shapes, share = self.made[place], np.zeros(len(place))
        if self.moved and as_drawn.any():
            mended, share[as_drawn] = geo.repair(self.given[place[as_drawn]], self.wanted.type)
            moved = self.context.city.operation(self.crs).apply(mended)
            shapes[as_drawn], _ = outline.without_repeated(moved, self.least)
        made, again = geo.repair(shapes, self.wanted.type)
        share = np.maximum(share, again)
        # A needle that was cut off is shorter than what counts as one point: it is none of it.
        short, lost = outline.without_repeated(made, self.least)
        needles = (lost > 0) & ~shapely.is_valid(short)
        if needles.any():
            made[needles], more = geo.repair(short[needles], self.wanted.type)
            share[needles] = np.maximum(share[needles], more)
        return geo.promote(made, self.wanted.type), share

    def _split(self, place: Lines, good: Mask, told: list[str]) -> None:
        lost = np.zeros(len(self.lines), dtype=bool)
        lost[place[~good]] = True
        details = np.array(told, dtype=object)
        self.found.mark(
            "geometry.repaired", self.lines[place[good]], details=details[good].tolist()
        )
        self._drop(lost, "geometry.unrepairable", details=details[~good].tolist())

    def _spikes(self, turning: Mask) -> None:
        """Outlines that still turn back after any repair: valid, but hardly meant."""
        if not self.wanted.type.endswith("Polygon"):
            return
        places = np.flatnonzero(turning & self.alive)
        sharpest = outline.spikes(self.made[places])
        sharp = sharpest < outline.SPIKE_DEGREES
        details = [f"{angle:.2g}°" for angle in sharpest[sharp]]
        self.found.mark("geometry.spike", self.lines[places[sharp]], details=details)


def ruler_of(context: Context, crs: CRS) -> Ruler:
    """Distances in metres on the city's grid, between points in ``crs``."""

    def measured(ends: geo.Floats) -> geo.Floats:
        moved = context.city.operation(crs).points(ends.reshape(-1, 2)).reshape(-1, 4)
        apart = np.hypot(moved[:, 2] - moved[:, 0], moved[:, 3] - moved[:, 1])
        return np.asarray(apart * context.city.metres_per_unit)

    return measured


def from_wkb(lines: Lines, wkb: pa.Array, context: Context, crs: CRS) -> tuple[Geometries, Found]:
    """Geometries from WKB. What GEOS cannot read is None, and told for what it is; rings that lack
    only a hair to be closed are closed."""
    found = Found()
    raw = wkb.to_numpy(zero_copy_only=False)
    made = geo.from_wkb(raw)
    unread = np.flatnonzero(shapely.is_missing(made) & ~np.asarray(wkb.is_null()))
    if not len(unread):
        return made, found
    gap = context.layer.geometry.close_gap_m if context.layer.geometry else 0.0
    ruler = ruler_of(context, crs)
    for place in unread:
        told = explain(raw[place], ruler, gap)
        made[place] = told.made
        found.mark(told.code, lines[place : place + 1], details=told.detail)
    return made, found
