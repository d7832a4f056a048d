"""Plan and census: the fixture's numbers, real plans and real blocks, counted independently."""

from __future__ import annotations

import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.fabric import check as fabric
from pipeline.joins import derive as joins
from pipeline.joins import plan
from pipeline.joins.overlay import Overlay
from pipeline.joins.population import population_in
from pipeline.joins.report import report
from tests.joins.conftest import load

CB1 = "SELECT ST_AsBinary(geom), id FROM data.census_block ORDER BY id LIMIT 1"


@pytest.fixture(scope="module")
def cambridge_schemas() -> Schemas:
    """The contracts as they hold for Cambridge."""
    return registry.load("cambridge")


def test_population_of_the_west_half(city: Database, schemas: Schemas, query: Any) -> None:
    """SDB-3.5: CB-1 has 88 persons; its west half 44 by area, all 88 by dwellings."""
    whole = shapely.from_wkb(query(city, CB1)[0][0])
    west, south, east, north = whole.bounds
    half = shapely.box(west, south, (west + east) / 2, north)
    found = {
        by: population_in(city, schemas, half, by=by) for by in ("area", "dwelling")
    }  # fmt: skip
    assert found["area"] is not None
    assert found["dwelling"] is not None
    assert (found["area"].population, found["area"].method) == (pytest.approx(44, abs=1e-6), "area")
    assert (found["dwelling"].population, found["dwelling"].method) == (88, "dwelling")
    everything = population_in(city, schemas, whole)
    assert everything is not None
    assert (everything.population, everything.census_year, everything.blocks_whole) == (88, 1395, 1)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=4, unique=True), st.booleans())
def test_a_partition_has_the_people_of_the_whole(
    city: Database, schemas: Schemas, query: Any, cuts: list[float], dwelling: bool
) -> None:
    extent = query(city, "SELECT ST_AsBinary(ST_Extent(geom)::geometry) FROM data.census_block")
    west, south, east, north = shapely.from_wkb(extent[0][0]).bounds
    edges = [west, *(west + (east - west) * cut for cut in sorted(cuts)), east]
    by = "dwelling" if dwelling else "area"
    parts = [
        population_in(city, schemas, shapely.box(left, south, right, north), by=by)
        for left, right in pairwise(edges)
    ]
    whole = population_in(city, schemas, shapely.box(west, south, east, north), by=by)
    assert whole is not None
    assert sum(part.population or 0 for part in parts if part) == pytest.approx(whole.population)


def test_small_cells_are_masked(city: Database, query: Any) -> None:
    query(city, "UPDATE data.census_figure SET figure_value = 2, suppressed = false "
          "WHERE census_variable = 'households' AND census_code = (SELECT max(census_code) "
          "FROM data.census_block)")  # fmt: skip
    shown = query(
        city,
        "SELECT population, households, dwellings, masked FROM api.census_population "
        "ORDER BY census_code DESC LIMIT 1",
    )
    assert shown == [(None, None, None, True)]


def test_what_the_plan_says_of_the_fixture_parcel(city: Database, schemas: Schemas) -> None:
    """SDB-4.2: the zone, the widening, and what the rule allows on what remains."""
    (found,) = plan.of_parcel(city, "1-12-45-7-0-0-0")
    assert found["zone_code"] == "R2"
    assert (found["area_zone_m2"], found["zone_share"]) == (200.00, 1.0)
    assert (found["area_widening_m2"], found["area_after_widening_m2"]) == (20.00, 180.00)
    assert (found["area_basis"], found["area_basis_m2"]) == ("remainder", 180.00)
    assert (found["allowed_footprint_m2"], found["allowed_floor_area_m2"]) == (108.00, 324.00)
    (edition,) = [one for one in plan.editions(city, schemas) if one.zones]
    assert (edition.plan_id, edition.in_force) == ("TT-1397", True)
    assert edition.codes_without_rule == []
    assert edition.blocks_without_zone_m2 is not None
    assert edition.boundary_m2 is not None
    assert edition.blocks_without_zone_m2 < 0.001 * edition.boundary_m2
    assert edition.doubled_m2 < 0.001 * edition.zones_m2


