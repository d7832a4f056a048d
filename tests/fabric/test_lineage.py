"""T20: cases of the lineage balance, to 0.01 m2, for parents and for children."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric.check import check
from pipeline.settings import Settings

Row = tuple[str, str, str, str, float, float | None, float | None]


@pytest.fixture(scope="module")
def lineage(qom_template: Settings) -> Iterator[Database]:
    """A database of this module's own."""
    with testing.clone(qom_template) as cloned:
        yield cloned


def unbalanced(database: Database, schemas: Schemas, rows: list[Row]) -> list[tuple[Any, ...]]:
    """Whose areas do not balance when ``rows`` are the lineage."""
    with database.connect("owner") as connection:
        connection.execute("TRUNCATE data.parcel_lineage")
        connection.cursor().executemany(
            "INSERT INTO data.parcel_lineage (case_ref, lineage_op, parent_code, child_code, "
            "child_kind, area_transferred_m2, area_parent_m2, area_child_m2, run_id, source_line) "
            "VALUES (%s, %s, %s, %s, 'parcel', %s, %s, %s, 1, 1)",
            rows,
        )
    check(database, schemas, ("parcel_lineage",))
    with database.connect("owner") as connection:
        return connection.execute(
            "SELECT value FROM ops.finding WHERE code = 'fabric.unbalanced' ORDER BY 1"
        ).fetchall()


def test_a_subdivision_of_1000_m2(lineage: Database, schemas: Schemas) -> None:
    """AML-16: children, roads and public share are the parent."""
    parts = {"a": 400.0, "b": 350.0, "road": 180.0, "share": 70.0}
    rows: list[Row] = [
        ("T-1", "subdivide", "p", child, area, 1000.0, area) for child, area in parts.items()
    ]
    assert unbalanced(lineage, schemas, rows) == []
    rows[0] = ("T-1", "subdivide", "p", "a", 399.98, 1000.0, 399.98)
    assert unbalanced(lineage, schemas, rows) == [("p",)]
    rows[0] = ("T-1", "subdivide", "p", "a", 400.0, 1000.0, 399.98)
    assert unbalanced(lineage, schemas, rows) == [("a",)]


def test_a_boundary_change_balances_on_both_sides(lineage: Database, schemas: Schemas) -> None:
    rows: list[Row] = [
        ("H-1", "boundary_change", "p", "p", 180.0, 200.0, 180.0),
        ("H-1", "boundary_change", "p", "q", 20.0, 200.0, 320.0),
        ("H-1", "boundary_change", "q", "q", 300.0, 300.0, 320.0),
    ]
    assert unbalanced(lineage, schemas, rows) == []
    rows[2] = ("H-1", "boundary_change", "q", "q", 300.0, 300.0, 320.02)
    assert unbalanced(lineage, schemas, rows) == [("q",)]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(100, 90_000), min_size=2, max_size=8),
    st.integers(2, 500) | st.integers(-100, -2) | st.integers(-1, 1),
)
def test_random_subdivisions_and_mergers(
    lineage: Database, schemas: Schemas, hundredths: list[int], off: int
) -> None:
    """Whole hundredths of m2; up to one of them is a matter of rounding."""
    total = (sum(hundredths) + off) / 100
    split: list[Row] = [
        ("T-1", "subdivide", "p", f"c{at}", area / 100, total, None)
        for at, area in enumerate(hundredths)
    ]
    merged: list[Row] = [
        ("M-1", "merge", f"o{at}", "m", area / 100, area / 100, total)
        for at, area in enumerate(hundredths)
    ]
    kept = all(area / 100 <= total + 0.01 for area in hundredths)
    found = unbalanced(lineage, schemas, (split if kept else []) + merged)
    wrong = [("m",), ("p",)] if kept else [("m",)]
    assert found == (wrong if abs(off) > 1 else [])
