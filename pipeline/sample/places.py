"""Places people look for, from telephones: longitude and latitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer

from pipeline.sample import names
from pipeline.sample.arrays import Floats, Ints, Objects, objects, only_where
from pipeline.sample.arrivals import CRS, Arrival
from pipeline.sample.register import text
from pipeline.sample.town import Town, land_uses

_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class _Group:
    """Places of one kind, on plots with this use; ``share`` of them become a place."""

    use: str
    group: str
    prefix: str
    latin: str
    words: dict[str, str]
    share: float


def _groups() -> tuple[_Group, ...]:
    mosques, flowers, virtues = names.mosque_words(), names.FLOWERS, names.VIRTUES
    return (
        _Group("مذهبی", "مذهبی", "مسجد", "Mosque", mosques, 0.9),
        _Group("آموزشی", "مدرسه", "دبستان", "School", virtues, 1.0),
        _Group("آموزش عالی", "دانشگاه", "دانشگاه", "University", virtues, 1.0),
        _Group("پارک و فضای سبز", "پارک", "بوستان", "Park", flowers, 1.0),
        _Group("درمانی", "درمانی", "درمانگاه", "Clinic", virtues, 1.0),
        _Group("ورزشی", "ورزشی", "مجموعه ورزشی", "Sports Complex", virtues, 1.0),
        _Group("اداری و انتظامی", "دولتی", "اداره", "Office", names.AVENUES, 0.7),
        _Group("تاریخی", "تاریخی", "خانه تاریخی", "Historic House", names.SURNAMES, 0.4),
        _Group("تجاری و خدماتی", "بانک", "بانک شعبه", "Bank", names.AVENUES, 0.02),
        _Group("تجاری و خدماتی", "رستوران", "رستوران", "Restaurant", flowers, 0.03),
        _Group("تجاری و خدماتی", "اقامتی", "مهمانپذیر", "Guest House", virtues, 0.01),
        _Group("تجاری و خدماتی", "تجاری", "فروشگاه", "Shop", flowers, 0.05),
        _Group("حمل و نقل و انبار", "پارکینگ", "پارکینگ", "Parking", virtues, 0.1),
    )


def points(town: Town, lot: Ints) -> Floats:
    """Longitude and latitude (n, 2) of a point on each of the plots ``lot``."""
    inside = shapely.point_on_surface(town.city.plots[lot])
    to_wgs84 = Transformer.from_crs(CRS, _WGS84, always_xy=True)
    found = to_wgs84.transform(shapely.get_x(inside), shapely.get_y(inside))
    return np.column_stack(found)


def _places(town: Town) -> tuple[Ints, Objects, Objects, Objects]:
    """Plot, group, name and Latin name of every place; each plot is one place at most."""
    use, rng = land_uses(town), town.city.rng("places")
    free = np.ones(len(use), dtype=np.bool_)
    lots, groups, persian, latin = [], [], [], []
    for kind in _groups():
        wanted = free & (use == kind.use) & (rng.random(len(use)) < kind.share)
        lot = np.flatnonzero(wanted)
        free[lot] = False
        fa, en = names.numbered(kind.words, np.arange(len(lot)))
        lots.append(lot)
        groups.append(np.full(len(lot), kind.group, dtype=object))
        persian.append(kind.prefix + " " + fa)
        latin.append(en + " " + kind.latin)
    return (
        np.concatenate(lots),
        np.concatenate(groups),
        np.concatenate(persian),
        np.concatenate(latin),
    )


def places(town: Town) -> Arrival:
    """Points of interest, a UTF-8 CSV in WGS 84."""
    lot, group, fa, en = _places(town)
    rng, n = town.city.rng("place dates"), len(lot)
    since = np.datetime64("2019-01-01") + rng.integers(0, 1500, n)
    until = since + rng.integers(700, 2500, n)
    closes = rng.random(n) < 0.2
    website = only_where(rng.random(n) < 0.1, "https://example.org/poi/" + text(np.arange(n)))
    frame = pd.DataFrame(
        {
            "ID": "AM-" + text(np.arange(1, n + 1), 5),
            "GROUH": group,
            "NAM": fa,
            "NAM_EN": en,
            "NESHANI": "قم، " + town.names.fa[town.front[lot]],
            "SITE": website,
            "AZ": since.astype(str).astype(object),
            "TA": only_where(closes, until.astype(str).astype(object)),
        }
    )
    shapes = objects(shapely.points(points(town, lot)))
    return Arrival(
        "pois",
        "amaken.csv",
        "CSV",
        frame,
        shapes,
        "Point",
        crs=_WGS84,
        xy=("LON", "LAT"),
        decimals=8,
        safe=town.city.home_lots[lot],
    )
