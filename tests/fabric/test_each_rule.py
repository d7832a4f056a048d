"""Every rule of domain.md 4.9 that the fabric checks finds the one fault that is planted for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric.check import check
from pipeline.sample import city
from pipeline.settings import Settings

from .conftest import load_all

# What is done to the row of a place in the order of ids, so that no fault lies beside another. A
# geometry is moved or widened by metres; the rule that must tell, and what.
_MOVED = "geom = ST_Translate(geom, {0}, 0)"
_WIDER = "geom = ST_Multi(ST_Buffer(geom, {0}, 'join=mitre'))"
_ASIDE = "ST_Translate(ST_Centroid(geom), {0}, 0)"
PLANTED: dict[str, tuple[str, str, str]] = {
    "region.apart": ("region", _WIDER.format(1), "fabric.overlap"),
    "region.tiled": ("region", _WIDER.format(-0.5), "fabric.sliver"),
    "region.filled": ("region", _WIDER.format(1), "fabric.gap"),
    "district.apart": ("district", _WIDER.format(1), "fabric.overlap"),
    "district.in_region": ("district", _WIDER.format(1), "fabric.outside"),
    "district.code_of_region": ("district", "district_code = '7-99'", "fabric.code"),
    "block.apart": ("block", _WIDER.format(25), "fabric.overlap"),
    "block.filled": ("block", _MOVED.format(14), "fabric.gap"),
    "block.in_district": ("block", _MOVED.format(2500), "fabric.outside"),
    "block.says_its_district": ("block", "district_code = '7-99'", "fabric.code"),
    "block.code_of_district": ("block", "block_code = '7-99-9'", "fabric.code"),
    "parcel.apart": ("parcel", _WIDER.format(0.4), "fabric.overlap"),
    "parcel.in_block": ("parcel", _WIDER.format(6), "fabric.outside"),
    "parcel.code_of_block": ("parcel", "parcel_code = '7-99-9-9-0-0-0'", "fabric.code"),
    "parcel.says_its_block": ("parcel", "block_code = '7-99-9'", "fabric.code"),
    "parcel.in_census_block": ("parcel", _MOVED.format(3000), "fabric.outside"),
    "parcel.in_zone": ("parcel", _MOVED.format(3000), "fabric.outside"),
    "parcel.has_front": ("parcel", _WIDER.format(-1.5), "fabric.landlocked"),
    "census_block.apart": ("census_block", _WIDER.format(25), "fabric.overlap"),
    "plan_zone.apart": ("plan_zone", _WIDER.format(1), "fabric.overlap"),
    "plan_road_line.parallel": ("plan_road_line", _MOVED.format(0.8), "fabric.not_parallel"),
    "building.in_parcel": ("building", _MOVED.format(4), "fabric.encroachment"),
    "building.apart": ("building", _WIDER.format(3), "fabric.overlap"),
    "building.parcel_exists": ("building", "parcel_code = '7-99-9-9-0-0-0'", "fabric.orphan"),
    "postcode.at_parcel": ("postcode", _MOVED.format(40), "fabric.far"),
    "postcode.parcel_exists": ("postcode", "parcel_code = '7-99-9-9-0-0-0'", "fabric.orphan"),
    "contour.apart": (
        "contour", f"geom = ST_Multi(ST_MakeLine({_ASIDE.format(-300)}, {_ASIDE.format(300)}))",
        "fabric.crossing",
    ),
    "contour.on_interval": ("contour", "height_m = height_m + 0.2", "fabric.odd_level"),
    "contour.goes_on": (
        "contour", "geom = ST_Multi(ST_LineSubstring(ST_GeometryN(geom, 1), 0, 0.5))",
        "fabric.loose_end",
    ),
    "spot_height.between": ("spot_height", "height_m = height_m + 4", "fabric.not_between"),
}  # fmt: skip
# Of which rows one is taken, where not any will do.
WHICH = {
    "plan_road_line.parallel": "road_line_kind = 'edge'",
    "contour.goes_on": "ST_Length(geom) > 150",
    "spot_height.between": "ST_Within(geom, (SELECT ST_Buffer(ST_ConvexHull(ST_Collect(c.geom)), "
    "-50) FROM data.contour c))",
}

# Rows of layers that the sample leaves empty: columns, values, what must be told as the key.
ADDED: dict[str, tuple[str, str, str, str]] = {
    "parcel_plate.parcel_exists": (
        "parcel_plate", "parcel_code, registration_plate", "'7-99-9-9-0-0-0', '1/2'",
        "7-99-9-9-0-0-0 1/2",
    ),
    "building_unit.building_exists": (
        "building_unit", "unit_code, parcel_code, building_code, unit_kind",
        "'7-99-9-9-1-1-0', '7-99-9-9-0-0-0', '7-99-9-9-1-0-0', 'apartment'", "7-99-9-9-1-1-0",
    ),
    "case_file.parcel_exists": (
        "case_file", "case_system, case_no, case_type, case_stage, opened_on, parcel_code",
        "'permits', 'C-1', 'building_permit', 'filed', '2026-01-01', '7-99-9-9-0-0-0'",
        "permits C-1",
    ),
    "archive_document.parcel_exists": (
        "archive_document", "document_no, document_kind, parcel_code",
        "'D-1', 'deed', '7-99-9-9-0-0-0'", "D-1",
    ),
    "visit.parcel_exists": (
        "visit", "visit_no, parcel_code, visited_on, geom",
        "'V-1', '7-99-9-9-0-0-0', '2026-01-01', ST_SetSRID(ST_Point(488600, 3833100), 32639)",
        "V-1",
    ),
}  # fmt: skip
# Asked of facts and of what cities without blocks have, and tested where they are at home.
ELSEWHERE = {"parcel.no_sliver", "parcel.edges_close", "parcel_lineage.balances"}


@pytest.fixture(scope="module")
def town(
    qom_template: Settings, schemas: Schemas, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A clean city of this module's own."""
    folder = tmp_path_factory.mktemp("town")
    city.write(folder, parcels=700, seed=5, dirt=0.0, imagery=False)
    with testing.clone(qom_template) as cloned:
        load_all(cloned, schemas, folder)
        assert [one.stands for one in check(cloned, schemas) if one.stands] == []
        yield cloned


