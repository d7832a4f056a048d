"""The property audit: a table with persons in it, whose codes are written as auditors write them.

``truth_audit.csv`` says of every row by which rung of the ladder it must find which parcel. Its
faults are those that the ladder is for; no others are planted.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from pipeline.sample.arrays import Bools, Ints, Objects, objects, only_where, owners
from pipeline.sample.arrivals import Arrival, legacy
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import plates, text
from pipeline.sample.town import Town, land_uses

ROUND = "1398"
EXACT, REPAIRED, PLATE, POSTCODE, ADDRESS, PLACE, AMBIGUOUS, UNMATCHED = range(8)
METHODS = (
    "exact_code", "repaired_code", "plate", "postal_code", "address", "place", "ambiguous",
    "unmatched",
)  # fmt: skip
_SHARES = (0.90, 0.04, 0.015, 0.015, 0.01, 0.01, 0.005, 0.005)
_NAMES = ("نمونه", "آزمایشی", "فرضی", "ساختگی")
_PERSIAN_DIGITS = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


@dataclass(frozen=True)
class Audited:
    """The audit's table, and what is true of its rows: rung (rows,) and plot (rows,)."""

    arrival: Arrival
    rung: Ints
    property: Objects

    def write_truth(self, folder: Path) -> None:
        """truth_audit.csv: row of the file from 1, method, parcel code where one must be found."""
        with (folder / "truth_audit.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("row", "method", "parcel_code"))
            for row, (rung, code) in enumerate(zip(self.rung, self.property, strict=True), 1):
                writer.writerow((row, METHODS[rung], code if rung < AMBIGUOUS else ""))


def audit(town: Town, postcodes: Arrival) -> Audited:
    """One row for each plot, and one more for each flat of some houses, which say whose it is."""
    city, rng = town.city, town.city.rng("audit")
    houses = town.houses
    by_flat = (houses.dwellings > 1) & (rng.random(len(houses)) < 0.1)
    flats = np.zeros(len(city.lots), dtype=np.int64)
    flats[houses.lot[by_flat]] = houses.dwellings[by_flat]
    lot, flat = owners(flats + 1)
    rung = rng.choice(len(METHODS), len(lot), p=_SHARES)
    rung[flat > 0] = REPAIRED
    rung[city.home_lots[lot] & (flat == 0)] = EXACT
    first = _first_postcode(town, postcodes)
    rung[(first[lot] < 0) & np.isin(rung, (POSTCODE, ADDRESS))] = EXACT
    rung[~_only_one(town, postcodes, first)[lot] & (rung == ADDRESS)] = EXACT
    rung[~_only_plate(town)[lot] & (rung == PLATE)] = EXACT
    return Audited(
        _arrival(town, postcodes, lot, flat, rung, first), rung, town.register.property[lot]
    )


def _first_postcode(town: Town, postcodes: Arrival) -> Ints:
    """The row of the first postcode of every plot (lots,), -1 where it has none."""
    place = {code: at for at, code in enumerate(town.register.property)}
    lot = np.array([place[code] for code in postcodes.frame["KOD_NOSAZI"]], dtype=np.int64)
    first = np.full(len(town.city.lots), -1, dtype=np.int64)
    first[lot[::-1]] = np.arange(len(lot))[::-1]
    return first


def _only_one(town: Town, postcodes: Arrival, first: Ints) -> Bools:
    """Plots whose address nobody else in the block has (lots,)."""
    address = postcodes.frame["نشانی"].to_numpy(dtype=object)[np.maximum(first, 0)]
    named = pd.Series(address) + " " + pd.Series(town.city.lots.block.astype(str))
    return np.asarray(~named.duplicated(keep=False) & (first >= 0), dtype=np.bool_)


def _only_plate(town: Town) -> Bools:
    """Plots whose plate is no other's, in whatever order its numbers are read (lots,)."""
    plate = plates(town.city, town.areas)
    plain, turned = pd.Series(plate), pd.Series([_turned(one) for one in plate])
    return np.asarray(~plain.duplicated(keep=False) & ~plain.isin(turned), dtype=np.bool_)


def _codes(town: Town, lot: Ints, flat: Ints, rung: Ints, rng: np.random.Generator) -> Objects:
    """Property codes as they were written down."""
    code = town.register.prefix[lot] + "-0-0-0"
    code[flat > 0] = (town.register.prefix[lot] + "-1-" + text(flat) + "-0")[flat > 0]
    at = np.flatnonzero((rung == REPAIRED) & (flat == 0))
    way = rng.integers(0, 4, len(at))
    parts = [one.split("-") for one in town.register.prefix[lot[at]]]
    code[at] = [_misspelt(one, turn) for one, turn in zip(parts, way, strict=True)]
    lost = np.flatnonzero(rung == UNMATCHED)
    code[lost] = [f"{99}-{number % 90 + 1}-{number}-1-0-0-0" for number in range(1, len(lost) + 1)]
    return only_where(np.isin(rung, (EXACT, REPAIRED, UNMATCHED)), code)


def _misspelt(parts: list[str], way: int) -> str:
    """The same property as 7-45-12-1 turned round, short, padded, or with other signs."""
    if way == 0:
        return "-".join(["0", "0", "0", *reversed(parts)])
    if way == 1:
        return "-".join(parts)
    if way == 2:
        widths = (2, 3, 4, 4)
        return "-".join([p.zfill(w) for p, w in zip(parts, widths, strict=True)] + ["00"] * 3)
    return "/".join([*parts, "0", "0", "0"]).translate(_PERSIAN_DIGITS)


def _visits(town: Town, lot: Ints, rung: Ints) -> Objects:
    """Where the auditor stood: in the plot, or on the corner it shares with its neighbours."""
    inside = objects(shapely.point_on_surface(town.city.plots[lot]))
    corner = objects(shapely.get_point(shapely.get_exterior_ring(town.city.plots[lot]), 0))
    found = np.full(len(lot), None, dtype=object)
    found[rung == PLACE] = inside[rung == PLACE]
    found[rung == AMBIGUOUS] = corner[rung == AMBIGUOUS]
    return found


def _alone(town: Town, lot: Ints) -> Bools:
    """Plots whose first corner touches no other plot (rows,): nothing is doubtful there."""
    corner = objects(shapely.get_point(shapely.get_exterior_ring(town.city.plots[lot]), 0))
    pairs = shapely.STRtree(town.city.plots).query(corner, predicate="intersects")
    return np.asarray(np.bincount(pairs[0], minlength=len(lot)) < 2)


def _arrival(
    town: Town, postcodes: Arrival, lot: Ints, flat: Ints, rung: Ints, first: Ints
) -> Arrival:
    rng, n = town.city.rng("audit values"), len(lot)
    doubtful = rung == AMBIGUOUS
    rung[doubtful & _alone(town, lot)] = EXACT
    plate = plates(town.city, town.areas)[lot]
    swapped = objects([_turned(one) if at % 2 else one for at, one in enumerate(plate)])
    known = np.maximum(first[lot], 0)
    address = legacy(postcodes.frame["نشانی"].to_numpy(dtype=object)[known])
    floors = np.zeros(len(town.city.lots))
    built = np.zeros(len(town.city.lots))
    floors[town.houses.lot] = town.houses.floors
    built[town.houses.lot] = np.round(shapely.area(town.houses.shapes) * town.houses.floors, 1)
    year = np.full(len(town.city.lots), -1)
    year[town.houses.lot] = town.houses.year
    has = (floors[lot] > 0) & (flat == 0)
    frame = pd.DataFrame(
        {
            "دوره": ROUND,
            "ردیف": np.arange(1, n + 1),
            "کد نوسازی": _codes(town, lot, flat, rung, rng),
            "پلاک ثبتی": only_where(rung == PLATE, swapped),
            "کد پستی": only_where(
                rung == POSTCODE, postcodes.frame["KOD_POSTI"].to_numpy(dtype=object)[known]
            ),
            "نشانی": only_where(rung == ADDRESS, address),
            "بلوک": town.register.audit[town.city.lots.block[lot]],
            "واحد": only_where(flat > 0, text(flat)),
            "کاربری": land_uses(town)[lot],
            "عرصه": np.round(town.area[lot] * rng.normal(1.0, 0.01, n), 1),
            "اعیان": pd.array(np.where(has, built[lot], np.nan), dtype="Float64"),
            "طبقات": pd.array(np.where(has, floors[lot], np.nan), dtype="Float64"),
            "سال ساخت": pd.array(np.where(has, year[lot], np.nan), dtype="Int64"),
            "تاریخ بازدید": jalali_dates(rng, (1398, 1399), n),
            "کد ممیز": rng.integers(11, 40, n).astype(str),
            "نام مالک": [f"مالک {name} {at}" for at, name in enumerate(rng.choice(_NAMES, n), 1)],
            "کد ملی": text(rng.integers(0, 10**9, n), 9) + "0",
            "تلفن": "0900" + text(rng.integers(0, 10**7, n), 7),
        }
    )
    return Arrival(
        "audit", "momayyezi_1398.csv", "CSV", frame, _visits(town, lot, rung), "Point",
        xy=("X", "Y"), decimals=3, safe=np.ones(n, dtype=np.bool_),
    )  # fmt: skip


def _turned(plate: str) -> str:
    """Main and sub number change places, as text from right to left is copied."""
    numbers, _, rest = plate.partition(" ")
    main, _, sub = numbers.partition("/")
    return f"{sub}/{main} {rest}"
