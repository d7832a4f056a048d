"""What the urban planning department sends: plots, blocks and buildings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import corners, fixture
from pipeline.sample.arrays import Bools, Ints, Objects, pick
from pipeline.sample.arrivals import Arrival
from pipeline.sample.blocks import Use
from pipeline.sample.cells import Kind
from pipeline.sample.register import plates
from pipeline.sample.town import Town, land_uses

_STATES = np.array(["ساخته شده", "بایر", "مخروبه", "در حال ساخت"], dtype=object)
_SOURCES = {"تبدیل عکسی": 0.7, "برداشت زمینی": 0.2, "نقشه سند": 0.07, "رقومی سازی": 0.03}


def jalali_dates(rng: np.random.Generator, years: tuple[int, int], size: int) -> Objects:
    """Jalali dates as offices write them, 1402/05/17, between the first days of ``years``."""
    every = [
        f"{year}/{month:02d}/{day:02d}"
        for year in range(*years)
        for month in range(1, 13)
        for day in range(1, 32 if month < 7 else 31 if month < 12 else 30)
    ]
    pool = np.array(every, dtype=object)
    found: Objects = pool[rng.integers(0, len(pool), size)]
    return found


def arabic_letters(rng: np.random.Generator, values: Objects, share: float) -> Objects:
    """Some of the texts typed on an Arabic keyboard: yeh and kaf are other letters there."""
    table = str.maketrans({"ی": "ي", "ک": "ك"})
    typed = {value: value.translate(table) for value in set(values)}
    found = values.copy()
    at = np.flatnonzero(rng.random(len(values)) < share)
    found[at] = [typed[value] for value in values[at]]
    return found


def _plot_kinds(town: Town) -> Objects:
    city = town.city
    kind = np.where(town.houses.state == 1, "زمین", "ساختمان").astype(object)
    kind[city.cells.kind[city.lot_cell] == Kind.GARDENS] = "باغ"
    kind[city.blocks.use[city.lots.block] == Use.PARK] = "عمومی"
    return kind


def plots(town: Town) -> Arrival:
    """The plots, one GeoPackage for the city."""
    city, rng = town.city, town.city.rng("plots")
    n = len(city.lots)
    # Tapes and deeds differ from the map by less than the 2 % that the contract allows.
    deed = np.round(town.area * (1.0 + np.clip(rng.normal(0.0011, 0.004, n), -0.015, 0.015)), 2)
    measured = np.round(town.area * (1.0 + np.clip(rng.normal(0.0, 0.002, n), -0.008, 0.008)), 2)
    deed[rng.random(n) < 0.12] = np.nan
    home = city.home_lots
    measured[home], deed[home] = np.round(town.area[home], 2), np.round(town.area[home], 2)
    deed[city.p7] = fixture.DEED_M2
    frame = pd.DataFrame(
        {
            "KOD_NOSAZI": town.register.property,
            "KOD_BLOK": town.register.audit[city.lots.block],
            "کاربری": arabic_letters(rng, land_uses(town), 0.05),
            "NOE_ARSE": _plot_kinds(town),
            "وضعیت": _STATES[town.houses.state],
            "MAS_SANAD": deed,
            "MAS_MOJUD": measured,
            "MAS_BAGHI": np.round(measured - town.loss, 2),
            "MAS_PAKH": corners.after_chamfer(town, measured - town.loss),
            "MAS_GOZAR": corners.passages(town),
            "PLAK_SABTI": plates(city, town.areas),
            "MANBA": pick(rng, _SOURCES, n),
            "TARIKH": jalali_dates(rng, (1396, 1403), n),
            "KOD_KARBAR": rng.integers(101, 140, n),
        }
    )
    return Arrival(
        "parcels", "amlak.gpkg", "GPKG", frame, city.plots, "Polygon", layer="amlak", safe=home
    )


def blocks(town: Town) -> Arrival:
    """The audit blocks, a UTF-8 Shapefile."""
    city = town.city
    cell = city.blocks.cell
    count = np.bincount(city.lots.block, minlength=len(city.blocks))
    frame = pd.DataFrame(
        {
            "KOD_BLOK": town.register.audit,
            "KOD_NAHIE": town.register.division[cell],
            "MANTAGHE": town.areas.region[cell],
            "TEDAD": count,
            "MAABER": _bounding(town),
            "SHAPE_Leng": np.round(shapely.length(city.block_shapes), 3),
        }
    )
    safe = np.arange(len(frame)) < 2
    return Arrival(
        "blocks", "blok.shp", "ESRI Shapefile", frame, city.block_shapes, "Polygon", safe=safe
    )


def _bounding(town: Town) -> Objects:
    """Names of the streets in front of the block's first and last row (blocks,)."""
    block = town.city.lots.block
    first = np.searchsorted(block, np.arange(len(town.city.blocks)))
    last = np.append(first[1:], len(block)) - 1
    one, other = (town.names.fa[town.front[at]] for at in (first, last))
    return np.where(one == other, one, one + "، " + other)


