"""Flatten: heights, mixtures, empty parts and closed lines become what the layer takes.

Each is told. Still in the CRS they arrived in; whether the result is valid is judged afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.contracts.layer import Geometry
from pipeline.geo import DIMENSION, Geometries, Mask
from pipeline.stages import heights, outline
from pipeline.stages.batch import Found, Lines
from pipeline.stages.unread import Ruler, gap_text

_CORNERS = 4


@dataclass(frozen=True)
class Heights:
    """How many rows had heights or measures that were left out, and between which values."""

    rows: int = 0
    low: float = np.inf
    high: float = -np.inf

    def __add__(self, other: Heights) -> Heights:
        return Heights(self.rows + other.rows, min(self.low, other.low), max(self.high, other.high))

    def told(self) -> Found:
        """geometry.heights for the whole file; the same height everywhere is noise."""
        found = Found()
        if self.rows:
            same = self.low == self.high
            known = f"all {self.low:g}" if same else f"{self.low:g} to {self.high:g}"
            detail = known if np.isfinite([self.low, self.high]).all() else "as before"
            found.whole("geometry.heights", value=self.rows, detail=detail)
        return found


@dataclass
class Flattener:
    """One batch. ``drawn`` has None where a row is lost already."""

    lines: Lines
    drawn: Geometries
    wanted: Geometry
    ruler: Ruler
    polygonize: bool

    def run(self) -> tuple[Geometries, Found, Heights]:
        """The geometries, what was found, and the heights that were left out."""
        self.found = Found()
        self.drawn = self.drawn.copy()
        left_out = self._heights()
        self._collections()
        self._empty_parts()
        if self.wanted.type.endswith("Polygon"):
            self._closed_lines()
        return self.drawn, self.found, left_out

    def _lose(self, where: Mask, code: str, details: list[str] | str | None = None) -> None:
        self.found.mark(code, self.lines[where], details=details)
        self.drawn[where] = None

    def _heights(self) -> Heights:
        if self.wanted.is_high:
            self._lose(heights.without(self.drawn, self.wanted), "geometry.flat")
            measured = shapely.has_m(self.drawn)
            plain = shapely.to_wkb(self.drawn[measured], output_dimension=3)
            self.drawn[measured] = shapely.from_wkb(plain)
            return Heights()
        high = shapely.has_z(self.drawn) | shapely.has_m(self.drawn)
        if not high.any():
            return Heights()
        if self.wanted.z == "refuse":
            self._lose(high, "geometry.three_d")
            return Heights()
        z = shapely.get_coordinates(self.drawn[high], include_z=True)[:, 2]
        z = z[np.isfinite(z)]
        self.drawn[high] = shapely.force_2d(self.drawn[high])
        limits = (float(z.min()), float(z.max())) if len(z) else (np.inf, -np.inf)
        return Heights(int(high.sum()), *limits)

    def _collections(self) -> None:
        """Of a mixture the parts that the layer takes; if there are none, its kind is wrong."""
        mixed = outline.is_collection(self.drawn)
        if not mixed.any():
            return
        dimension = DIMENSION[self.wanted.type.removeprefix("Multi")]
        taken = [outline.parts_of(one, dimension) for one in self.drawn[mixed]]
        for place, (made, others) in zip(np.flatnonzero(mixed), taken, strict=True):
            if made is not None:
                self.drawn[place] = made
                self.found.mark(
                    "geometry.collection", self.lines[place : place + 1], details=str(others)
                )

    def _empty_parts(self) -> None:
        holes = outline.with_empty_parts(self.drawn)
        if holes.any():
            self.drawn[holes] = outline.without_empty_parts(self.drawn[holes])
            self.found.mark("geometry.empty_part", self.lines[holes])

    def _closed_lines(self) -> None:
        """Lines round an area become the area; a small gap is closed, a larger one is told."""
        singles = outline.single_lines(self.drawn)
        lined = np.flatnonzero(~shapely.is_missing(singles))
        lined = lined[shapely.get_num_coordinates(singles[lined]) >= _CORNERS]
        if not len(lined):
            return
        gaps = self.ruler(outline.ends_of(singles[lined]))
        closed = np.isfinite(gaps) & (gaps <= self.wanted.close_gap_m)
        areas = lined[closed]
        if len(areas):
            self.drawn[areas] = outline.as_areas(singles[areas])
        if not self.polygonize:
            self.found.mark("geometry.closed_line", self.lines[areas])
        self._tell_gaps(lined, gaps, closed)

    def _tell_gaps(self, lined: Lines, gaps: np.ndarray[tuple[int], np.dtype[np.float64]],
                   closed: Mask) -> None:  # fmt: skip
        small = closed & (gaps > 0)
        details = [gap_text(gap) for gap in gaps[small]]
        self.found.mark("geometry.closed", self.lines[lined[small]], details=details)
        if self.polygonize:
            wide = np.zeros(len(self.lines), dtype=bool)
            wide[lined[~closed]] = True
            self._lose(wide, "geometry.unclosed", [gap_text(gap) for gap in gaps[~closed]])
