"""What check accepts the database accepts, and what it refuses the database refuses too."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from pipeline import geo, testing
from pipeline.contracts import registry
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive.columns import home
from pipeline.findings import Catalog
from pipeline.settings import Settings
from pipeline.stages.batch import Rows
from pipeline.stages.check import check_rows, derive_fields
from pipeline.stages.clean import ARROW_TYPES
from pipeline.stages.context import Context
from pipeline.stages.judge import error_codes
from pipeline.stages.wkb import written

CITIES = {city: registry.load(city) for city in ("qom", "cambridge")}
# A view has no constraints: what it shows has been judged before. A log has no table.
EVERY = [
    (city, layer.id)
    for city, schemas in CITIES.items()
    for layer in schemas.layers.values()
    if layer.source not in ("view", "log")
]
LETTERS = st.characters(codec="utf-8", exclude_characters="\x00")
CONSTRAINED = (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation)


@pytest.fixture(scope="module")
def cities(qom_template: Settings, cambridge_template: Settings) -> Iterator[dict[str, Database]]:
    """One database a city; rows that are accepted stay, nobody looks at them."""
    with testing.clone(qom_template) as qom, testing.clone(cambridge_template) as cambridge:
        yield {"qom": qom, "cambridge": cambridge}


def numbers(field: Field) -> st.SearchStrategy[Any]:
    """Numbers at and about the limits of ``field``, and any others."""
    if field.type == "integer":
        edges = [int(limit) + step for limit in (field.min, field.max) if limit is not None
                 for step in (-1, 0, 1)]  # fmt: skip
        return st.sampled_from([*edges, 2**53 + 1, -(2**63), 2**63 - 1]) | st.integers(-9, 9999)
    limits = [limit for limit in (field.min, field.max) if limit is not None]
    near = [math.nextafter(limit, to) for limit in limits for to in (-math.inf, limit, math.inf)]
    return st.sampled_from([*near, 0.0, -0.0]) | st.floats() | st.floats(0, 100)


def values(field: Field, schemas: Schemas) -> st.SearchStrategy[Any]:
    """Good and bad values of ``field``, and none."""
    if field.type in ("integer", "number"):
        return st.none() | numbers(field)
    if field.type == "boolean":
        return st.none() | st.booleans()
    if field.type == "date":
        return st.none() | st.dates(dt.date(1622, 1, 1), dt.date(2199, 12, 31))
    if field.type == "datetime":
        return st.none() | st.datetimes(timezones=st.just(dt.UTC))
    made = st.none() | st.text(LETTERS, max_size=4)
    codes, pattern = schemas.codes(field), schemas.pattern(field)
    if codes:
        made |= st.sampled_from(codes.codes)
    if pattern:
        made |= st.from_regex(pattern, alphabet=LETTERS)
    if field.max_length:
        made |= st.sampled_from(["ق" * field.max_length, "q" * (field.max_length + 1)])
    return made


def good(layer: LayerContract, field: Field, schemas: Schemas) -> Any:
    """A value that ``field`` takes."""
    codes = schemas.codes(field)
    if field.type in ("integer", "number"):
        return schemas.limits(layer, field)[0] or 1
    if field.type == "date":
        return dt.date(2020, 1, 1)
    if field.type == "datetime":
        return dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    if field.type == "parcel_code":
        return schemas.city.parcel_code.example
    if field.type == "boolean":
        return True
    return codes.codes[0] if codes else None if field.pattern else "1"


@st.composite
def row_of(draw: st.DrawFn, layer: LayerContract, schemas: Schemas) -> dict[str, Any]:
    """Rows of ``layer``: up to two values are anything, so that both verdicts occur."""
    row = {f.name: good(layer, f, schemas) for f in layer.fields}
    patterns = [f for f in layer.fields if f.required and f.pattern]
    odd = draw(st.lists(st.sampled_from(layer.fields), max_size=2))
    for field in [*patterns, *odd]:
        row[field.name] = draw(values(field, schemas))
    return row


def good_shape(layer: LayerContract, schemas: Schemas) -> shapely.Geometry | None:
    """A geometry in the middle of the city."""
    if layer.geometry is None:
        return None
    xmin, ymin, xmax, ymax = schemas.city.extent.bounds
    x, y = (xmin + xmax) / 2, (ymin + ymax) / 2
    part = layer.geometry.type.removeprefix("Multi")
    made = {
        "Point": shapely.Point(x, y),
        "LineString": shapely.LineString([(x, y), (x + 9, y)]),
        "Polygon": shapely.box(x, y, x + 9, y + 9),
    }[part]
    if layer.geometry.z == "keep":
        made = shapely.force_3d(made, z=schemas.city.heights.min)
    return geo.promote(np.array([made], dtype=object), layer.geometry.type)[0]


def context(schemas: Schemas, layer: LayerContract) -> Context:
    """The context of check; no feed is asked for."""
    return Context(schemas, Catalog.load(), None, layer)  # type: ignore[arg-type]


def insert(connection: Any, layer: LayerContract, row: dict[str, Any]) -> str | None:
    """What the database says against a row, None if it takes it."""
    system = {"run_id": 1, "source_line": 1} if layer.source == "feed" else {"run_id": 1}
    row = {**row, **system}
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(home(layer), layer.id),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() * len(row)),
    )
    try:
        connection.execute(statement, list(row.values()))
    except psycopg.errors.UniqueViolation:
        return None
    except CONSTRAINED as error:
        return error.diag.constraint_name or error.diag.column_name
    return None


@pytest.mark.parametrize(("city", "layer_id"), EVERY)
def test_check_and_constraints_say_the_same(
    city: str, layer_id: str, cities: dict[str, Database]
) -> None:
    schemas = CITIES[city]
    layer = schemas.layer(layer_id)
    shape = good_shape(layer, schemas)
    told = context(schemas, layer)

    with cities[city].connect("owner", autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")

        @settings(max_examples=25, deadline=None)
        @given(st.lists(row_of(layer, schemas), min_size=1, max_size=4))
        def agree(given_rows: list[dict[str, Any]]) -> None:
            shapes = None if shape is None else np.array([shape] * len(given_rows), dtype=object)
            columns = {
                f.name: pa.array([row[f.name] for row in given_rows], type=ARROW_TYPES[f.type])
                for f in layer.fields
            }
            rows = Rows(np.arange(1, len(given_rows) + 1), columns, shapes)
            rows = derive_fields(rows, told)
            refused = set(check_rows(rows, told).lines_of(error_codes(told)).tolist())
            stored = pa.table(rows.columns).to_pylist()
            for line, row in enumerate(stored, start=1):
                if shapes is not None:
                    row["geom"] = written(shapes[:1], layer.geometry.dimension)[0].as_py().hex()
                said = insert(connection, layer, row)
                assert (said is not None) == (line in refused), (said, row)

        agree()


@pytest.mark.parametrize("city", sorted(CITIES))
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_extent_and_constraint_say_the_same(
    city: str, data: st.DataObject, cities: dict[str, Database]
) -> None:
    schemas = CITIES[city]
    layer = next(
        one for one in schemas.layers.values() if one.geometry and one.geometry.type == "Point"
    )
    xmin, ymin, xmax, ymax = schemas.city.extent.bounds
    hairs = st.sampled_from([0, 1e-9, -1e-9, 0.001, -0.001, 0.02, -0.02, 0.5, -0.5])
    x = data.draw(st.sampled_from([xmin, xmax])) + data.draw(hairs)
    y = data.draw(st.sampled_from([ymin, ymax, (ymin + ymax) / 2])) + data.draw(hairs)
    shapes = np.array([shapely.Point(x, y)], dtype=object)
    inside = bool(geo.within(shapes, schemas.city.extent.bounds)[0])
    row = {f.name: good(layer, f, schemas) for f in layer.fields if f.required}
    with cities[city].connect("owner", autocommit=True) as connection:
        said = insert(connection, layer, {**row, "geom": written(shapes)[0].as_py().hex()})
    assert (said is None) == inside, (x, y, said)


def test_every_layer_of_both_cities_is_asked() -> None:
    folder = Path(registry.__file__).parents[2] / "schemas" / "layers"
    layers = CITIES["qom"].layers.values()
    bare = {layer.id for layer in layers if layer.source in ("view", "log")}
    every = {path.stem for path in folder.glob("*.toml")}
    assert {layer for _, layer in EVERY} == every - bare
