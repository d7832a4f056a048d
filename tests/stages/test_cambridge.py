"""The real files of Cambridge: what arrived, what was wrong with it, that the account closes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.stages import load as loading
from pipeline.stages.outcome import Outcome

# What the README of the data says arrives, by feed.
ARRIVALS = {
    "zoning": ("zoning/CDD_ZoningDistricts.geojson", 261),
    "census_blocks_2000": ("census/DEMOGRAPHICS_Blocks2000.geojson", 886),
    "census_blocks_2010": ("census/DEMOGRAPHICS_Blocks2010.geojson", 1201),
    "streets": ("basemap/TRANS_Centerlines.geojson", 2643),
    "zip_areas": ("postcodes/BOUNDARY_Zipcodes.geojson", 5),
    "neighbourhoods": ("boundary/BOUNDARY_CDDNeighborhoods.geojson", 13),
    "city_limit": ("boundary/BOUNDARY_CityBoundary.geojson", 1),
    "address_blocks": ("postcodes/ADDRESS_MasterAddressBlocks.geojson", 749),
    "census_population_2000": ("census/derived_blocks2000_population.csv", 886),
}
FINDINGS = "SELECT code, line FROM ops.finding WHERE run_id = %s"
KEYS = "SELECT parcel_code FROM data.parcel"


@pytest.fixture(scope="module")
def data(real_data: Path) -> Path:
    """The folder of Cambridge."""
    return real_data / "cambridge_ma"


def load(database: Database, path: Path, feed: str, schemas: Schemas) -> Outcome:
    """One file by one of the city's own feeds."""
    context = loading.context_for(schemas, feed)
    return loading.load(database, path, context, batch_rows=5000, progress=lambda *_: None)


@dataclass
class Expected:
    """A year of parcels, judged without Makan; lines count from 1."""

    codes: list[str]
    invalid: set[int]
    bad: set[int]

    @classmethod
    def of(cls, path: Path, schemas: Schemas) -> Expected:
        """Reads the file with geopandas."""
        frame = geopandas.read_file(path, on_invalid="ignore")
        codes = ["" if one is None or one != one else str(one).strip() for one in frame["ML"]]
        pattern = re.compile(schemas.city.parcel_code.pattern)
        shapes = frame.geometry.to_numpy()
        lines = range(1, len(codes) + 1)
        invalid = {n for n in lines if shapes[n - 1] and not shapely.is_valid(shapes[n - 1])}
        empty = {n for n in lines if not shapes[n - 1] or shapely.is_empty(shapes[n - 1])}
        unfit = {n for n in lines if not pattern.match(codes[n - 1])}
        times = Counter(codes)
        doubled = {n for n in lines if codes[n - 1] and times[codes[n - 1]] > 1}
        undated = {n for n in lines if str(frame["EditDate"][n - 1]).startswith("0")}
        return cls(codes, invalid - empty, empty | unfit | doubled | undated)

    def keys(self, more_bad: set[int]) -> set[str]:
        """Codes of the rows that are fit to be published."""
        bad = self.bad | more_bad
        return {code for line, code in enumerate(self.codes, start=1) if line not in bad}

    def set_aside(self, more_bad: set[int]) -> set[str]:
        """Codes of the rows that are not."""
        return {self.codes[line - 1] for line in self.bad | more_bad}


def lines_of(found: list[tuple[str, int]], code: str) -> set[int]:
    """The lines that have the finding ``code``."""
    return {line for one, line in found if one == code}