def _structures(rng: np.random.Generator, year: Ints, old: Bools) -> Objects:
    early = pick(rng, {"آجری": 0.6, "خشت و گل": 0.3, "چوبی": 0.1}, len(year))
    middle = pick(rng, {"آجری": 0.5, "آجری با کلاف": 0.3, "اسکلت فلزی": 0.2}, len(year))
    late = pick(rng, {"اسکلت فلزی": 0.45, "اسکلت بتنی": 0.5, "پیش ساخته": 0.05}, len(year))
    return np.where(old & (year < 1345), early, np.where(year < 1378, middle, late))


def buildings(town: Town) -> Arrival:
    """The buildings, a UTF-8 Shapefile; storeys are typed as text, as they are there."""
    city, rng, houses = town.city, town.city.rng("buildings"), town.houses
    n, lot = len(houses), houses.lot
    old = city.cells.kind[city.lot_cell[lot]] == Kind.OLD
    facade = {
        "آجر": 0.4,
        "سنگ": 0.35,
        "سیمان": 0.15,
        "سرامیک": 0.05,
        "کامپوزیت": 0.02,
        "بدون نما": 0.1,
    }
    height = np.round(houses.floors * rng.uniform(3.0, 3.4, n) + rng.uniform(0.2, 0.9, n), 2)
    frame = pd.DataFrame(
        {
            "OBJECTID": np.arange(1, n + 1),
            "KOD_SAKHT": town.register.prefix[lot] + "-1-0-0",
            "KOD_MELK": town.register.property[lot],
            "TABAGHAT": houses.floors.astype(str).astype(object),
            "ZIRZAMIN": houses.basements,
            "ERTEFA": height,
            "ESKELET": _structures(rng, houses.year, old),
            "NAMA": pick(rng, facade, n),
            "SAL_SAKHT": houses.year,
            "KARBARI": land_uses(town)[lot],
        }
    )
    return Arrival(
        "buildings",
        "sakhteman.shp",
        "ESRI Shapefile",
        frame,
        houses.shapes,
        "Polygon",
        safe=city.home_lots[lot],
    )


_SIDES = {"شمال": 10.0, "شرق": 20.0, "جنوب": 10.0, "غرب": 20.0}


def dimensions(town: Town) -> Arrival:
    """The four sides of the plots that PR-1 takes land of, by deed and as visited; P7's exactly."""
    city, rng = town.city, town.city.rng("dimensions")
    at = np.flatnonzero((city.lots.block == 0) & np.isin(city.lots.number, fixture.AFFECTED))
    sides, deed = np.tile(list(_SIDES), len(at)), np.tile(list(_SIDES.values()), len(at))
    plot = np.repeat(at, len(_SIDES))
    taped = np.round(deed + np.where(plot == city.p7, 0.0, rng.normal(0.0, 0.02, len(plot))), 2)
    frame = pd.DataFrame(
        {
            "کد نوسازی": town.register.property[plot],
            "ضلع": sides,
            "طول سند": deed,
            "طول موجود": taped,
            "تاریخ برداشت": np.repeat(jalali_dates(rng, (1400, 1403), len(at)), len(_SIDES)),
        }
    )
    return Arrival(
        "edge_dimensions", "arbae.xlsx", "XLSX", frame, layer="ابعاد",
        safe=np.ones(len(frame), dtype=np.bool_),
    )  # fmt: skip
