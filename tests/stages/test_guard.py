"""A delivery that differs too much from the last one stops, unless it is accepted by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, GuardError
from pipeline.stages import load as loading
from pipeline.stages.guard import ACCEPTABLE
from pipeline.stages.outcome import Outcome

TOLD = "SELECT code, field, value, detail FROM ops.finding WHERE run_id = %s ORDER BY code, field"


def parcels(bench: Any, count: int = 20, **other: Any) -> list[dict[str, Any]]:
    """``count`` good parcels."""
    return [bench.parcel(place, **other) for place in range(count)]


def shrunk(bench: Any, side: float) -> list[dict[str, Any]]:
    """Twenty parcels with another side, without a deed that would disagree."""
    return [bench.parcel(n, geometry=bench.square(n, side), deed="") for n in range(20)]


def moved(bench: Any, count: int) -> list[dict[str, Any]]:
    """Twenty parcels, ``count`` of which lie far to the north."""
    rows = parcels(bench)
    for row in rows[:count]:
        row["geometry"] = shapely.transform(
            row["geometry"], lambda xy: xy + np.array([0.0, 5000.0])
        )
    return rows


def accepted(bench: Any, database: Database, path: Any, *names: str) -> Outcome:
    """A load that accepts guards by name."""
    context = replace(bench.context(), accept=frozenset(names))
    return loading.load(database, path, context, batch_rows=3, progress=lambda *_: None)


@pytest.mark.parametrize(
    ("name", "slight", "grave", "said"),
    [
        ("rows.drop", lambda b: parcels(b, 18), lambda b: parcels(b, 2),
         "2 rows arrived, 20 came last time: a drop of more than 50%"),
        ("extent.shift", lambda b: moved(b, 2), lambda b: moved(b, 18),
         "90% of the rows lie outside the extent of the last delivery: more than 50%"),
        ("nulls.rise", lambda b: parcels(b, 18) + [b.parcel(n, plate="") for n in (18, 19)],
         lambda b: parcels(b, plate=""),
         "plate is empty in 100% of the rows, in 0% last time: a rise of more than"),
        ("measure.change", lambda b: shrunk(b, 19.0), lambda b: shrunk(b, 10.0),
         "all together measure 2,000 m2, last time 8,000 m2: a drop of more than 50%"),
    ],
)  # fmt: skip
def test_a_tenth_is_told_and_more_needs_its_name(
    bench: Any, database: Database, query: Any, name: str, slight: Any, grave: Any, said: str
) -> None:
    first = parcels(bench)
    if name == "measure.change":
        first = shrunk(bench, 20.0)
    run = bench.load(database, bench.geopackage(first)).run
    some = bench.load(database, bench.geopackage(slight(bench)))
    told = query(database, TOLD, some.run)
    assert [code for code, *_ in told if code in ACCEPTABLE] == [name]
    assert told[0][3].endswith(f"in run {run}")
    bench.load(database, bench.geopackage(first))
    before = query(database, "SELECT parcel_code, ST_AsEWKB(geom) FROM data.parcel ORDER BY id")
    path = bench.geopackage(grave(bench))
    with pytest.raises(GuardError) as caught:
        bench.load(database, path)
    assert said in str(caught.value)
    assert f"--accept {name}" in str(caught.value)
    others = [one for one in ACCEPTABLE if one != name]
    with pytest.raises(GuardError):
        accepted(bench, database, path, *others)
    now = query(database, "SELECT parcel_code, ST_AsEWKB(geom) FROM data.parcel ORDER BY id")
    assert now == before
    outcome = accepted(bench, database, path, *ACCEPTABLE)
    assert outcome.counts[name, "plate" if name == "nulls.rise" else None] == 1
    assert query(database, "SELECT accepted FROM ops.run WHERE id = %s", outcome.run) == [([name],)]
    (detail,) = [detail for code, _, _, detail in query(database, TOLD, outcome.run)
                 if code == name]  # fmt: skip
    assert detail.endswith(", accepted by name")


def test_the_limits_are_the_feeds(bench: Any, database: Database) -> None:
    strict = bench.feed(limits={"max_null_rise": 0.05})
    bench.load(database, bench.geopackage(parcels(bench)), strict)
    rows = parcels(bench, 18) + [bench.parcel(n, plate="") for n in (18, 19)]
    with pytest.raises(GuardError, match="in 10% of the rows, in 0% last time"):
        bench.load(database, bench.geopackage(rows), strict)


def test_growth_is_told_and_never_stops(bench: Any, database: Database) -> None:
    bench.load(database, bench.geopackage(shrunk(bench, 10.0)))
    counts = bench.load(database, bench.geopackage(shrunk(bench, 20.0))).counts
    assert {code for code, _ in counts if code in ACCEPTABLE} == {"measure.change"}


def test_changed_columns_are_named_one_by_one(bench: Any, database: Database, query: Any) -> None:
    feed = bench.feed(ignore=["note", "sheet", "floor"])
    first = bench.load(database, bench.geopackage(parcels(bench, note="x", floor="1")), feed)
    rows = [dict(reversed(row.items())) for row in parcels(bench, sheet="7", floor=1)]
    second = bench.load(database, bench.geopackage(rows), feed)
    found = query(database, TOLD, second.run)
    day = query(database, "SELECT started::date::text FROM ops.run WHERE id = %s", first.run)[0][0]
    when = f"run {first.run}, {day}"
    assert found == [
        ("column.gone", "note", None, when),
        ("column.new", "sheet", None, when),
        ("column.retyped", "floor", "int64", f"string, {when}"),
    ]
    third = bench.load(database, bench.geopackage(rows[::-1]), feed)
    assert third.counts == {}


def test_a_mapped_column_that_is_gone_is_known_from_the_last_delivery(
    bench: Any, database: Database
) -> None:
    first = bench.load(database, bench.geopackage(parcels(bench)))
    rows = parcels(bench)
    for row in rows:
        del row["plate"]
    with pytest.raises(ArrivalError) as caught:
        bench.load(database, bench.geopackage(rows))
    assert f"has no column plate, which the last delivery had (run {first.run}, 20" in str(
        caught.value
    )


def test_an_undone_delivery_is_no_measure(bench: Any, database: Database) -> None:
    from pipeline.stages import history

    bench.load(database, bench.geopackage(parcels(bench, 3)))
    path = bench.geopackage(parcels(bench, 20))
    large = accepted(bench, database, path, "extent.shift").run
    history.undo(database, bench.schemas, large)
    assert bench.load(database, bench.geopackage(parcels(bench, 3, plate="new"))).counts == {}


def test_the_command_takes_only_names_that_there_are() -> None:
    said = CliRunner().invoke(cli, ["load", "parcels", "x.gpkg", "--accept", "everything"])
    assert said.exit_code == 2
    assert "rows.drop" in said.output


def test_two_real_years_differ_in_their_columns(
    cambridge: Database, cambridge_schemas: Any, query: Any, real_data: Any
) -> None:
    folder = real_data / "cambridge_ma" / "cadastre"
    context = loading.context_for(cambridge_schemas, "parcels")
    for year in (2013, 2014):
        outcome = loading.load(
            cambridge, folder / f"ASSESSING_ParcelsFY{year}.topojson", context,
            batch_rows=5000, progress=lambda *_: None,
        )  # fmt: skip
    found = query(cambridge, TOLD, outcome.run)
    named = {kind: {field for code, field, *_ in found if code == f"column.{kind}"}
             for kind in ("new", "gone", "retyped")}  # fmt: skip
    assert named["gone"] == {"GlobalID", "FCODE", "Approved"}
    assert named["new"] == {"POLY_TYPE", "LOC_ID", "PLAN_ID", "SOURCE"}
    # FY2014 has roads and water as parcels, which FY2013 left out.
    assert [row[:3] for row in found if row[0] in ACCEPTABLE] == [
        ("measure.change", None, "17,367,983 m2")
    ]