def test_two_years_of_parcels(
    data: Path, cambridge: Database, cambridge_schemas: Schemas, query: Any
) -> None:
    cadastre = data / "cadastre"
    new = cadastre / "ASSESSING_ParcelsFY2014.topojson"
    expected = Expected.of(new, cambridge_schemas)
    outcome = load(cambridge, new, "parcels", cambridge_schemas)
    found = query(cambridge, FINDINGS, outcome.run)
    repaired, lost = (lines_of(found, f"geometry.{how}") for how in ("repaired", "unrepairable"))
    assert outcome.account.arrived == 13116
    assert outcome.account.closes
    assert len(expected.invalid) == len(repaired) + len(lost) == 37
    assert repaired | lost == expected.invalid
    assert len(lines_of(found, "key.duplicate")) == 93
    assert len(lines_of(found, "geometry.empty")) == 1
    assert len(lines_of(found, "value.missing")) == 1
    assert outcome.account.quarantined == len(expected.bad | lost)
    published = {key for (key,) in query(cambridge, KEYS)}
    assert published == expected.keys(lost)

    # The year before arrives by the same feed: what only 2014 has goes, what 2013 had comes back.
    old = cadastre / "ASSESSING_ParcelsFY2013.topojson"
    expected = Expected.of(old, cambridge_schemas)
    outcome = load(cambridge, old, "parcels", cambridge_schemas)
    found = query(cambridge, FINDINGS, outcome.run)
    lost = lines_of(found, "geometry.unrepairable")
    good, aside = expected.keys(lost), expected.set_aside(lost)
    account = outcome.account
    assert (account.arrived, account.closes) == (13159, True)
    assert account.inserted == len(good - published)
    assert account.removed == len(published - good - aside)
    assert account.updated + account.unchanged == len(good & published)
    assert {key for (key,) in query(cambridge, KEYS)} == good | (published & aside)
    assert lines_of(found, "geometry.repaired") | lost == expected.invalid
    assert len(expected.invalid) == 24
    assert len(lines_of(found, "geometry.duplicate")) == 1


@pytest.mark.parametrize("feed", sorted(ARRIVALS))
def test_the_other_layers_arrive_whole(
    feed: str, data: Path, cambridge: Database, cambridge_schemas: Schemas, query: Any
) -> None:
    file, rows = ARRIVALS[feed]
    outcome = load(cambridge, data / file, feed, cambridge_schemas)
    assert outcome.account.arrived == outcome.account.inserted == rows
    assert outcome.account.closes
    layer = cambridge_schemas.feed(feed).layer
    assert query(cambridge, f"SELECT count(*) FROM data.{layer}") == [(rows,)]
    assert load(cambridge, data / file, feed, cambridge_schemas).status == "unchanged"


def test_two_censuses_live_in_one_layer(
    data: Path, cambridge: Database, cambridge_schemas: Schemas, query: Any
) -> None:
    for feed in ("census_blocks_2000", "census_blocks_2010", "census_population_2000"):
        load(cambridge, data / ARRIVALS[feed][0], feed, cambridge_schemas)
    counted = query(
        cambridge, "SELECT census_year, count(*) FROM data.census_block GROUP BY 1 ORDER BY 1"
    )
    assert counted == [(2000, 886), (2010, 1201)]
    figures = "count(*) FILTER (WHERE figure_value = 0), sum(figure_value)"
    assert query(cambridge, f"SELECT {figures} FROM data.census_figure") == [(203, 101355)]


def test_shapefiles_in_feet_with_and_without_prj(
    data: Path, cambridge: Database, cambridge_schemas: Schemas, query: Any
) -> None:
    whole = data / "derived" / "parcels_fy2014_epsg2249_feet.shp.zip"
    outcome = load(cambridge, whole, "parcels_shapefile", cambridge_schemas)
    assert (outcome.account.arrived, outcome.account.closes) == (13115, True)
    assert ("crs.assumed", None) not in outcome.counts
    frame = geopandas.read_file(whole)
    foot = 1200 / 3937
    areas = dict(query(cambridge, "SELECT parcel_code, area_grid_m2 FROM data.parcel"))
    own = dict(zip(frame["ML"], frame.geometry.area * foot**2, strict=True))
    common = [key for key in areas if key in own]
    assert len(common) > 12000
    difference = np.array([areas[key] - own[key] for key in common])
    # Repaired ones may differ by a hundredth of their area; all others by rounding alone.
    assert (np.abs(difference) > 0.00501).sum() <= 37
    part = data / "derived" / "parcels_maps1-29_no_prj_no_cpg.shp.zip"
    outcome = load(cambridge, part, "parcels_shapefile", cambridge_schemas)
    assert outcome.account.arrived == 806
    assert outcome.account.removed == outcome.account.inserted == 0
    assert outcome.counts["crs.assumed", None] == 1
