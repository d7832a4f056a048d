"""The examples of the CQL2 standard, all 120, over a table that has their properties.

``cql2_standard.tsv`` holds them as they are in the standard (OGC 21-065r2, schema/examples/text,
© Open Geospatial Consortium), each on one line, with what must come of it: the rows that it
finds, or the reason for which it is refused. The rows are below; the third is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cql2
import psycopg
import pytest
from psycopg import sql

from pipeline.contracts.base import Text
from pipeline.contracts.field import Field
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.serve import cql, crs
from pipeline.serve.errors import Problem
from pipeline.serve.served import Served

EXAMPLES = [
    line.split("\t")
    for line in (Path(__file__).parent / "cql2_standard.tsv").read_text("utf-8").splitlines()
]
#: Name, type, and the value in the first and in the second row.
COLUMNS: list[tuple[str, str, Any, Any]] = [
    ("city", "text", "Toronto", "Ottawa"),
    ("windSpeed", "number", 3, 5),
    ("balance", "number", 200, 100),
    ("updated", "datetime", "2020-01-01T00:00:00Z", "1969-12-31T00:00:00Z"),
    ("name", "text", "foobar", "Smithers"),
    ("depth", "number", 120, 99.9),
    ("cityName", "text", "Tokyo", "Paris"),
    ("category", "integer", 7, 2),
    ("road_class", "text", "STRASSE", "ΟΔΟΣ"),
    ("etat_vol", "text", "debarquer", "embarquer"),
    ("event_time", "datetime", "1969-07-20T20:17:40Z", "1968-12-24T00:00:00Z"),
    ("touchdown", "datetime", "1969-07-20T20:17:40Z", "1969-07-15T00:00:00Z"),
    ("liftOff", "datetime", "1969-07-21T17:54:00Z", "1969-07-21T17:54:00Z"),
    ("vehicle_height", "number", 4, 3),
    ("bridge_clearance", "number", 4.5, 4.5),
    ("landsat:scene_id", "text", "LC82030282019133LGN00", "LC8"),
    ("landsat:wrs_path", "text", "153", "203"),
    ("landsat:wrs_row", "integer", 28, 28),
    ("eo:instrument", "text", "OLI_TIRS", "TM"),
    ("eo:cloud_cover", "number", 0.1, 0.05),
    ("beamMode", "text", "ScanSAR Narrow", "Fine"),
    ("swathDirection", "text", "ascending", "descending"),
    ("polarization", "text", "HH+VV+HV+VH", "HH"),
    ("floors", "integer", 6, 3),
    ("taxes", "number", 500, 501),
    ("owner", "text", "Mike Jones", "Somebody ELSE"),
    ("swimming_pool", "boolean", True, False),
    ("material", "text", "brick", "red brick"),
    ("built", "date", "2012-06-06", "2016-01-01"),
    ("starts_at", "datetime", "2005-01-11T00:00:00Z", "1991-10-07T08:21:06.393262Z"),
    ("ends_at", "datetime", "2010-02-09T00:00:00Z", "1992-10-01T00:00:00Z"),
    ("geophys:SURVEY_NAME", "text", "North CALCUTTA 1923", "Delhi"),
    ("value", "number", 15, 10),
    ("foo", "number", 4, 2),
    ("bar", "number", 6.1234, 0),
    ("x", "number", 1, 3),
    ("updated_at", "datetime", "2012-01-01T00:00:00Z", "1851-04-29T00:00:00Z"),
]
KINDS = {
    "text": "text", "number": "double precision", "integer": "bigint", "boolean": "boolean",
    "date": "date", "datetime": "timestamptz",
}  # fmt: skip
#: Examples with functions and arrays, which no server need know and whose classes are not
#: declared; with geometries that are none; and with values of another type than the column.
REFUSED = 21
# The standard calls geometries by what they are of; here there is one, called geometry.
GEOMETRIES = ("footprint", "location", "road")


@pytest.fixture(scope="module")
def table(city: Database) -> Iterator[psycopg.Connection[Any]]:
    """The three rows, for this connection alone."""
    columns = [sql.SQL(f"{{}} {KINDS[kind]}").format(sql.Identifier(n)) for n, kind, *_ in COLUMNS]
    place = "SRID=32639;POINT(490000 3830000)"
    with city.connect("loader") as connection:
        connection.execute(
            sql.SQL("CREATE TEMP TABLE example (id bigint, geom geometry, {})").format(
                sql.SQL(", ").join(columns)
            )
        )
        for number in (1, 2, 3):
            cells = [row[number + 1] if number < 3 else None for row in COLUMNS]
            marks = sql.SQL(", ").join([sql.Placeholder()] * (len(cells) + 2))
            connection.execute(
                sql.SQL("INSERT INTO example VALUES ({})").format(marks),
                [number, place if number < 3 else None, *cells],
            )
        yield connection


@pytest.fixture(scope="module")
def example(schemas: Schemas) -> Served:
    """A collection with the properties of the examples."""
    made = {
        name: Field.model_construct(name=name, type=kind, title=Text(fa=name, en=name))
        for name, kind, *_ in COLUMNS
    }
    layer = schemas.layer("parcel")
    return Served(layer, schemas.city, schemas.audience("public"), made)  # type: ignore[arg-type]


def _found(
    table: psycopg.Connection[Any], example: Served, text: str, language: cql.Language
) -> list[int]:
    clause = cql.clause(example, text, language, crs.named(example.city, crs.CRS84, "crs"))
    asked = sql.SQL("SELECT id FROM example AS v WHERE {} ORDER BY id").format(sql.SQL(clause.text))
    return [row[0] for row in table.execute(asked, dict(clause.values))]


def test_the_examples_are_all_there() -> None:
    assert len(EXAMPLES) == 120
    assert sum(expected.startswith("refused") for _, expected, _ in EXAMPLES) == REFUSED


@pytest.mark.parametrize(("name", "expected", "text"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
@pytest.mark.defect("Q3")
def test_example(
    table: psycopg.Connection[Any], example: Served, name: str, expected: str, text: str
) -> None:
    """As text, and as the JSON that the text is in the standard's other encoding."""
    del name
    for word in GEOMETRIES:
        text = text.replace(f"({word},", "(geometry,")
    ways: list[tuple[str, cql.Language]] = [(text, "cql2-text")]
    ways.append((json.dumps(cql2.parse_text(text).to_json()), "cql2-json"))
    for asked, language in ways:
        if expected.startswith("refused"):
            with pytest.raises(Problem) as refusal:
                _found(table, example, asked, language)
            assert refusal.value.status == 400
            assert expected.removeprefix("refused: ") in refusal.value.detail
        else:
            rows = [int(number) for number in expected.split()] if expected != "none" else []
            assert _found(table, example, asked, language) == rows
