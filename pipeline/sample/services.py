"""What services of the city send: units of 137, offices, property, land offers, shops, ads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer

from pipeline.sample import names
from pipeline.sample.arrays import Ints, Objects, objects, only_where
from pipeline.sample.arrivals import CRS, Arrival
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.places import points
from pipeline.sample.register import text
from pipeline.sample.town import Town, is_busy, land_uses

_WGS84 = "EPSG:4326"
#: Departments of a region, and the kinds of reports that each takes.
_DEPARTMENTS = {
    "PASMAND": ("پسماند", ("پسماند", "نظافت معبر", "جانوران")),
    "OMRAN": ("عمران", ("آسفالت", "پیاده رو", "جوی و آبگرفتگی", "تابلو و علائم", "روشنایی")),
    "SABZ": ("فضای سبز", ("فضای سبز",)),
    "SAKHT": ("کنترل ساختمان", ("ساخت و ساز", "سد معبر")),
    "OMOMI": ("امور عمومی", ("سایر",)),
}
_DEPOT = "حمل و نقل و انبار"
_CLASSES = {
    "پارک و فضای سبز": ("بوستان", True),
    "ورزشی": ("ورزشگاه", True),
    "فرهنگی و هنری": ("کتابخانه", True),
    "اداری و انتظامی": ("ساختمان", False),
    _DEPOT: ("انبار", False),
}
_GUILDS = (
    ("خواروبار", "خواربارفروشان", "فروشگاه", "Grocery"),
    ("خوراک", "رستوران داران", "رستوران", "Restaurant"),
    ("پوشاک", "پوشاک فروشان", "پوشاک", "Clothing"),
    ("خدمات", "آرایشگران", "آرایشگاه", "Barber"),
    ("سلامت", "داروخانه ها", "داروخانه", "Pharmacy"),
    ("سوغات", "سوهان فروشان", "سوهان", "Sohan"),
    ("خودرو", "تعمیرکاران خودرو", "تعمیرگاه", "Garage"),
)
_STATES = ("معتبر", "معتبر", "معتبر", "منقضی", "تعلیق", "فاقد پروانه")


def service_units(town: Town) -> Arrival:
    """Five departments a region, each with its kinds of reports, over the region."""
    number, shapes = town.areas.dissolved(town.areas.region)
    rows, owner = [], []
    for place, region in enumerate(number.tolist()):
        for code, (word, kinds) in _DEPARTMENTS.items():
            for kind in kinds:
                unit = f"{region}-{code}"
                rows.append((unit, kind, f"{word} منطقه {region}", region, f"025-36{region}10137"))
                owner.append(place)
    frame = pd.DataFrame(rows, columns=["KOD_VAHED", "GOROOH", "NAM", "MANTAGHE", "TELEFON"])
    safe = frame["MANTAGHE"].to_numpy() <= 2
    return Arrival(
        "service_units",
        "vahed_khadamat.gpkg",
        "GPKG",
        frame,
        objects(shapes[owner]),
        "Polygon",
        "vahed",
        safe=safe,
    )


def offices(town: Town) -> Arrival:
    """The city hall, an office a region, and fire stations; taken with telephones."""
    number, shapes = town.areas.dissolved(town.areas.region)
    middle = shapely.point_on_surface(shapes)
    n = len(number)
    kinds = np.repeat(np.array(["منطقه", "آتش نشانی"], dtype=object), n)
    region = np.tile(number, 2)
    shown = np.concatenate(["شهرداری منطقه " + text(number), "ایستگاه آتش نشانی " + text(number)])
    latin = np.concatenate(
        ["Municipality of Region " + text(number), "Fire Station " + text(number)]
    )
    place = shapely.get_coordinates(np.concatenate([middle, middle]))
    place[n:] += 25.0
    frame = pd.DataFrame(
        {
            "KOD": "ED-" + text(np.arange(1, 2 * n + 1), 3),
            "NOE": kinds,
            "NAM": shown,
            "NAM_EN": latin,
            "MANTAGHE": region,
            "NESHANI": "قم، " + shown,
            "TELEFON": "025-36" + text(region) + "10000",
            "SAAT": np.where(kinds == "منطقه", "شنبه تا چهارشنبه ۷:۳۰ تا ۱۴:۳۰", "شبانه روزی"),
            "SITE": only_where(kinds == "منطقه", "https://example.org/region/" + text(region)),
        }
    )
    to_wgs84 = Transformer.from_crs(CRS, _WGS84, always_xy=True)
    found = np.column_stack(to_wgs84.transform(place[:, 0], place[:, 1]))
    return Arrival(
        "municipal_offices",
        "edarat.csv",
        "CSV",
        frame,
        objects(shapely.points(found)),
        "Point",
        crs=_WGS84,
        xy=("LON", "LAT"),
        decimals=8,
        safe=region == 1,
    )


def _assets(town: Town) -> tuple[Ints, Objects]:
    """The plots that are the municipality's, and their uses; the fixture's park is the first, a
    depot on a plot without a building the last."""
    use = land_uses(town)
    wanted = np.isin(use, list(_CLASSES)) & (town.city.rng("assets").random(len(use)) < 0.7)
    park = np.flatnonzero(town.city.lots.block == 1)[:1]
    wanted[park] = False
    free = np.flatnonzero(~wanted & ~np.isin(np.arange(len(use)), [*town.houses.lot, *park]))
    lot = np.concatenate([park, np.flatnonzero(wanted), free[-1:]])
    return lot, np.concatenate([use[lot[:-1]], [_DEPOT][: len(free)]])


def municipal_assets(town: Town) -> Arrival:
    """The register of immovable property; some of it has been sold."""
    lot, use = _assets(town)
    rng, n = town.city.rng("asset rows"), len(lot)
    kind = [_CLASSES.get(value, ("سایر", False)) for value in use]
    area = np.round(town.area[lot], 2)
    region = town.areas.region[town.city.lot_cell[lot]]
    sold = rng.random(n) < 0.1
    sold[0] = False
    frame = pd.DataFrame(
        {
            "SHOMARE": "A-" + text(np.arange(100, 100 + n)),
            "RADE": [word for word, _ in kind],
            "NAM": [f"{word} {number}" for number, (word, _) in enumerate(kind, start=1)],
            "KARBARI": use,
            "KOD_NOSAZI": town.register.property[lot],
            "MANTAGHE": region,
            "DAFTAR": "د/" + text(rng.integers(100, 999, n)) + "/" + text(rng.integers(1, 99, n)),
            "BAHREBARDAR": "شهرداری منطقه " + text(region),
            "EJARE": np.where(rng.random(n) < 0.2, "بلی", "خیر").astype(object),
            "OMOMI": ["بلی" if open_ else "خیر" for _, open_ in kind],
            "TAMALOK": jalali_dates(rng, (1370, 1398), n),
            "VAGOZARI": only_where(sold, objects(jalali_dates(rng, (1399, 1403), n))),
            "MAS_DAFTAR": area,
        }
    )
    return Arrival(
        "municipal_assets",
        "amval.gpkg",
        "GPKG",
        frame,
        town.city.plots[lot],
        "Polygon",
        "amval",
        safe=np.arange(n) == 0,
    )


def land_offers(town: Town) -> Arrival:
    """Land that is offered: some of the plots that nobody has built on."""
    rng = town.city.rng("offers")
    free = np.flatnonzero(~np.isin(np.arange(len(town.area)), town.houses.lot))
    lot = rng.permutation(free)[: 3 + len(free) // 50]
    n = len(lot)
    state = rng.choice(np.array(["باز", "اعلام شده", "پایان یافته", "واگذار شده"], dtype=object), n)
    price = np.rint(town.area[lot] * rng.uniform(40, 90, n)) * 1_000_000
    frame = pd.DataFrame(
        {
            "SHOMARE": "M-" + text(np.arange(1, n + 1), 4),
            "NOE": rng.choice(np.array(["مزایده", "فروش", "مشارکت"], dtype=object), n),
            "VAZIAT": state,
            "KARBARI": land_uses(town)[lot],
            "AGHAZ": jalali_dates(rng, (1402, 1403), n),
            "PAYAN": jalali_dates(rng, (1404, 1405), n),
            "GHEIMAT": price.astype(np.int64),
        }
    )
    return Arrival(
        "land_offers",
        "mozayede.gpkg",
        "GPKG",
        frame,
        town.city.plots[lot],
        "Polygon",
        "mozayede",
        safe=town.city.home_lots[lot],
    )


def _shops(town: Town) -> tuple[Ints, Ints]:
    """Plots with a shop, and which guild it is of."""
    rng = town.city.rng("shops")
    wanted = (land_uses(town) == "تجاری و خدماتی") & ~town.city.home_lots
    wanted |= is_busy(town) & (rng.random(len(wanted)) < 0.2) & ~town.city.home_lots
    wanted[-1] = True  # the smallest town has one shop
    lot = np.flatnonzero(wanted)
    return lot, rng.integers(0, len(_GUILDS), len(lot))


def businesses(town: Town) -> Arrival:
    """Shops and their licences, a CSV in WGS 84."""
    lot, guild = _shops(town)
    rng, n = town.city.rng("shop rows"), len(lot)
    fa, en = names.numbered(names.FLOWERS, np.arange(n))
    kinds: Any = np.array(_GUILDS, dtype=object)[guild].reshape(n, len(_GUILDS[0]))
    state = rng.choice(np.array(_STATES, dtype=object), n)
    until = np.where(state == "معتبر", "1406/12/29", "1402/12/29").astype(object)
    frame = pd.DataFrame(
        {
            "SHENASE": "SN-" + text(np.arange(1, n + 1), 6),
            "RADE": kinds[:, 0],
            "NAM": kinds[:, 2] + " " + fa,
            "NAM_EN": en + " " + kinds[:, 3],
            "SENF": kinds[:, 1],
            "KOD_SENFI": town.register.prefix[lot] + "-0-0-1",
            "PARVANE": state,
            "ETEBAR": only_where(state != "فاقد پروانه", until),
            "NESHANI": "قم، " + town.names.fa[town.front[lot]],
            "SITE": only_where(
                rng.random(n) < 0.1, "https://example.org/shop/" + text(np.arange(n))
            ),
        }
    )
    return _on_map("businesses", "asnaf.csv", frame, town, lot)


def map_ads(town: Town) -> Arrival:
    """Advertisements of shops: some have expired, some wait for approval."""
    lot, guild = _shops(town)
    rng = town.city.rng("ads")
    shown = rng.random(len(lot)) < 0.25
    shown[0] = True
    at = np.flatnonzero(shown)
    n = len(at)
    kinds: Any = np.array(_GUILDS, dtype=object)[guild[at]].reshape(n, len(_GUILDS[0]))
    over, approved = rng.random(n) < 0.3, rng.random(n) < 0.8
    number = text(at + 1, 6)
    frame = pd.DataFrame(
        {
            "SHOMARE": "AD-" + text(np.arange(1, n + 1), 5),
            "RADE": kinds[:, 0],
            "ONVAN": "تخفیف ویژه " + kinds[:, 2],
            "ONVAN_EN": "Special offer: " + kinds[:, 3],
            "MATN": "با نشان دادن این آگهی",
            "PEYVAND": "https://example.org/ad/" + number,
            "SHENASE_SENFI": "SN-" + number,
            "AZ": "1402/01/01",
            "TA": np.where(over, "1403/01/31", "1410/12/29").astype(object),
            "TAYID": np.where(approved, "بلی", "خیر").astype(object),
            "TAYID_KONANDE": only_where(approved, objects(np.full(n, "سازمان فاوا", dtype=object))),
        }
    )
    return _on_map("map_ads", "agahi.csv", frame, town, lot[at])


def _on_map(feed: str, file: str, frame: pd.DataFrame, town: Town, lot: Ints) -> Arrival:
    """A CSV of things that stand on plots, taken with telephones."""
    return Arrival(
        feed,
        file,
        "CSV",
        frame,
        objects(shapely.points(points(town, lot))),
        "Point",
        crs=_WGS84,
        xy=("LON", "LAT"),
        decimals=8,
    )
