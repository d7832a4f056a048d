"""What other systems know of properties: flats by their code, second plates, cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Ints, Objects, objects, only_where, owners
from pipeline.sample.arrivals import Arrival
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import text
from pipeline.sample.town import Town, land_uses

_LISTED = 0.1
_WALLS = 0.85
_SECOND = 50
_CASES = 20
_TYPES = (
    "پروانه ساختمان", "تخریب و نوسازی", "اضافه اشکوب", "تمدید پروانه", "تغییر نقشه",
    "گواهی عدم خلاف", "پاسخ استعلام", "تخلف ساختمانی", "تملک", "اجاره",
)  # fmt: skip
_STAGES = ("تشکیل پرونده", "بازدید", "دستور نقشه", "کنترل نقشه", "کمیسیون", "ابلاغ")
#: What owners hold of a right, and of how many parts.
_PARTS: tuple[tuple[tuple[int, ...], int], ...] = (((6,), 6), ((3, 3), 6), ((36, 24, 12), 72))
_SYSTEMS = {"تملک": "املاک", "اجاره": "املاک"}


def units(town: Town) -> Arrival:
    """Flats of the houses that are listed so far, a tenth of them and those of the fixture."""
    houses, city = town.houses, town.city
    listed = (houses.dwellings > 1) & (city.rng("units").random(len(houses)) < _LISTED)
    listed |= city.home_lots[houses.lot] & (houses.dwellings > 0)
    house, flat = owners(np.where(listed, houses.dwellings, 0))
    beside = np.maximum(houses.dwellings[house] // np.maximum(houses.floors[house], 1), 1)
    lot = houses.lot[house]
    area = np.round(shapely.area(houses.shapes[house]) / beside * _WALLS, 2)
    frame = pd.DataFrame(
        {
            "KOD_VAHED": town.register.prefix[lot] + "-1-" + text(flat + 1) + "-0",
            "KOD_SAKHT": town.register.prefix[lot] + "-1-0-0",
            "KOD_MELK": town.register.property[lot],
            "NOE": "آپارتمان",
            "KARBARI": land_uses(town)[lot],
            "TABAGHE": flat // beside + 1,
            "MAS_MOFID": area,
            "PARKING": np.minimum(flat % 2, 1),
        }
    )
    return Arrival("building_units", "vahedha.csv", "CSV", frame, safe=city.home_lots[lot])


def second_plates(town: Town) -> Arrival:
    """The other plate of every fiftieth plot, and of P7: the next sub number of the same main."""
    city = town.city
    lot = np.sort(
        city.rng("second plates").permutation(len(town.area))[: 2 + len(town.area) // _SECOND]
    )
    lot = np.unique(np.append(lot, city.p7))
    main = 4000 + np.arange(len(lot))
    plate = objects(text(main) + "/" + text(lot % 900 + 1) + " بخش " + text(lot % 4 + 1))
    plate[lot == city.p7] = fixture.SECOND_PLATE
    frame = pd.DataFrame(
        {
            "کد نوسازی": town.register.property[lot],
            "پلاک ثبتی": plate,
            "مفروز از": only_where(
                (np.arange(len(lot)) % 3 == 0) & (lot != city.p7), objects(text(main))
            ),
            "قطعه": text(np.arange(len(lot)) % 9 + 1),
        }
    )
    return Arrival("parcel_plates", "pelak_dovom.csv", "CSV", frame, safe=lot == city.p7)


def cases(town: Town) -> Arrival:
    """References to cases of the last years; a third of them are open."""
    rng, n = town.city.rng("cases"), 6 + len(town.area) // _CASES
    lot = rng.integers(0, len(town.area), n)
    lot[0] = town.city.p7
    kind: Objects = np.array(_TYPES, dtype=object)[rng.integers(0, len(_TYPES), n)]
    kind[0] = _TYPES[0]
    closed = rng.random(n) < 0.65
    closed[0] = False
    opened = objects(jalali_dates(rng, (1400, 1402), n))
    frame = pd.DataFrame(
        {
            "سامانه": [_SYSTEMS.get(one, "شهرسازی") for one in kind],
            "شماره پرونده": "پ/" + text(np.arange(1, n + 1), 6),
            "نوع درخواست": kind,
            "مرحله": np.where(closed, "صدور", _stages(rng, n)).astype(object),
            "تاریخ تشکیل": opened,
            "تاریخ مرحله": objects(jalali_dates(rng, (1402, 1403), n)),
            "تاریخ پایان": only_where(closed, objects(jalali_dates(rng, (1403, 1404), n))),
            "کد نوسازی": town.register.property[lot],
        }
    )
    return Arrival("case_files", "parvandeha.csv", "CSV", frame, safe=town.city.home_lots[lot])


def shares(town: Town) -> Arrival:
    """Rights of some plots in parts of six dang or 72 habbeh that make up the whole."""
    rng, n = town.city.rng("shares"), 4 + len(town.area) // _SECOND
    lot = np.sort(rng.permutation(len(town.area))[:n])
    right, part = owners(np.array([len(_PARTS[at % len(_PARTS)][0]) for at in range(n)]))
    held = [_PARTS[at % len(_PARTS)][0][number] for at, number in zip(right, part, strict=True)]
    frame = pd.DataFrame(
        {
            "شماره حق": "ح-" + text(right + 1, 5),
            "ردیف": part + 1,
            "کد نوسازی": town.register.property[lot[right]],
            "نوع حق": "مالکیت",
            "سهم": held,
            "از": [_PARTS[at % len(_PARTS)][1] for at in right],
            "نام مالک": "مالک نمونه " + text(right * 4 + part + 1),
            "کد ملی": text(1000000000 + right * 40 + part),
        }
    )
    whole = np.ones(len(frame), dtype=np.bool_)  # shares of a right belong together
    return Arrival("ownership_shares", "saham_malekiyat.csv", "CSV", frame, safe=whole)


def _stages(rng: np.random.Generator, size: int) -> Objects:
    pool: Objects = np.array(_STAGES, dtype=object)
    found: Ints = rng.integers(0, len(_STAGES), size)
    chosen: Objects = pool[found]
    return chosen
