"""Houses on the plots: footprints in the plot's own axes, so that they turn and bend with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects
from pipeline.sample.blocks import Use
from pipeline.sample.cells import Kind
from pipeline.sample.model import City
from pipeline.sample.warp import ORIGIN

# Outlines in the unit square, counter-clockwise; the house stands at the high end (t = 1).
_PLAIN = ((0, 0), (1, 0), (1, 1), (0, 1))
_ELL = ((0, 0), (0.55, 0), (0.55, 0.4), (1, 0.4), (1, 1), (0, 1))
_ELL_MIRRORED = ((0, 0.4), (0.45, 0.4), (0.45, 0), (1, 0), (1, 1), (0, 1))
_BAY = ((0, 0), (0.3, 0), (0.3, 0.22), (0.68, 0.22), (0.68, 0), (1, 0), (1, 1), (0, 1))
_WELL = ((0, 0), (1, 0), (1, 0.5), (0.78, 0.5), (0.78, 0.72), (1, 0.72), (1, 1), (0, 1))
_COURT = ((0.3, 0.3), (0.3, 0.7), (0.7, 0.7), (0.7, 0.3))
_OUTLINES = (_PLAIN, _ELL, _ELL_MIRRORED, _BAY, _WELL, _PLAIN)
_WITH_COURT = 5
_BIG_PLOT_M2 = 900.0


@dataclass(frozen=True)
class Houses:
    """One building a plot at most; arrays (houses,). ``shapes`` are EPSG:32639, whole mm.

    ``state`` of every plot (lots,): 0 built, 1 vacant, 2 ruined, 3 under construction.
    """

    lot: Ints
    shapes: Objects
    floors: Ints
    basements: Ints
    year: Ints
    dwellings: Ints
    state: Ints

    def __len__(self) -> int:
        return len(self.lot)


def plot_states(city: City) -> Ints:
    """0 built, 1 vacant, 2 ruined, 3 under construction, for every plot (lots,)."""
    rng = city.rng("plot states")
    drawn = rng.random(len(city.lots))
    state = np.select([drawn < 0.875, drawn < 0.945, drawn < 0.96], [0, 1, 2], 3)
    use = city.blocks.use[city.lots.block]
    kind = city.cells.kind[city.lot_cell]
    state[np.isin(use, [Use.PARK, Use.OPEN]) | (kind == Kind.GARDENS)] = 1
    state[np.isin(use, [Use.SCHOOL, Use.HEALTH, Use.OFFICE, Use.RELIGIOUS])] = 0
    state[city.lots.block == 0] = 0
    return state.astype(np.int64)


def _corners(city: City, lot: Ints) -> Floats:
    """The part of the plots that may be built on: (n, 4, 2) low-left, low-right, high-right,
    high-left."""
    corner = city.points[city.lots.corner[lot]]
    left, right = city.lots.share[lot, 0, None], city.lots.share[lot, 1, None]
    corner[:, 3] = corner[:, 0] + left * (corner[:, 3] - corner[:, 0])
    corner[:, 2] = corner[:, 1] + right * (corner[:, 2] - corner[:, 1])
    return np.asarray(corner, dtype=np.float64)


def _box(rng: np.random.Generator, city: City, lot: Ints, corner: Floats) -> Floats:
    """Shares of the plot between which the house stands: (n, 4) s0, t0, s1, t1."""
    width = np.hypot(*(corner[:, 1] - corner[:, 0]).T)
    depth = np.hypot(*(corner[:, 3] - corner[:, 0]).T)
    kind = city.cells.kind[city.lot_cell[lot]]
    old = kind == Kind.OLD
    side = np.where(old, 0.5, 0.25) + rng.uniform(0.0, 0.25, len(lot))
    coverage = np.clip(rng.normal(np.where(old, 0.78, 0.60), 0.05), 0.4, 0.88)
    cut = (city.lots.share[lot] < 1).any(axis=1)
    coverage = np.where(cut, 0.85, coverage)
    big = width * depth > _BIG_PLOT_M2
    side = np.where(big, 0.12 * width, side)
    coverage = np.where(big, rng.uniform(0.35, 0.55, len(lot)), coverage)
    back = np.where(big, 0.12, side / depth)
    return np.column_stack([side / width, 1 - coverage, 1 - side / width, 1 - back])


def _bent(corner: Floats, s: Floats, t: Floats) -> Floats:
    """Points at shares s across and t up (n, k) of each plot, as (n, k, 2) in EPSG:32639, mm."""
    s, t = s[..., None], t[..., None]
    low = corner[:, None, 0] * (1 - s) + corner[:, None, 1] * s
    high = corner[:, None, 3] * (1 - s) + corner[:, None, 2] * s
    return np.asarray(np.round(low * (1 - t) + high * t, 3), dtype=np.float64)


def _outlines(rng: np.random.Generator, city: City, lot: Ints, corner: Floats) -> Objects:
    box = _box(rng, city, lot, corner)
    old = city.cells.kind[city.lot_cell[lot]] == Kind.OLD
    new_style = rng.choice(5, len(lot), p=[0.58, 0.12, 0.12, 0.08, 0.10])
    old_style = rng.choice([0, 1, 2, 3, _WITH_COURT], len(lot), p=[0.25, 0.1, 0.1, 0.1, 0.45])
    style = np.where(old, old_style, new_style)
    shapes = np.empty(len(lot), dtype=object)
    for number, outline in enumerate(_OUTLINES):
        at = np.flatnonzero(style == number)
        rings = _in_box(outline, corner[at], box[at])
        holes = None
        if number == _WITH_COURT:
            holes = objects(shapely.linearrings(_in_box(_COURT, corner[at], box[at])))[:, None]
        shapes[at] = shapely.polygons(shapely.linearrings(rings), holes=holes)
    return shapes


def _in_box(outline: tuple[tuple[float, float], ...], corner: Floats, box: Floats) -> Floats:
    unit = np.array(outline, dtype=np.float64)
    s = box[:, None, 0] + unit[None, :, 0] * (box[:, 2] - box[:, 0])[:, None]
    t = box[:, None, 1] + unit[None, :, 1] * (box[:, 3] - box[:, 1])[:, None]
    return _bent(corner, s, t)


def _floors(rng: np.random.Generator, city: City, lot: Ints, busy: Bools) -> Ints:
    kind = city.cells.kind[city.lot_cell[lot]]
    tall = rng.choice([2, 3, 4, 5, 6], len(lot), p=[0.25, 0.3, 0.25, 0.15, 0.05])
    low = rng.choice([1, 2], len(lot), p=[0.6, 0.4])
    floors = np.where(kind == Kind.NEW, np.where(busy, tall + 1, tall), low)
    use = city.blocks.use[city.lots.block[lot]]
    return np.where(use != Use.LOTS, np.minimum(floors, 3), floors).astype(np.int64)


def houses(city: City, busy: Bools) -> Houses:
    """The buildings of all plots that have one; ``busy`` (lots,) plots lie on a main street."""
    rng = city.rng("houses")
    state = plot_states(city)
    lot = np.flatnonzero(state != 1)
    shapes = _outlines(rng, city, lot, _corners(city, lot))
    floors = _floors(rng, city, lot, busy[lot])
    old = city.cells.kind[city.lot_cell[lot]] == Kind.OLD
    year = np.where(old, rng.integers(1310, 1376, len(lot)), rng.integers(1362, 1404, len(lot)))
    home = city.lots.block[lot] == 0
    floors[home] = fixture.B1_FLOORS
    year[lot == city.p7] = fixture.B1_YEAR
    shapes[lot == city.p7] = _fixture_house()
    basements = ((floors >= 3) & (year > 1380) & (rng.random(len(lot)) < 0.6)).astype(np.int64)
    basements[home] = 0
    flats = np.where(shapely.area(shapes) > 170.0, 2, 1)
    dwellings = np.where(_lived_in(city, lot, state), floors * flats, 0)
    dwellings[home] = fixture.B1_FLOORS
    return Houses(lot, shapes, floors, basements, year, dwellings, state)


def _fixture_house() -> shapely.Polygon:
    x0, y0, x1, y1 = fixture.B1_BOX
    e, n = ORIGIN
    return shapely.box(e + x0, n + y0, e + x1, n + y1)


def _lived_in(city: City, lot: Ints, state: Ints) -> Bools:
    use = city.blocks.use[city.lots.block[lot]]
    kind = city.cells.kind[city.lot_cell[lot]]
    homes = (kind == Kind.OLD) | (kind == Kind.NEW)
    return np.asarray(homes & (use == Use.LOTS) & (state[lot] == 0))
