"""The municipality's radio network: masts, and the links from the city hall to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import faults, fixture
from pipeline.sample.arrays import Bools, Floats, Ints, objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.register import text
from pipeline.sample.town import Town
from pipeline.sample.warp import ORIGIN

#: The masts of the city hall and of the council stand on the exact plane of the fixture.
_HALL_M, _COUNCIL_M = (-100.0, 0.0), (300.0, 0.0)
_KINDS = ("مهاری", "خودایستا", "تک پایه", "روی بام")
_STATES = ("برقرار", "برقرار", "برقرار", "در برنامه", "قطع")
_BANDS_GHZ = (5.8, 11.0, 18.0)
_AWAY_M = 25.0

Row = tuple[int, str, str, str, str]


def _places(town: Town) -> tuple[Floats, list[str]]:
    """Where masts stand, and their names: hall and council, then one a district."""
    number, shapes = town.areas.dissolved(town.areas.district)
    middle = np.round(shapely.get_coordinates(shapely.point_on_surface(shapes)), 2)
    home = np.array([_HALL_M, _COUNCIL_M]) + ORIGIN
    names = ["دکل شهرداری مرکزی", "دکل شورای شهر"]
    return np.concatenate([home, middle]), [*names, *(f"دکل ناحیه {one}" for one in number)]


def masts(town: Town) -> Arrival:
    """M-1 and M-2 of the fixture, 10 m high, and one in the middle of every district."""
    at, names = _places(town)
    rng, n = town.city.rng("masts"), len(at)
    high = np.round(rng.uniform(12, 60, n), 1)
    high[:2] = fixture.MAST_M
    frame = pd.DataFrame(
        {
            "SHOMARE": "M-" + text(np.arange(1, n + 1)),
            "NAM": names,
            "NOE": rng.choice(np.array(_KINDS, dtype=object), n),
            "ERTEFA": high,
            "TARIKH_NASB": jalali_dates(rng, (1385, 1402), n),
        }
    )
    return Arrival(
        "radio_masts",
        "dakal.csv",
        "CSV",
        frame,
        objects(shapely.points(at)),
        "Point",
        xy=("X", "Y"),
        decimals=2,
        safe=np.arange(n) < 2,
    )


def links(town: Town) -> Arrival:
    """From the city hall to every mast, and from each district's to the next."""
    at, _ = _places(town)
    first, last = _pairs(len(at))
    rng, n = town.city.rng("links"), len(first)
    high = masts(town).frame["ERTEFA"].to_numpy()
    way = at[last] - at[first]
    azimuth = np.round(np.degrees(np.arctan2(way[:, 0], way[:, 1])) % 360, 1) % 360
    state = rng.choice(np.array(_STATES, dtype=object), n)
    state[0] = _STATES[0]
    frame = pd.DataFrame(
        {
            "SHOMARE": "L-" + text(np.arange(1, n + 1)),
            "AZ_DAKAL": "M-" + text(first + 1),
            "TA_DAKAL": "M-" + text(last + 1),
            "ANTEN_AZ": high[first],
            "ANTEN_TA": high[last],
            "AZIMUT": azimuth,
            "BASAMAD": np.concatenate([_BANDS_GHZ[:1], rng.choice(_BANDS_GHZ, n - 1)]),
            "VAZIYAT": state,
        }
    )
    lines = objects(shapely.linestrings(np.stack([at[first], at[last]], axis=1)))
    found = "peyvand_radio.gpkg"
    safe = np.arange(n) == 0
    return Arrival("radio_links", found, "GPKG", frame, lines, "LineString", "peyvand", safe=safe)


def _pairs(number: int) -> tuple[Ints, Ints]:
    """Both masts of each link: a star from the first, and a chain through those of districts."""
    star, chain = np.arange(1, number), np.arange(2, number - 1)
    first = np.concatenate([np.zeros(len(star), dtype=np.int64), chain])
    return first, np.concatenate([star, chain + 1])


def masts_of_torn(town: Town, count: int) -> Bools:
    """Masts at the ends of the links that ``torn`` spoils."""
    at, _ = _places(town)
    found = np.zeros(len(at), dtype=np.bool_)
    for end in _pairs(len(at)):
        found[end[: 1 + 3 * count]] = True
    return found


def torn(arrival: Arrival, _: Town, count: int) -> list[Row]:
    """Links to a mast that is not there, that end beside theirs, or with a reversed azimuth."""
    if arrival.shapes is None:
        raise TypeError(f"{arrival.file} has no geometries")
    arrival.shapes = arrival.shapes.copy()
    free = np.flatnonzero(~arrival.safe)
    key = arrival.frame["SHOMARE"]
    made: list[Row] = []
    for row in free[0::3][:count]:
        faults.put(arrival, "TA_DAKAL", np.array([row]), [f"M-9{row}"])
        text_ = f"TA_DAKAL = M-9{row}"
        made.append((int(row), str(key.iloc[row]), "fabric.orphan", "last_exists", text_))
    for row in free[1::3][:count]:
        points = shapely.get_coordinates(arrival.shapes[row])
        points[-1] += (_AWAY_M, 0.0)
        arrival.shapes[row] = shapely.linestrings(points)
        text_ = f"ends {_AWAY_M} m beside its mast"
        made.append((int(row), str(key.iloc[row]), "fabric.far", "ends_at_masts", text_))
    for row in free[2::3][:count]:
        turned = round((float(arrival.frame["AZIMUT"].iloc[row]) + 180) % 360, 1)
        faults.put(arrival, "AZIMUT", np.array([row]), [turned])
        text_ = f"AZIMUT = {turned}, seen from the other mast"
        made.append((int(row), str(key.iloc[row]), "fabric.bearing", "azimuth_fits", text_))
    return made
