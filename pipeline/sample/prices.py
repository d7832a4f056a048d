"""What the revenue department sends: book values of land and buildings, by block and frontage."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.cells import Kind
from pipeline.sample.register import text
from pipeline.sample.town import Town, is_busy

_YEARS = (fixture.PRICE_YEAR - 1, fixture.PRICE_YEAR)
_RISE, _ON_MAIN_STREETS, _COMMERCIAL = 1.25, 1.5, 1.8
_STEEL, _CONCRETE = 1.2, 1.1
_NEAR_IRR, _FALL_PER_KM, _LEAST_IRR = 900_000.0, 0.85, 120_000.0
_ROUND_IRR = 10_000


def _land(town: Town) -> Ints:
    """The price of land of each cell (cells,), rials per m2; it falls away from the centre."""
    cells, rng = town.city.cells, town.city.rng("prices")
    x, y = cells.centre
    km = np.hypot(x - x[cells.home], y - y[cells.home]) / 1000.0
    price: Floats = _NEAR_IRR * _FALL_PER_KM**km * rng.uniform(0.85, 1.15, len(cells))
    price[cells.kind == Kind.GARDENS] *= 0.4
    price[cells.kind == Kind.INDUSTRY] *= 0.7
    price[cells.home] = fixture.LAND_PRICE_IRR
    return _rounded(np.maximum(price, _LEAST_IRR))


def _rounded(price: npt.NDArray[np.floating[Any]]) -> Ints:
    return (np.rint(price / _ROUND_IRR) * _ROUND_IRR).astype(np.int64)


def _codes(town: Town) -> Objects:
    """PB-1, PB-2 ... in the order of cells; the fixture's is PB-3."""
    number = np.arange(1, len(town.city.cells) + 1)
    home = town.city.cells.home
    number[home], number[fixture.PRICE_BLOCK - 1] = fixture.PRICE_BLOCK, home + 1
    found: Objects = "PB-" + text(number)
    return found


def _frontages(town: Town) -> tuple[Ints, Objects, Ints]:
    """Cell, street number and row number (from 2) of each main street that plots of it front on."""
    at = np.flatnonzero(is_busy(town))
    street = town.names.code[town.front[at]].astype(str)
    pairs = pd.DataFrame({"cell": town.city.lot_cell[at], "street": street}).drop_duplicates()
    pairs = pairs.sort_values(["cell", "street"], ignore_index=True)
    number = (pairs.groupby("cell").cumcount().to_numpy() + 2).astype(np.int64)
    return pairs["cell"].to_numpy(dtype=np.int64), objects(pairs["street"]), number


def price_blocks(town: Town) -> Arrival:
    """Two years of book values; main streets have prices of their own."""
    cell, street, number = _frontages(town)
    every = np.arange(len(town.city.cells))
    owner = np.concatenate([every, cell])
    of_street = np.concatenate([np.full(len(every), None, dtype=object), street])
    row = np.concatenate([np.ones(len(every), dtype=np.int64), number])
    factor = np.where(row > 1, _ON_MAIN_STREETS, 1.0)
    years = [_year(town, year, owner, factor) for year in _YEARS]
    frame = pd.concat(years, ignore_index=True)
    twice = len(_YEARS)
    frame.insert(1, "KOD_BLOK", np.tile(_codes(town)[owner], twice))
    frame.insert(2, "RADIF", np.tile(row, twice))
    frame.insert(4, "KOD_MABAR", np.tile(of_street, twice))
    safe = np.tile(owner == town.city.cells.home, twice)
    return Arrival(
        "price_blocks",
        "arzesh_moamelati.gpkg",
        "GPKG",
        frame,
        np.tile(town.areas.shapes[owner], twice),
        "Polygon",
        "arzesh",
        safe=safe,
    )


def _year(town: Town, year: int, owner: Ints, factor: Floats) -> pd.DataFrame:
    """The values of one year for rows that belong to the cells ``owner`` (rows,)."""
    part = 1.0 if year == _YEARS[-1] else 1 / _RISE
    land = _rounded(_land(town)[owner] * factor * part)
    building = _rounded(np.full(len(owner), fixture.BUILDING_PRICE_IRR * part))
    # The fixture's block has one price for all uses and structures, so that its levy is plain.
    plain = owner == town.city.cells.home
    none: Objects = np.full(len(owner), None, dtype=object)
    return pd.DataFrame(
        {
            "SAL": year,
            "GHAEDE": "گران‌ترین بر",
            "JAHAT": none,
            "ZAMIN": land,
            "ZAMIN_TEJARI": _unless(plain, _rounded(land * _COMMERCIAL)),
            "ZAMIN_SANATI": _unless(plain | (town.city.cells.kind[owner] != Kind.INDUSTRY), land),
            "BANA": building,
            "BANA_FELEZI": _unless(plain, _rounded(building * _STEEL)),
            "BANA_BOTONI": _unless(plain, _rounded(building * _CONCRETE)),
            "MOSAVABE": f"ش/{year}/21",
        }
    )


def _unless(empty: Bools, values: Ints) -> pd.api.extensions.ExtensionArray:
    found = pd.array(values, dtype="Int64")
    found[empty] = pd.NA
    return found
