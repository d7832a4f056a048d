"""Streets to be widened as the plan draws them, and the projects that do it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints
from pipeline.sample.arrivals import Arrival
from pipeline.sample.blocks import Use
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.planning import PLAN
from pipeline.sample.register import text
from pipeline.sample.town import Town
from pipeline.sample.warp import ORIGIN


def _widened(town: Town) -> Ints:
    return np.flatnonzero(town.names.width_plan > town.names.width)


def road_lines(town: Town) -> Arrival:
    """Axis and both new edges of every street that the plan widens."""
    at = _widened(town)
    axis = town.streets.shapes[at]
    half = town.names.width_plan[at] / 2
    edges = [shapely.offset_curve(axis, side * half, join_style="mitre") for side in (1, -1)]
    shapes = shapely.set_precision(np.concatenate([axis, *edges]), 0.001, mode="pointwise")
    street = np.tile(at, 3)
    side = np.repeat(np.array([None, "چپ", "راست"], dtype=object), len(at))
    given, is_axis = town.names, np.arange(len(street)) < len(at)
    half_of = np.tile(half, 3)
    frame = pd.DataFrame(
        {
            "KOD_TARH": PLAN,
            "SHENASE": "G-"
            + text(np.tile(at, 3) + 1, 6)
            + np.repeat(["-A", "-L", "-R"], len(at)).astype(object),
            "NOE": np.where(is_axis, "محور", "بر").astype(object),
            "SAMT": side,
            "KOD_MABAR": given.code[street],
            "NAM": given.fa[street],
            "NAM_LATIN": given.en[street],
            "DARAJE": given.rank[street],
            "ARZ_MOJUD": given.width[street],
            "ARZ_TARH": given.width_plan[street],
            "MOTEGHAREN": "بلی",
            "FASELE_CHAP": np.where(is_axis | (side == "چپ"), half_of, np.nan),
            "FASELE_RAST": np.where(is_axis | (side == "راست"), half_of, np.nan),
        }
    )
    keep = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    keep &= shapely.get_type_id(shapes) == 1
    safe = np.isin(town.streets.line[street], town.streets.lane_line[fixture.YAS_LANE])
    return Arrival(
        "plan_road_lines",
        "gozarbandi.gpkg",
        "GPKG",
        frame[keep].reset_index(drop=True),
        shapes[keep],
        "LineString",
        "gozarbandi",
        safe=safe[keep],
    )


_PROJECT_STATES = ("اعلام شده", "در حال تملک", "در حال اجرا", "متوقف", "خاتمه یافته")


def projects(town: Town) -> Arrival:
    """PR-1, which widens kuche-ye Yas along its block, and other widenings and parks."""
    city, rng = town.city, town.city.rng("projects")
    open_blocks = np.flatnonzero(city.blocks.use == Use.OPEN)[: 3 + len(city.lots) // 20_000]
    others = _other_widenings(town, rng)
    strip, long = _strip(), shapely.length(town.streets.shapes[others]).round(2)
    shapes = [strip, *_buffered(town, others), *city.block_shapes[open_blocks]]
    titles = [fixture.PROJECT_TITLE, *("تعریض " + town.names.fa[others])]
    titles += ["احداث بوستان محله‌ای بلوک " + code for code in town.register.audit[open_blocks]]
    n = len(shapes)
    kinds = ["تعریض معبر"] * (1 + len(others)) + ["فضای عمومی"] * len(open_blocks)
    approved = jalali_dates(rng, (1398, 1400), n)
    noticed = jalali_dates(rng, (1400, 1403), n)
    state = rng.choice(np.array(_PROJECT_STATES, dtype=object), n)
    state[0] = "اعلام شده"
    approved[0], noticed[0] = fixture.PROJECT_APPROVAL, fixture.PROJECT_NOTICE
    frame = pd.DataFrame(
        {
            "شماره": "PR-" + text(np.arange(1, n + 1)),
            "عنوان": titles,
            "نوع": kinds,
            "وضعیت": state,
            "تاریخ_ابلاغ": noticed,
            "شماره_مصوبه": "م/" + text(rng.integers(1000, 9999, n)),
            "تاریخ_مصوبه": approved,
            "کد_طرح": PLAN,
            "کد_بودجه": "40" + text(rng.integers(10_000, 99_999, n)),
            "طول": [strip.bounds[2] - strip.bounds[0], *long, *[None] * len(open_blocks)],
            "قراردادها": [fixture.CONTRACTS, *[None] * (n - 1)],
        }
    )
    found = np.empty(n, dtype=object)
    found[:] = shapes
    safe = np.arange(n) == 0
    return Arrival(
        "projects", "پروژه_ها.geojson", "GeoJSON", frame, found, "Polygon", "projects", safe=safe
    )


def _strip() -> shapely.Polygon:
    x0, y0, x1, y1 = fixture.PROJECT_BOX
    return shapely.box(ORIGIN[0] + x0, ORIGIN[1] + y0, ORIGIN[0] + x1, ORIGIN[1] + y1, ccw=False)


def _other_widenings(town: Town, rng: np.random.Generator) -> Ints:
    """Whole street segments that are being widened, none of them Yas."""
    at = _widened(town)
    home: Bools = np.isin(town.streets.line[at], town.streets.lane_line[fixture.YAS_LANE])
    at = at[~home]
    return rng.permutation(at)[: 4 + len(town.city.lots) // 5000]


def _buffered(town: Town, at: Ints) -> list[shapely.Geometry]:
    half: Floats = town.names.width_plan[at] / 2
    strips = shapely.buffer(town.streets.shapes[at], half, cap_style="flat", join_style="mitre")
    return list(shapely.set_precision(strips, 0.001))
