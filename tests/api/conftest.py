"""A small published city: some rows of several layers, and the application over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.settings import Settings
from tests.serving import Application

# A row of ten parcels, 20 m wide, along a street; parcel 3 has no land use, parcel 10 an odd one.
X, Y, SIDE, STEP = 490_000.0, 3_830_000.0, 15.0, 20.0
USES = ["residential", "commercial", None, "residential", "park_green"]
PLACES = [
    ("p1", "religious", "حرم حضرت معصومه", "Holy Shrine", "2001-03-21", None),
    ("p2", "food", "چلوکبابی 'اصیل'", "O'Brien's <b>Grill</b>", "2010-01-01", "2015-06-30"),
    ("p3", "food", "رستوران ۱۰۰٪", "100% Café", "2012-05-05", None),
    ("p4", "health", "درمانگاه", None, None, None),
    ("p5", "school", "مدرسهٔ فیضیه", "CAFÉ school_under", "2020-02-29", "2021-01-01"),
]


def _square(place: int) -> str:
    x = X + STEP * place
    return (
        f"SRID=32639;MULTIPOLYGON((({x} {Y},{x + SIDE} {Y},{x + SIDE} {Y + SIDE},"
        f"{x} {Y + SIDE},{x} {Y})))"
    )


def fill(database: Database) -> None:
    """Writes the rows of the small city."""
    rows: list[tuple[str, list[tuple[Any, ...]]]] = [
        (
            ("INSERT INTO data.parcel (parcel_code, block_code, national_reference, land_use, "
            "area_grid_m2, registration_plate, area_deed_m2, geom, run_id, source_line) "
            "VALUES (%s, %s, %s, %s, 225, %s, 226.5, %s, 1, %s)"),
            [
                (
                    f"1-12-45-{number}-0-0-0",
                    "1-12-45" if number < 8 else "1-12-46",
                    f"ref {number}" if number % 2 else None,
                    USES[(number - 1) % len(USES)],
                    f"secret-{number}",
                    _square(number),
                    number,
                )
                for number in range(1, 11)
            ],
        ),
        (
            ("INSERT INTO data.poi (poi_id, poi_category, name_fa, name_en, valid_from, valid_to, "
            "geom, run_id, source_line) VALUES (%s, %s, %s, %s, %s, %s, "
            "ST_SetSRID(ST_MakePoint(%s, 3830007.5), 32639), 1, 1)"),
            [(*place, X + STEP * n + 7.5) for n, place in enumerate(PLACES, start=1)],
        ),
        (
            ("INSERT INTO data.building (building_code, floors_above, floors_below, "
            "footprint_grid_m2, geom, run_id, source_line) VALUES (%s, %s, %s, %s, %s, 1, 1)"),
            [(f"b{n}", n, n % 2, 100.5 * n, _square(n)) for n in range(1, 6)],
        ),
        (
            ("INSERT INTO data.plan_document (plan_id, plan_kind, approval_date, geom, run_id, "
            "source_line) VALUES (%s, 'detailed', %s, %s, 1, 1)"),
            [("d1", "2015-03-01", _square(1)), ("d2", "2020-08-15", _square(2)),
             ("d3", None, _square(3))],
        ),
        (
            ("INSERT INTO data.plan_road_line (plan_id, road_line_id, road_line_kind, "
            "widening_symmetric, geom, run_id, source_line) VALUES ('d1', %s, 'axis', %s, "
            "'SRID=32639;MULTILINESTRING((490000 3830030, 490200 3830030))', 1, 1)"),
            [("r1", True), ("r2", False), ("r3", None)],
        ),
    ]  # fmt: skip
    with database.connect("loader") as connection, connection.cursor() as cursor:
        for statement, values in rows:
            cursor.executemany(statement, values)


@pytest.fixture(scope="session")
def city(qom_template: Settings) -> Iterator[Database]:
    """The database with the rows above."""
    with testing.clone(qom_template) as cloned:
        fill(cloned)
        yield cloned


@pytest.fixture(scope="session")
def settings(city: Database) -> Settings:
    """Settings of the service."""
    return replace(city.settings, public_url="http://makan.test", statement_timeout_s=5)


@pytest.fixture(scope="session")
def client(settings: Settings, city: Database) -> Iterator[TestClient]:
    """The application, running."""
    schemas: Schemas = registry.load("qom")
    application = Application(settings, schemas, city)
    with TestClient(application, base_url="http://makan.test") as running:
        yield running


@pytest.fixture(scope="session")
def published(settings: Settings, client: TestClient) -> Path:
    """The folder of the rendered files."""
    assert client
    return settings.home / "published" / "public"
