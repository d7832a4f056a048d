"""What the statistical centre sends: blocks as polygons, figures as a spreadsheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Ints, Objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.register import census_codes, text
from pipeline.sample.town import Town

YEAR = 1395
_FEWEST_HOUSEHOLDS = 3


@dataclass(frozen=True)
class Census:
    """Statistical blocks: those of the audit, but the fixture's with its park is one (CB-1)."""

    code: Objects
    shapes: Objects
    dwellings: Ints
    households: Ints
    population: Ints
    male: Ints

    @property
    def small(self) -> Bools:
        """Blocks so small that their figures would tell of single families."""
        return np.asarray((self.households > 0) & (self.households < _FEWEST_HOUSEHOLDS))


def census(town: Town) -> Census:
    """The census of the town; CB-1 has 88 persons in 26 households."""
    city, rng = town.city, town.city.rng("census")
    shapes = city.block_shapes[1:].copy()
    shapes[0] = shapely.box(*shapely.total_bounds(city.block_shapes[:2]))
    block = np.maximum(city.lots.block[town.houses.lot] - 1, 0)
    summed = np.bincount(block, weights=town.houses.dwellings, minlength=len(shapes))
    dwellings: Ints = summed.astype(np.int64)
    households = rng.binomial(dwellings, 0.93).astype(np.int64)
    population = np.rint(households * rng.normal(3.36, 0.15, len(shapes))).astype(np.int64)
    male = rng.binomial(population, 0.507).astype(np.int64)
    households[0], population[0] = fixture.CENSUS_HOUSEHOLDS, fixture.CENSUS_PERSONS
    male[0], dwellings[0] = fixture.CENSUS_MALE, fixture.CENSUS_DWELLINGS
    zone = town.areas.neighbourhood[city.blocks.cell[1:]]
    return Census(census_codes(zone), shapes, dwellings, households, population, male)


def census_blocks(counted: Census) -> Arrival:
    """The statistical blocks, a UTF-8 Shapefile."""
    code = counted.code
    frame = pd.DataFrame(
        {
            "CODE_BLOK": code,
            "SAL": YEAR,
            "OSTAN": "25",
            "SHAHRESTAN": "01",
            "HOZE": [value[10:14] for value in code],
            "BLOK": [value[14:] for value in code],
            "MASAHAT": np.round(shapely.area(counted.shapes), 2),
        }
    )
    safe = np.arange(len(code)) == 0
    return Arrival(
        "census_blocks",
        "blok_amari_1395.shp",
        "ESRI Shapefile",
        frame,
        counted.shapes,
        "Polygon",
        safe=safe,
    )


def census_figures(counted: Census) -> Arrival:
    """Six figures a block, a spreadsheet; those of small blocks are withheld."""
    values = {
        "جمعیت": counted.population,
        "مرد": counted.male,
        "زن": counted.population - counted.male,
        "خانوار": counted.households,
        "واحد مسکونی": counted.dwellings,
        "واحد خالی": counted.dwellings - counted.households,
    }
    n, kinds = len(counted.code), len(values)
    small = np.repeat(counted.small, kinds)
    figures = np.column_stack(list(values.values())).ravel().astype(object)
    figures[small] = None
    frame = pd.DataFrame(
        {
            "سال": YEAR,
            "کد بلوک": np.repeat(counted.code, kinds),
            "متغیر": np.tile(np.array(list(values), dtype=object), n),
            "مقدار": figures,
            "محرمانه": np.where(small, "بلی", "خیر").astype(object),
            "ردیف": text(np.arange(1, n * kinds + 1)),
        }
    )
    safe = np.repeat(np.arange(n) == 0, kinds)
    notes = ("سرشماری عمومی نفوس و مسکن ۱۳۹۵", "بلوک‌های با کمتر از سه خانوار محرمانه است")
    return Arrival(
        "census_figures",
        "sarshomari_1395.xlsx",
        "XLSX",
        frame,
        layer="آمار",
        notes=notes,
        safe=safe,
    )