def test_no_rule_is_left_out(schemas: Schemas) -> None:
    numbered = {
        f"{name}.{rule.id}"
        for name, layer in schemas.layers.items()
        for rule in layer.fabric
        if (rule.rule or "").startswith("T")
    }
    assert numbered == set(PLANTED) | set(ADDED) | ELSEWHERE


def _told(database: Database, schemas: Schemas, layer: str, rule: str) -> set[tuple[Any, ...]]:
    """What stands by one rule after a check: code, and both rows."""
    check(database, schemas, (layer,))
    with database.connect("owner") as connection:
        rows = connection.execute(
            b"SELECT f.code, f.key, f.value FROM ops.finding f JOIN ops.run r ON r.id = f.run_id "
            b"WHERE r.kind = 'fabric' AND f.layer = %s AND f.field = %s",
            (layer, rule),
        ).fetchall()
    return set(rows)


@pytest.mark.parametrize("named", PLANTED)
def test_a_planted_fault_is_found(town: Database, schemas: Schemas, named: str) -> None:
    layer, change, code = PLANTED[named]
    rule, column = named.partition(".")[2], change.partition(" ")[0]
    key = " || ' ' || ".join(f"{name}::text" for name in schemas.layer(layer).key)
    with town.connect("owner") as connection:
        row = connection.execute(
            f"SELECT id, {column}::text, {key} FROM data.{layer} "
            f"WHERE {WHICH.get(named, 'true')} ORDER BY id OFFSET 2 LIMIT 1".encode()
        ).fetchone()
        assert row is not None
        connection.execute(f"UPDATE data.{layer} SET {change} WHERE id = {row[0]}".encode())
    try:
        found = _told(town, schemas, layer, rule)
    finally:
        with town.connect("owner") as connection:
            connection.execute(
                f"UPDATE data.{layer} SET {column} = %s WHERE id = {row[0]}".encode(), (row[1],)
            )
    assert code in {one[0] for one in found}
    new = change.partition("'")[2].rstrip("'") if column.endswith("_code") else row[2]
    assert {row[2], new} & {str(name) for one in found for name in one[1:]}


@pytest.mark.parametrize("named", ADDED)
def test_a_row_without_its_parent_is_found(town: Database, schemas: Schemas, named: str) -> None:
    layer, columns, values, key = ADDED[named]
    with town.connect("owner") as connection:
        connection.execute(
            f"INSERT INTO data.{layer} ({columns}, run_id, source_line) "
            f"VALUES ({values}, 1, 1)".encode()
        )
    found = _told(town, schemas, layer, named.partition(".")[2])
    assert {(code, row) for code, row, _ in found} == {("fabric.orphan", key)}
