"""The town: the bare city with its streets, areas, numbers and houses, as every office sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.contracts.city import Extent
from pipeline.sample import model, naming
from pipeline.sample.areas import Areas, areas
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, offsets
from pipeline.sample.blocks import Use
from pipeline.sample.cells import Kind
from pipeline.sample.houses import Houses, houses
from pipeline.sample.model import City
from pipeline.sample.naming import StreetNames
from pipeline.sample.register import Register, postal_prefixes, register
from pipeline.sample.streets import Streets, streets

_BUSY_WIDTH_M = 14.0


@dataclass(frozen=True)
class Town:
    """``front`` (lots,) is the street segment each plot fronts on, ``front_middle`` (lots, 2) the
    middle of its front and ``area`` (lots,) its grid area, EPSG:32639. ``loss`` (lots,) is what
    the widening of that street will take (m2)."""

    city: City
    areas: Areas
    streets: Streets
    names: StreetNames
    register: Register
    houses: Houses
    front: Ints
    front_middle: Floats
    area: Floats
    loss: Floats
    postal: Objects


def _front_lines(city: City, streets: Streets) -> Ints:
    """The line of the street each row of plots fronts on (rows,)."""
    rows, blocks, cells, lanes = city.rows, city.blocks, city.cells, city.lanes
    cell, strip = blocks.cell[rows.block], blocks.strip[rows.block]
    turned, count = cells.turned[cell], lanes.count[cell]
    low = np.where(turned, cells.line_east[cell], cells.line_south[cell])
    high = np.where(turned, cells.line_west[cell], cells.line_north[cell])
    inner = offsets(lanes.count)[cell] + np.where(rows.upper, strip, strip - 1)
    at_edge = np.where(rows.upper, strip == count, strip == 0)
    lane = streets.lane_line[np.clip(inner, 0, max(len(streets.lane_line) - 1, 0))]
    return np.where(at_edge, np.where(rows.upper, high, low), lane).astype(np.int64)


def _fronts(city: City, streets: Streets) -> Ints:
    lots, cells = city.lots, city.cells
    line = _front_lines(city, streets)[lots.row]
    p, q = lots.p[lots.front].mean(axis=1), lots.q[lots.front].mean(axis=1)
    x, y = city.board(city.lot_cell, p, q)
    along = np.where(cells.turned[city.lot_cell], y, x)
    return streets.at(line, along)


def _loss(city: City, names: StreetNames, front: Ints, area: Floats) -> Floats:
    """Frontage times half the widening, to the cm2, and never more than half a plot."""
    ends = city.points[city.lots.front]
    frontage = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    strip = (names.width_plan - names.width)[front] / 2
    return np.asarray(np.round(np.minimum(frontage * strip, area / 2), 2), dtype=np.float64)


def build(parcels: int, seed: int, extent: Extent) -> Town:
    """The whole town, deterministic for ``parcels`` and ``seed``."""
    city = model.build(parcels, seed, extent)
    network = streets(city)
    land = areas(city)
    names = naming.street_names(city, network)
    front = _fronts(city, network)
    area = shapely.area(city.plots)
    between = network.lines.cell[network.line[front]] < 0
    busy: Bools = between & (names.width[front] >= _BUSY_WIDTH_M)
    middle = city.points[city.lots.front].mean(axis=1)
    return Town(
        city=city,
        areas=land,
        streets=network,
        names=names,
        register=register(city, land),
        houses=houses(city, busy),
        front=front,
        front_middle=middle,
        area=area,
        loss=_loss(city, names, front, area),
        postal=postal_prefixes(int(land.postal.max()) + 1),
    )


def is_busy(town: Town) -> Bools:
    """Plots on a main street (lots,)."""
    between = town.streets.lines.cell[town.streets.line[town.front]] < 0
    return np.asarray(between & (town.names.width[town.front] >= _BUSY_WIDTH_M))


_USE_OF_BLOCK = {
    Use.PARK: "پارک و فضای سبز",
    Use.SCHOOL: "آموزشی",
    Use.HEALTH: "درمانی",
    Use.OFFICE: "اداری و انتظامی",
    Use.SPORTS: "ورزشی",
    Use.OPEN: "طبیعی",
    Use.RELIGIOUS: "مذهبی",
    Use.CAMPUS: "آموزش عالی",
}


def land_uses(town: Town) -> Objects:
    """The use of every plot (lots,) in the words of the municipality."""
    city, rng = town.city, town.city.rng("land use")
    drawn, busy = rng.random(len(city.lots)), is_busy(town)
    use = np.full(len(city.lots), "مسکونی", dtype=object)
    use[drawn < np.where(busy, 0.24, 0.012)] = "تجاری و خدماتی"
    use[(drawn > 0.9975) & ~busy] = "مذهبی"
    kind = city.cells.kind[city.lot_cell]
    use[(kind == Kind.OLD) & (drawn > 0.991) & (drawn < 0.997)] = "تاریخی"
    use[kind == Kind.INDUSTRY] = "صنعتی"
    use[(kind == Kind.INDUSTRY) & (drawn < 0.15)] = "حمل و نقل و انبار"
    use[kind == Kind.GARDENS] = "باغات و کشاورزی"
    of_block = city.blocks.use[city.lots.block]
    for number, word in _USE_OF_BLOCK.items():
        use[of_block == number] = word
    use[city.lots.block == 0] = "مسکونی"
    return use
