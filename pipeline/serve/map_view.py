"""What a map shows: a box of a CRS on so many pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.contracts.city import City
from pipeline.serve import bbox, crs, reach
from pipeline.serve.crs import Bounds, Crs
from pipeline.serve.errors import Problem, bad
from pipeline.tiling.lattice import Lattice

_MOST_PIXELS = 16_000_000
MOST_SIDE = 8_192
_DEFAULT_WIDTH = 800


@dataclass(frozen=True)
class View:
    """``box`` is east before north in ``crs``, whatever the order of its axes; ``size`` is width
    and height in pixels."""

    city: City
    box: Bounds
    crs: Crs
    size: tuple[int, int]

    def stored(self) -> tuple[Bounds, float] | None:
        """The box in the city's CRS, cut where no feature can be, and the size of a pixel there;
        None where the city is not."""
        domain = crs.domain(self.city, self.crs.srid)
        west, south = max(self.box[0], domain[0]), max(self.box[1], domain[1])
        east, north = min(self.box[2], domain[2]), min(self.box[3], domain[3])
        if west >= east or south >= north:
            return None
        cut = np.array([[west, south, east, north]])
        found = reach.moved(cut, self.crs.srid, self.city.srid)[0].tolist()
        bounds: Bounds = (found[0], found[1], found[2], found[3])
        share = (east - west) / (self.box[2] - self.box[0])
        return bounds, (bounds[2] - bounds[0]) / max(share * self.size[0], 1.0)

    def zoom(self) -> float:
        """The zoom level of tiles (of 512 pixels) that have pixels as large as these."""
        found = self.stored()
        if found is None:
            return 0.0
        return math.log2(Lattice.of(self.city).widest / found[1])

    def pixels(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Where ``points`` (n, 2) in the map's CRS are, in pixels from the upper left corner."""
        west, south, east, north = self.box
        scale = (self.size[0] / (east - west), -self.size[1] / (north - south))
        placed: npt.NDArray[np.float64] = (points - (west, north)) * scale
        return placed


def asked(city: City, given: dict[str, str], whole: Bounds) -> View:
    """The view that ``bbox``, ``bbox-crs``, ``crs``, ``width`` and ``height`` ask for; without a
    box that of ``whole`` (degrees, longitude first)."""
    target = crs.named(city, given.get("crs", city.crs_uri), "crs")
    source = crs.named(city, given.get("bbox-crs", crs.CRS84), "bbox-crs")
    box = whole
    if "bbox" in given:
        boxes = bbox.parse(given["bbox"], source)
        if len(boxes) > 1:
            raise bad("bbox: the left corner lies right of the right corner")
        box = boxes[0]
    else:
        source = crs.named(city, crs.CRS84, "bbox-crs")
    moved = reach.moved(np.array([box]), source.srid, target.srid)[0]
    if not np.isfinite(moved).all() or moved[0] >= moved[2] or moved[1] >= moved[3]:
        raise bad("bbox: has no extent in the CRS of the map")
    found = moved.tolist()
    return sized(city, (found[0], found[1], found[2], found[3]), target, given)


def sized(city: City, box: Bounds, target: Crs, given: dict[str, str]) -> View:
    """The view of ``box`` by ``width`` and ``height``; of what is not given it follows from the
    other, so that nothing is stretched."""
    width, height = fitted(box, _side(given, "width"), _side(given, "height"))
    if width * height > _MOST_PIXELS or max(width, height) > MOST_SIDE:
        told = (
            f"a map of {width} x {height} is too large; at most {_MOST_PIXELS:,} pixels are drawn"
        )
        raise Problem(413, "InvalidParameterValue", told)
    return View(city, box, target, (width, height))


def fitted(box: Bounds, width: int | None, height: int | None) -> tuple[int, int]:
    """Width and height of a picture of ``box``, of which none, one or both are given."""
    ratio = (box[3] - box[1]) / (box[2] - box[0])
    if width is None:
        width = round(height / ratio) if height else _DEFAULT_WIDTH
    if height is None:
        height = round(width * ratio)
    return max(width, 1), max(height, 1)


def _side(given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) < 1:
        raise bad(f"{name}: give a whole number of pixels, 1 or more")
    return int(text)
