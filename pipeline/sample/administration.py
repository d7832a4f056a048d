"""What the spatial data office, the traffic department and the post send."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import names
from pipeline.sample.arrays import Floats, Ints, Objects, objects, only_where, owners
from pipeline.sample.arrivals import Arrival, legacy
from pipeline.sample.fixture import POSTCODE
from pipeline.sample.register import postcodes as numbered
from pipeline.sample.register import text
from pipeline.sample.town import Town, is_busy


def _multi(shapes: Objects) -> Objects:
    """Every shape as a multi-part one, as the file's type says."""
    parts, whole = shapely.get_parts(shapes, return_index=True)
    return objects(shapely.multipolygons(parts, indices=whole))


def regions(town: Town) -> Arrival:
    """The eight regions."""
    number, shapes = town.areas.dissolved(town.areas.region)
    avenue = np.array(list(names.AVENUES), dtype=object)[number % len(names.AVENUES)]
    frame = pd.DataFrame(
        {
            "KOD": number,
            "NAM": "منطقه " + text(number),
            "NAM_LATIN": "Region " + text(number),
            "NESHANI": "قم، خیابان " + avenue + "، ساختمان شهرداری منطقه " + text(number),
        }
    )
    safe = number == 1
    return Arrival(
        "regions",
        "manategh.gpkg",
        "GPKG",
        frame,
        _multi(shapes),
        "MultiPolygon",
        "manategh",
        safe=safe,
    )


