"""What offices tell of the past: codes that plots had, and what became of plots that are gone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.sample.arrays import Ints, objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import text
from pipeline.sample.town import Town

_SHARE = 50
_PARTS = 2
# Property numbers that no block of today reaches.
_GONE = 800
_ROAD_M2, _SERVICES_M2 = 12.5, 20.0


def former_codes(town: Town) -> Arrival:
    """A new division of the city has renumbered every fiftieth plot or so."""
    rng = town.city.rng("former codes")
    lot = np.sort(rng.permutation(len(town.area))[: 3 + len(town.area) // _SHARE])
    now = town.register.property[lot]
    region, rest = zip(*(code.split("-", 1) for code in now), strict=True)
    frame = pd.DataFrame(
        {
            "کد قدیم": [f"{old}0-{part}" for old, part in zip(region, rest, strict=True)],
            "کد جدید": now,
            "تاریخ تغییر": jalali_dates(rng, (1385, 1395), len(lot)),
            "علت": "تغییر تقسیمات",
            "شماره نامه": "ت/" + text(np.arange(1, len(lot) + 1)),
        }
    )
    return Arrival("parcel_codes", "taghir_code.csv", "CSV", frame, safe=_all(len(lot)))


def lineage(town: Town) -> Arrival:
    """Mergers of two plots into one of today; subdivisions that gave ground to road and city."""
    rng = town.city.rng("lineage")
    lot = np.sort(rng.permutation(len(town.area))[: 4 + len(town.area) // (2 * _SHARE)])
    merged, divided = lot[::_PARTS], lot[1::_PARTS]
    frame = pd.concat([_mergers(town, merged), _divisions(town, divided)], ignore_index=True)
    dates = objects(jalali_dates(rng, (1390, 1402), len(lot)))
    number = frame["شماره پرونده"].str.split("/").str[1].astype(int).to_numpy() - 1
    frame["تاریخ"] = dates[number]
    safe = _all(len(frame))
    file = "tafkik_tajmi.xlsx"
    return Arrival("subdivisions", file, "XLSX", frame, layer="صورتجلسه", safe=safe)


def _all(count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """No fault is planted here: rows of a case belong together."""
    return np.ones(count, dtype=np.bool_)


def _parents(town: Town, lot: Ints, number: int) -> list[str]:
    """Codes of plots that are gone, in the block of each ``lot``."""
    block = town.register.audit[town.city.lots.block[lot]]
    serial = text(_GONE + number + _PARTS * town.city.lots.number[lot])
    return [f"{one}-{two}-0-0-0" for one, two in zip(block, serial, strict=True)]


def _rows(case: list[str], kind: str, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"شماره پرونده": case, "نوع": kind, **columns})


def _mergers(town: Town, lot: Ints) -> pd.DataFrame:
    """Two plots of one third and two thirds became one."""
    case = [f"ج/{number}" for number in range(1, len(lot) + 1)]
    whole = np.round(town.area[lot], 2)
    third = np.round(whole / 3, 2)
    parts = [
        _rows(
            case, "تجمیع",
            **{
                "کد مبدأ": _parents(town, lot, number), "کد مقصد": town.register.property[lot],
                "نوع مقصد": "ملک", "مساحت منتقل شده": np.round(part, 2),
                "مساحت مبدأ": np.round(part, 2), "مساحت مقصد": whole,
            },
        )
        for number, part in enumerate((third, whole - third))
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _divisions(town: Town, lot: Ints) -> pd.DataFrame:
    """Of each plot that was divided one is left here, beside what road and services got."""
    case = [f"ت/{number}" for number in range(1, len(lot) + 1)]
    whole = np.round(town.area[lot], 2)
    before = np.round(whole + _ROAD_M2 + _SERVICES_M2, 2)
    plenty = np.ones(len(lot))
    children = (
        (town.register.property[lot], "ملک", whole),
        ("معبر", "معبر", _ROAD_M2 * plenty),
        ("سرانه", "سرانه", _SERVICES_M2 * plenty),
    )
    parts = [
        _rows(
            case, "تفکیک",
            **{
                "کد مبدأ": _parents(town, lot, 0), "کد مقصد": code, "نوع مقصد": kind,
                "مساحت منتقل شده": area, "مساحت مبدأ": before, "مساحت مقصد": area,
            },
        )
        for code, kind, area in children
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)
