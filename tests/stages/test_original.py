"""What a row was written as is kept where what is shown does not tell; elsewhere nothing is."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.main import cli
from pipeline.db.engine import Database
from pipeline.stages import history, original

KEPT = "SELECT run_id, line, raw FROM ops.original ORDER BY run_id, line"
USES = {"parcel_code": "code", "registration_plate": "plate", "area_deed_m2": "deed",
        "land_use": {"from": "use", "values": {"مسکونی": "residential", "مسکوني": "residential",
                                               "خانه": "residential"}, "nulls": ["-"]},
        "source_updated_on": {"from": "changed", "parser": "jalali"}}  # fmt: skip


def test_rows_that_arrive_as_they_are_shown_keep_nothing(
    bench: Any, database: Database, query: Any
) -> None:
    feed = bench.feed(columns=USES)
    rows = [bench.parcel(n, use="مسکونی") for n in range(1, 9)]
    bench.load(database, bench.geopackage(rows), feed)
    assert query(database, KEPT) == []


def test_what_cleaning_changed_is_kept_as_it_arrived(
    bench: Any, database: Database, query: Any
) -> None:
    rows = [
        bench.parcel(1, use="مسکوني"),
        bench.parcel(2, use="خانه", plate="۱۲  از ۷ \u200fكوچه"),
        bench.parcel(3, use="-", code="01/01/001/003"),
        bench.parcel(4, use="مسکونی", deed="۴۰۰٫۰", changed="۳ مرداد ۱۳۸۷"),
        bench.parcel(5, use="مسکونی", plate='a "quoted"\\\t\x01 text '),
        bench.parcel(6, use="مسکونی"),
        bench.parcel(7, use="مسکونی", code="no code", plate="كوچه"),
    ]
    outcome = bench.load(database, bench.geopackage(rows), bench.feed(columns=USES))
    assert outcome.account.quarantined == 1
    kept = {line: raw for _, line, raw in query(database, KEPT)}
    assert kept == {
        1: {"use": "مسکوني"},
        2: {"use": "خانه", "plate": "۱۲  از ۷ \u200fكوچه"},
        3: {"use": "-", "code": "01/01/001/003"},
        4: {"deed": "۴۰۰٫۰", "changed": "۳ مرداد ۱۳۸۷"},
        5: {"plate": 'a "quoted"\\\t\x01 text '},
    }


def test_every_version_of_a_row_has_what_it_was_written_as(
    bench: Any, database: Database, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "1-1-1-1-0-0-0"
    first = bench.load(
        database, bench.geopackage([bench.parcel(1, plate="كوچه ۱"), bench.parcel(2)])
    )
    rows = [bench.parcel(1, plate="كوي ۲"), bench.parcel(2)]
    second = bench.load(database, bench.geopackage(rows))
    layer = bench.schemas.layer("parcel")
    with database.connect("loader") as connection:
        told = history.versions(connection, layer, code)
    assert [version["original"] for version in told] == [{"plate": "كوچه ۱"}, {"plate": "كوي ۲"}]
    monkeypatch.setenv("MAKAN_HOME", str(database.settings.home))
    monkeypatch.setenv("MAKAN_DATABASE", database.settings.database)
    shown = CliRunner().invoke(cli, ["history", "parcel", code]).output
    assert "as it arrived: plate = كوي ۲" in shown
    history.undo(database, bench.schemas, int(second.run or 0))
    assert query(database, KEPT) == [(first.run, 1, {"plate": "كوچه ۱"})]


def test_a_new_spelling_alone_is_no_change_and_keeps_nothing(
    bench: Any, database: Database, query: Any
) -> None:
    first = bench.load(database, bench.geopackage([bench.parcel(1, plate="کوچه")]))
    again = bench.load(database, bench.geopackage([bench.parcel(1, plate="كوچه")]))
    assert (again.account.unchanged, again.account.updated) == (1, 0)
    assert query(database, KEPT) == []
    assert query(database, "SELECT run_id FROM data.parcel") == [(first.run,)]


def test_doubled_and_refused_rows_keep_nothing_here(
    bench: Any, database: Database, query: Any
) -> None:
    rows = [bench.parcel(1, plate="كوچه"), bench.parcel(1, plate="كوي"), bench.parcel(2)]
    bench.load(database, bench.geopackage(rows))
    assert query(database, KEPT) == []
    raw = query(database, "SELECT raw ->> 'plate' FROM ops.quarantine ORDER BY line")
    assert raw == [("كوچه",), ("كوي",)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8))
def test_any_text_becomes_json(values: list[str]) -> None:
    made = original._quoted(pa.array(values)).to_pylist()
    assert [json.loads(one) for one in made] == [value.replace("\x00", "") for value in values]