def test_the_street_decides_which_rule_holds(city: Database, schemas: Schemas, query: Any) -> None:
    """Yas is 8 m and to be 12: a rule from 10 m on holds by the plan's width, not by today's."""
    wide = "'TT-1397', 'R2', 2, 10.0, NULL, 70.0, 210.0, 3, 'remainder', 1, 1"
    narrow = "street_width_to_m = 10.0 WHERE plan_id = 'TT-1397' AND zone_code = 'R2'"
    query(city, f"UPDATE data.zone_rule SET {narrow} AND rule_no = 1")
    query(
        city,
        "INSERT INTO data.zone_rule (plan_id, zone_code, rule_no, street_width_from_m, "
        "street_width_to_m, coverage_pct, far_pct, max_floors, area_basis, run_id, source_line) "
        f"VALUES ({wide})",
    )
    (found,) = plan.of_parcel(city, "1-12-45-7-0-0-0")
    assert (found["rule_no"], found["street_width_m"], found["front_m"]) == (2, 12.0, 10.0)
    assert (found["allowed_footprint_m2"], found["allowed_floor_area_m2"]) == (126.0, 378.0)
    query(city, "UPDATE data.plan_document SET street_width_basis = 'existing'")
    (found,) = plan.of_parcel(city, "1-12-45-7-0-0-0")
    assert (found["rule_no"], found["street_width_m"]) == (1, 8.0)
    query(city, "UPDATE data.street SET width_existing_m = NULL, width_plan_m = NULL")
    (found,) = plan.of_parcel(city, "1-12-45-7-0-0-0")
    assert (found["rule_no"], found["street_width_m"]) == (None, None)


def test_a_corner_plot_has_the_street_that_its_edition_chooses(city: Database, query: Any) -> None:
    """The widest of its streets, or the one of its longest front."""
    corner = (
        "SELECT e.subject_id FROM facts.parcel_edge e JOIN data.street s ON s.id = e.way_id JOIN "
        "facts.parcel_zone z ON z.subject_id = e.subject_id AND z.in_group = 'TT-1397' GROUP BY 1 "
        "HAVING count(DISTINCT s.street_id) = 2 ORDER BY 1 LIMIT 1"
    )
    ((parcel,),) = query(city, corner)
    fronts = query(
        city,
        "SELECT s.id, s.street_id, sum(e.length_m) FROM facts.parcel_edge e "
        "JOIN data.street s ON s.id = e.way_id WHERE subject_id = %s GROUP BY 1, 2 ORDER BY 3",
        parcel,
    )
    (short, short_name, _), (long, long_name, _) = fronts
    width = "UPDATE data.street SET width_existing_m = %s, width_plan_m = %s WHERE id = %s"
    query(city, "DELETE FROM data.plan_road_line")
    query(city, width, 20.0, 20.0, short)
    query(city, width, 6.0, 6.0, long)
    chosen = (
        "SELECT DISTINCT street_id, street_width_m FROM derived.parcel_plan JOIN data.parcel p "
        "USING (parcel_code) WHERE p.id = %s AND plan_id = 'TT-1397'"
    )
    assert query(city, chosen, parcel) == [(short_name, 20.0)]
    query(city, "UPDATE data.plan_document SET street_choice = 'longest'")
    assert query(city, chosen, parcel) == [(long_name, 6.0)]


def test_one_approved_edition_holds_at_a_place(
    city: Database, schemas: Schemas, query: Any
) -> None:
    """The database refuses a second; a draft beside it is welcome, and approved by succession."""
    again = (
        "INSERT INTO data.plan_document (plan_id, plan_kind, plan_status, geom, run_id, "
        "source_line) SELECT 'TT-1405', plan_kind, %s, geom, run_id, 99 FROM data.plan_document "
        "WHERE plan_id = 'TT-1397'"
    )
    with pytest.raises(psycopg.errors.ExclusionViolation) as refused:
        query(city, again, "approved")
    assert refused.value.diag.constraint_name == "one_approved_edition"
    query(city, again, "draft")
    in_force = {one.plan_id: one.in_force for one in plan.editions(city, schemas)}
    assert (in_force["TT-1397"], in_force["TT-1405"]) == (True, False)
    query(
        city,
        "UPDATE data.plan_document SET plan_status = CASE plan_id WHEN 'TT-1397' THEN 'superseded' "
        "ELSE 'approved' END WHERE plan_kind = 'detailed'",
    )
    in_force = {one.plan_id: one.in_force for one in plan.editions(city, schemas)}
    assert (in_force["TT-1397"], in_force["TT-1405"]) == (False, True)