def districts(town: Town) -> Arrival:
    """The districts of all regions."""
    number, shapes = town.areas.dissolved(town.areas.district)
    frame = pd.DataFrame(
        {
            "KOD_NAHIE": text(number // 10) + "-" + text(number),
            "MANTAGHE": number // 10,
            "NAM": "ناحیه " + text(number % 10) + " منطقه " + text(number // 10),
        }
    )
    safe = number == 12
    return Arrival(
        "districts",
        "navahi.gpkg",
        "GPKG",
        frame,
        _multi(shapes),
        "MultiPolygon",
        "navahi",
        safe=safe,
    )


def neighbourhoods(town: Town) -> Arrival:
    """The neighbourhoods; the fixture's has number 12."""
    number, shapes = town.areas.dissolved(town.areas.neighbourhood)
    code = number + 1
    code[code == 12] = 1
    code[0] = 12
    fa, en = names.numbered(names.QUARTERS, number)
    first = np.searchsorted(np.sort(town.areas.neighbourhood), number)
    region = town.areas.region[np.argsort(town.areas.neighbourhood, kind="stable")[first]]
    other = only_where(number % 7 == 3, "محله " + fa + " قدیم")
    frame = pd.DataFrame(
        {"کد": text(code), "نام": fa, "نام_لاتین": en, "نام_دیگر": other, "منطقه": text(region)}
    )
    safe = number == 0
    return Arrival(
        "neighbourhoods",
        "mahallat.geojson",
        "GeoJSON",
        frame,
        _multi(shapes),
        "MultiPolygon",
        "mahallat",
        safe=safe,
    )


def postal_areas(town: Town) -> Arrival:
    """Areas of the first five digits of the postcode."""
    number, shapes = town.areas.dissolved(town.areas.postal)
    frame = pd.DataFrame(
        {"PISH_SHOMARE": town.postal[number], "TOZIH": "حوزه توزیع " + text(number + 1)}
    )
    safe = number == 0
    return Arrival(
        "postcode_areas",
        "hoze_posti.gpkg",
        "GPKG",
        frame,
        _multi(shapes),
        "MultiPolygon",
        "hoze_posti",
        safe=safe,
    )


def _house_numbers(town: Town) -> tuple[Ints, Ints]:
    """House numbers of the plots (lots,), and how many plots each street segment has."""
    order = np.argsort(town.front, kind="stable")
    count = np.bincount(town.front, minlength=len(town.streets))
    number = np.zeros(len(order), dtype=np.int64)
    number[order] = owners(count)[1] + 1
    return number, count


def streets(town: Town) -> Arrival:
    """The streets, a cp1256 Shapefile from an old program."""
    given, network = town.names, town.streets
    fa, en = legacy(given.fa), given.en
    _number, count = _house_numbers(town)
    has = count > 0
    left = pd.array(np.where(has, 1, 0), dtype="Int64")
    left_to = pd.array(2 * count - 1, dtype="Int64")
    left[~has], left_to[~has] = pd.NA, pd.NA
    cell = network.lines.cell[network.line]
    area = only_where(cell >= 0, town.postal[town.areas.postal[cell]])
    frame = pd.DataFrame(
        {
            "KOD": given.code,
            "NAM": fa,
            "NAM_LATIN": en,
            "NOE": legacy(given.kind),
            "DARAJE": legacy(given.rank),
            "ARZ_MOJUD": given.width,
            "ARZ_TARH": given.width_plan,
            "YEKTARAFE": legacy(np.where(given.one_way, "بلی", "خیر").astype(object)),
            "PELAK_AZ": left,
            "PELAK_TA": left_to,
            "POST_CHAP": area,
            "POST_RAST": area,
            "ID": np.arange(len(fa)),
        }
    )
    safe = np.isin(network.line, network.lane_line[:3])
    return Arrival(
        "streets",
        "maaber.shp",
        "ESRI Shapefile",
        frame,
        network.shapes,
        "LineString",
        encoding="CP1256",
        safe=safe,
    )


def _doors(town: Town) -> Floats:
    """A point a metre behind the middle of each plot's front (lots, 2); of wide plots a point
    inside."""
    lots, points = town.city.lots, town.city.points
    back = points[lots.back].mean(axis=1)
    inward = back - town.front_middle
    door = town.front_middle + inward / np.hypot(*inward.T)[:, None]
    wide = np.hypot(*(points[lots.front[:, 1]] - points[lots.front[:, 0]]).T) > 26.0
    door[wide] = shapely.get_coordinates(shapely.point_on_surface(town.city.plots[wide]))
    return np.asarray(door, dtype=np.float64)


def postcodes(town: Town) -> Arrival:
    """Postcodes as a table with coordinates: one for each building, for some one a flat."""
    city, houses, rng = town.city, town.houses, town.city.rng("postcodes")
    by_flat = (houses.dwellings > 1) & (rng.random(len(houses)) < 0.08)
    by_flat[city.home_lots[houses.lot]] = False
    places = np.where(by_flat, houses.dwellings, 1)
    house, flat = owners(places)
    lot = houses.lot[house]
    area = town.areas.postal[city.lot_cell[lot]]
    code = numbered(town.postal, area)
    code[lot == city.p7] = POSTCODE
    shop = is_busy(town)[lot] & (rng.random(len(lot)) < 0.2)
    kind = np.where(houses.dwellings[house] > 0, "مسکونی", "دفتر کار").astype(object)
    kind[shop], kind[houses.state[lot] > 1] = "مغازه", "خالی"
    number = _house_numbers(town)[0][lot]
    street = town.front[lot]
    unit = only_where(by_flat[house], text(flat + 1))
    frame = pd.DataFrame(
        {
            "KOD_POSTI": code,
            "نوع مکان": kind,
            "کیفیت": "درب",
            "KOD_NOSAZI": town.register.property[lot],
            "KOD_SAKHT": town.register.prefix[lot] + "-1-0-0",
            "واحد": unit,
            "KOD_MABAR": town.names.code[street],
            "پلاک": text(number),
            "نشانی": "قم، " + town.names.fa[street] + "، پلاک " + text(number),
            "شهر": "قم",
        }
    )
    doors = objects(shapely.points(_doors(town)[lot]))
    return Arrival(
        "postcodes",
        "kod_posti.csv",
        "CSV",
        frame,
        doors,
        "Point",
        xy=("X", "Y"),
        safe=city.home_lots[lot],
    )
