"""Bar-o-kaf of the plan: corners it cuts off, lines that houses keep behind, heights of roads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from shapely.ops import substring

from pipeline.sample.arrays import objects, offsets, owners
from pipeline.sample.arrivals import Arrival
from pipeline.sample.corners import chamfered
from pipeline.sample.planning import PLAN
from pipeline.sample.register import text
from pipeline.sample.streets import yas
from pipeline.sample.terrain import height
from pipeline.sample.town import Town

_SET_BACK = 0.3
_MAIN_M, _WIDE_M = 14.0, 20.0
_SETBACK_M, _SETBACK_WIDE_M = 3.0, 5.0
_JUNCTION_M, _SHORT_M = 15.0, 60.0
_FROM_END_M, _APART_M = 1.0, 150.0
_DATUM = "irhs1998"


def chamfers(town: Town) -> Arrival:
    """The chamfers of the detailed plan."""
    found = chamfered(town)
    frame = pd.DataFrame(
        {
            "KOD_TARH": PLAN,
            "SHENASE": "PK-" + text(np.arange(1, len(found.lot) + 1), 6),
            "ANDAZE": found.leg,
        }
    )
    return Arrival(
        "chamfers", "pakh.gpkg", "GPKG", frame, found.shapes, "Polygon", "pakh",
        safe=town.city.home_lots[found.lot],
    )  # fmt: skip


def setback_lines(town: Town) -> Arrival:
    """Along both sides of some main streets, as far behind the planned edge as houses stand."""
    plan = town.names.width_plan
    length = shapely.length(town.streets.shapes)
    main = (plan >= _MAIN_M) & (length > _SHORT_M)
    main &= town.city.rng("setbacks").random(len(plan)) < _SET_BACK
    # The smallest city has one too.
    chosen = np.flatnonzero(main) if main.any() else np.array([np.argmax(length)])
    street = np.repeat(chosen, 2)
    side = np.tile([1.0, -1.0], len(street) // 2)
    deep = np.where(plan[street] < _WIDE_M, _SETBACK_M, _SETBACK_WIDE_M)
    away = side * (plan[street] / 2 + deep)
    axes = [substring(line, _JUNCTION_M, line.length - _JUNCTION_M)
            for line in town.streets.shapes[street]]  # fmt: skip
    shapes = shapely.offset_curve(objects(axes), away, join_style="mitre")
    letter = np.where(side > 0, "-L", "-R").astype(object)
    frame = pd.DataFrame(
        {
            "KOD_TARH": PLAN,
            "SHENASE": "AN-" + text(street + 1, 6) + letter,
            "ANDAZE": deep,
            "KOD_MABAR": town.names.code[street],
        }
    )
    return Arrival(
        "setback_lines", "aghabneshini.gpkg", "GPKG", frame,
        objects(shapely.set_precision(shapes, 0.001, mode="pointwise")), "LineString",
        "aghabneshini",
    )  # fmt: skip


def road_levels(town: Town) -> Arrival:
    """Heights of the streets that the plan widens: near their ends, and between on long ones."""
    street = np.flatnonzero(town.names.width_plan > town.names.width)
    length = shapely.length(town.streets.shapes[street])
    count = np.ceil(length / _APART_M).astype(np.int64) + 1
    of, within = owners(count)
    room = length - 2 * _FROM_END_M
    station = np.round(_FROM_END_M + room[of] * within / (count[of] - 1), 2)
    points = shapely.line_interpolate_point(town.streets.shapes[street[of]], station)
    points = shapely.set_precision(points, 0.001)
    number = np.arange(len(of)) - offsets(count)[of] + 1
    frame = pd.DataFrame(
        {
            "KOD_TARH": PLAN,
            "SHENASE": "K-" + text(street[of] + 1, 6) + "-" + text(number),
            "RAGHAM": np.round(height(shapely.get_x(points), shapely.get_y(points)), 3),
            "MABNA": _DATUM,
            "KILOMETRAJ": station,
            "KOD_MABAR": town.names.code[street[of]],
        }
    )
    return Arrival(
        "road_levels", "kaf.gpkg", "GPKG", frame, objects(points), "Point", "kaf",
        safe=yas(town.streets)[street[of]],
    )  # fmt: skip