def plans(source: Path, place: Path, statuses: dict[str, str]) -> Path:
    """The plans' file with these editions of the detailed plan, each drawn as the first one is."""
    frame = pyogrio.read_dataframe(source / "tarh.gpkg")
    (first,) = frame.index[frame["KOD_TARH"] == "TT-1397"]
    made = [frame.drop(index=[first])]
    for plan_id, status in statuses.items():
        one = frame.loc[[first]].copy()
        one["KOD_TARH"], one["وضعیت"] = plan_id, status
        made.append(one)
    target = place / "tarh.gpkg"
    pyogrio.write_dataframe(pd.concat(made, ignore_index=True), target, layer="tarh")
    return target


def test_a_second_approved_edition_is_set_aside_alone(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    """The one that was approved stays, the rest of the delivery is taken; succession is not."""
    both = plans(city_files, tmp_path, {"TT-1405": "مصوب", "TT-1397": "مصوب", "TT-9": "پیش نویس"})
    found = load(city, both, "plan_documents", schemas)
    assert (found.account.inserted, found.account.quarantined) == (1, 1)
    statuses = "SELECT plan_id, plan_status FROM data.plan_document WHERE plan_kind = 'detailed'"
    assert dict(query(city, statuses)) == {"TT-1397": "approved", "TT-9": "draft"}
    aside = "SELECT key, reasons FROM ops.quarantine WHERE run_id = %s"
    assert query(city, aside, found.run) == [("TT-1405", ["plan.two_approved"])]
    told = query(city, "SELECT code, key, value, detail FROM ops.finding WHERE run_id = %s "
                       "AND severity = 'error'", found.run)  # fmt: skip
    area = query(city, "SELECT round(area_grid_m2) FROM data.plan_document WHERE plan_id='TT-9'")
    assert told == [("plan.two_approved", "TT-1405", "TT-1397", f"{area[0][0]:.0f} m2")]
    # The same again with another draft: what was set aside is judged again, what stayed is not.
    again = {"TT-1405": "مصوب", "TT-1397": "مصوب", "TT-9": "منسوخ"}
    found = load(city, plans(city_files, tmp_path, again), "plan_documents", schemas)
    assert (found.account.updated, found.account.quarantined) == (1, 1)
    after = plans(city_files, tmp_path, {"TT-1405": "مصوب", "TT-1397": "منسوخ"})
    found = load(city, after, "plan_documents", schemas)
    assert (found.account.inserted, found.account.quarantined) == (1, 0)
    assert dict(query(city, statuses)) == {"TT-1397": "superseded", "TT-1405": "approved"}


def test_of_two_new_approved_editions_neither_is_taken(
    database: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    both = plans(city_files, tmp_path, {"TT-1405": "مصوب", "TT-1397": "مصوب", "TT-9": "پیش نویس"})
    found = load(database, both, "plan_documents", schemas)
    assert (found.account.inserted, found.account.quarantined) == (2, 2)
    values = "SELECT key, value FROM ops.finding WHERE code = 'plan.two_approved'"
    assert set(query(database, values)) == {("TT-1405", "TT-1397"), ("TT-1397", "TT-1405")}
    keys = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'data.plan_document'::regclass"
    assert query(database, keys + " AND contype IN ('p', 'u')") == [(2,)]
    one = plans(city_files, tmp_path, {"TT-1405": "مصوب"})
    found = load(database, one, "plan_documents", schemas)
    assert (found.account.inserted, found.account.removed) == (1, 1)


def test_two_approved_editions_are_found(city: Database, schemas: Schemas, query: Any) -> None:
    """Without a boundary the database cannot refuse; the zones tell."""
    (clean,) = [one for one in fabric.check(city, schemas, ("plan_document",))
                if one.layer == "plan_document"]  # fmt: skip
    assert clean.errors == 0
    query(
        city,
        "INSERT INTO data.plan_document (plan_id, plan_kind, plan_status, run_id, source_line) "
        "VALUES ('TT-1405', 'detailed', 'approved', 1, 99)",
    )
    query(city, "UPDATE facts.parcel_zone SET in_group = 'TT-1405' WHERE id IN (SELECT min(id) "
          "FROM facts.parcel_zone WHERE part = 'in')")  # fmt: skip
    query(
        city,
        "INSERT INTO facts.parcel_zone (subject_id, object_id, part, in_group, area_m2, share, "
        "run_id) SELECT subject_id, object_id, part, 'TT-1397', area_m2, share, run_id "
        "FROM facts.parcel_zone WHERE in_group = 'TT-1405'",
    )
    fabric.check(city, schemas, ("plan_document",))
    found = query(
        city, "SELECT key, value, detail FROM ops.finding WHERE code = 'plan.two_approved'"
    )
    assert found == [("TT-1397", "TT-1405", "1 parcels")]


def test_zones_of_cambridge(
    real_data: Path, cambridge: Database, cambridge_schemas: Schemas, query: Any
) -> None:
    """635 parcels have 5 % or more in each of two or more zones, 32 lie in none.

    The data's README counts all polygons that were delivered; of those we publish, GeoPandas
    counts as we do.
    """
    folder = real_data / "cambridge_ma"
    load(cambridge, folder / "boundary/BOUNDARY_CityBoundary.geojson", "zoning_ordinance",
         cambridge_schemas)  # fmt: skip
    load(cambridge, folder / "zoning/CDD_ZoningDistricts.geojson", "zoning", cambridge_schemas)
    load(cambridge, folder / "derived/parcels_fy2014_epsg2249_feet.shp.zip", "parcels_shapefile",
         cambridge_schemas)  # fmt: skip
    joins.derive(cambridge, cambridge_schemas)
    edges = query(
        cambridge,
        "SELECT count(*), min(edges), max(abs(total - ST_Perimeter(p.geom) * 1200 / 3937)) FROM "
        "data.parcel p LEFT JOIN (SELECT subject_id, count(*) edges, sum(length_m) total "
        "FROM facts.parcel_edge GROUP BY 1) e ON e.subject_id = p.id",
    )
    assert edges[0][:2] == (13012, 3)
    assert edges[0][2] < 1e-6
    apart = query(
        cambridge,
        "SELECT count(*) FILTER (WHERE abs(coalesce(border_m, 0) - coalesce(m, 0)) > 0.5), count(*)"
        " FROM facts.parcel_neighbour FULL JOIN (SELECT subject_id, object_id, sum(length_m) m "
        "FROM facts.parcel_edge WHERE beside = 'neighbour' GROUP BY 1, 2) e "
        "USING (subject_id, object_id)",
    )
    assert apart[0][0] < 0.002 * apart[0][1]  # overlaps, and gaps narrower than a sliver
    (edition,) = plan.editions(cambridge, cambridge_schemas)
    assert len(edition.codes_without_rule) > 0  # the ordinance's numbers are not in the copy
    shares = "SELECT sum(share) s FROM facts.parcel_zone GROUP BY subject_id"
    assert query(cambridge, f"SELECT max(abs(s - 1)) FROM ({shares}) x")[0][0] < 1e-6

    parcels = pyogrio.read_dataframe(folder / "derived/parcels_fy2014_epsg2249_feet.shp.zip")
    zones = pyogrio.read_dataframe(folder / "zoning/CDD_ZoningDistricts.geojson").to_crs(2249)
    shapes = shapely.make_valid(parcels.geometry.to_numpy())
    areas = shapely.make_valid(zones.geometry.to_numpy())
    _, kind = np.unique(zones["ZONE_TYPE"].to_numpy(dtype=str), return_inverse=True)
    square = (1200 / 3937) ** 2
    found = Overlay(square, 0.01, "all").run(shapes, areas, np.zeros(len(areas), dtype=int), 1)
    share = found.area / (shapely.area(shapes) * square)[found.subject]
    big = (found.kind == 0) & (share >= 0.05)
    pairs = np.unique(np.column_stack([found.subject[big], kind[found.object[big]]]), axis=0)
    split = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    none = found.subject[(found.kind == 1) & (share > 0.5)]
    assert (len(shapes), len(split), len(none)) == (13115, 635, 32)
    # What is published is a part of it: rows that share a number, or have none, are set aside.
    published = {code for (code,) in query(cambridge, "SELECT parcel_code FROM data.parcel")}
    codes = parcels["ML"].to_numpy()
    assert edition.parcels_split == sum(code in published for code in codes[split])
    assert edition.parcels_in_none == sum(code in published for code in codes[none])


def test_blocks_and_figures_of_cambridge_both_ways(
    real_data: Path, cambridge: Database, cambridge_schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    """886 blocks, 101,355 persons, 203 with none; the spreadsheet took the codes for numbers."""
    folder = real_data / "cambridge_ma/census"
    load(
        cambridge,
        folder / "DEMOGRAPHICS_Blocks2000.geojson",
        "census_blocks_2000",
        cambridge_schemas,
    )
    load(
        cambridge,
        folder / "DEMOGRAPHICS_Blocks2010.geojson",
        "census_blocks_2010",
        cambridge_schemas,
    )
    load(cambridge, folder / "derived_blocks2000_population_numeric_codes.xlsx",
         "census_population_2000_sheet", cambridge_schemas)  # fmt: skip
    joins.derive(cambridge, cambridge_schemas)
    found = report(cambridge, cambridge_schemas, cambridge_schemas.fact("census_figure_block"))
    assert (found.subjects, found.count("year_and_code")) == (886, 886)
    assert found.objects_without == 1201  # the blocks of 2010, which came without figures
    box = query(
        cambridge, "SELECT ST_AsBinary(ST_Envelope(ST_Collect(geom))) FROM data.census_block"
    )
    people = population_in(cambridge, cambridge_schemas, shapely.from_wkb(box[0][0]), by="area")
    small = query(cambridge, "SELECT count(*), sum(figure_value) FROM data.census_figure "
                  "WHERE figure_value BETWEEN 1 AND 9")[0]  # fmt: skip
    assert people is not None
    assert (people.blocks, people.blocks_masked) == (886, small[0])
    assert people.population == 101355 - small[1]
    assert query(cambridge, "SELECT count(*) FROM api.census_population "
                 "WHERE census_year = 2000 AND population = 0")[0][0] == 203  # fmt: skip


PLU = {
    "plan": ("30014_DOC_URBA_20171013.DBF", 1),
    "zones": ("Donnees_geographiques/30014_ZONE_URBA_20171013.shp", 90),
    "prescriptions_surface": ("Donnees_geographiques/30014_PRESCRIPTION_SURF_20171013.shp", 77),
    "prescriptions_line": ("Donnees_geographiques/30014_PRESCRIPTION_LIN_20171013.shp", 15),
    "prescriptions_point": ("Donnees_geographiques/30014_PRESCRIPTION_PCT_20171013.shp", 93),
    "information_surface": ("Donnees_geographiques/30014_INFO_SURF_20171013.shp", 18),
    "information_point": ("Donnees_geographiques/30014_INFO_PCT_20171013.shp", 6),
}


def test_a_french_plan_loads_by_feeds_alone(real_data: Path, cluster: Cluster) -> None:
    french = registry.load("nimes_trial")
    template = testing.template(cluster, "nimes_trial")
    with testing.clone(template) as database:
        for feed, (file, rows) in PLU.items():
            outcome = load(database, real_data / "plu_fr/30014_PLU_20171013" / file, feed, french)
            account = outcome.account
            assert account.arrived - account.skipped == account.inserted == rows, feed
        joins.derive(database, french)
        (edition,) = plan.editions(database, french)
        assert (edition.status, edition.approved_on, edition.zones) == (
            "approved",
            "2017-10-13",
            90,
        )
        assert edition.in_force
        assert edition.boundary_m2 is None
        assert edition.doubled_m2 > 0  # three pairs of zones overlap, says the data's README


def test_a_dutch_base_map_loads_by_feeds_alone(
    real_data: Path, cluster: Cluster, query: Any
) -> None:
    """Versions that have ended stay out; a building hangs on a parcel where both were delivered."""
    dutch, folder = registry.load("otterlo"), real_data / "dutch"
    with zipfile.ZipFile(folder / "bgt_otterlo.zip") as archive:
        ended = archive.read("bgt_pand.gml").count(b"<imgeo:eindRegistratie>")
    with testing.clone(testing.template(cluster, "otterlo")) as database:
        parcels = folder / "brk_v5/kadastralekaart_perceel.gml"
        assert load(database, parcels, "parcels", dutch).account.inserted == 11
        account = load(database, folder / "bgt_otterlo.zip", "buildings", dutch).account
        assert (account.arrived, account.skipped) == (2273, ended)
        assert account.inserted == 2273 - ended
        joins.derive(database, dutch)
        kinds = query(database, "SELECT part, count(*) FROM facts.building_parcel GROUP BY 1")
        total = query(database, "SELECT sum(share) FROM facts.building_parcel")[0][0]
        assert total == pytest.approx(account.inserted)
        assert dict(kinds)["rest"] > 0
