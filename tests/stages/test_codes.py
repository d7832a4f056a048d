"""Codes, numbers and money as offices write them: turned, padded, cut short, and told."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipeline.contracts.field import Field
from pipeline.db.engine import Database
from pipeline.stages import orientation

COLUMNS = {"parcel_code": "code"}
IGNORED = ["use", "plate", "deed", "changed"]


def parcels(bench: Any, codes: list[str]) -> list[dict[str, Any]]:
    """Parcels with these codes."""
    return [bench.parcel(n, code=code) for n, code in enumerate(codes, 1)]


def feed(bench: Any, **column: Any) -> Any:
    """A feed of codes alone."""
    return bench.feed(columns={"parcel_code": {"from": "code", **column}}, ignore=IGNORED)


def blocks(bench: Any, database: Database, codes: list[str]) -> None:
    """Loads blocks, so that their codes are known."""
    rows = [{"code": code, "geometry": bench.square(n).buffer(5)} for n, code in enumerate(codes)]
    columns = bench.filled("block", {"block_code": "code"})
    bench.load(
        database, bench.geopackage(rows, "blocks.gpkg"), bench.feed("block", columns=columns)
    )


def stored(query: Any, database: Database) -> list[str]:
    """The codes that are published, in the file's order."""
    rows = query(database, "SELECT parcel_code FROM data.parcel ORDER BY source_line")
    return [row[0] for row in rows]


def test_reversed_codes_are_told_by_the_blocks_that_exist(
    bench: Any, database: Database, query: Any
) -> None:
    blocks(bench, database, ["1-12-45", "1-12-46"])
    rows = parcels(bench, ["7-45-12-1", "8-45-12-1", "٩-۴۶-12-۱", "\u200f10/46/12/1"])
    outcome = bench.load(database, bench.geopackage(rows), feed(bench))
    assert stored(query, database) == [
        "1-12-45-7-0-0-0", "1-12-45-8-0-0-0", "1-12-46-9-0-0-0", "1-12-46-10-0-0-0",
    ]  # fmt: skip
    assert outcome.counts["code.reversed", "parcel_code"] == 1
    told = query(database, "SELECT value, line FROM ops.finding WHERE code = 'code.reversed'")
    assert told == [("4", None)]


def with_block(bench: Any) -> Any:
    """A feed of codes and of the blocks that the rows say they are in."""
    columns = {"parcel_code": "code", "block_code": "plate"}
    return bench.feed(columns=columns, ignore=[name for name in IGNORED if name != "plate"])


@pytest.mark.parametrize("known", [True, False])
def test_blocks_turn_with_the_codes_of_their_file(
    bench: Any, database: Database, query: Any, known: bool
) -> None:
    if known:
        blocks(bench, database, ["1-12-45", "1-12-46"])
    told = {
        "0-0-0-7-45-12-1": "45-12-1",
        "0-0-0-9-46-12-1": "\u06f4\u06f6/12/1",
        "0-0-0-8-45-12-1": None,
    }
    rows = [bench.parcel(n, code=code, plate=plate) for n, (code, plate) in enumerate(told.items())]
    outcome = bench.load(database, bench.geopackage(rows), with_block(bench))
    found = query(database, "SELECT parcel_code, block_code FROM data.parcel ORDER BY source_line")
    assert found == [
        ("1-12-45-7-0-0-0", "1-12-45"), ("1-12-46-9-0-0-0", "1-12-46"), ("1-12-45-8-0-0-0", None),
    ]  # fmt: skip
    told = query(
        database, "SELECT field, value FROM ops.finding WHERE code = 'code.reversed' ORDER BY 1"
    )
    assert told == [("block_code", "2"), ("parcel_code", "3")]
    assert outcome.account.quarantined == 0


def test_blocks_that_stand_right_beside_turned_codes_stay(
    bench: Any, database: Database, query: Any
) -> None:
    blocks(bench, database, ["1-12-45"])
    rows = [bench.parcel(0, code="7-45-12-1", plate="1-12-45")]
    bench.load(database, bench.geopackage(rows), with_block(bench))
    found = query(database, "SELECT parcel_code, block_code FROM data.parcel")
    assert found == [("1-12-45-7-0-0-0", "1-12-45")]


def test_codes_of_either_order_that_exist_stay_as_they_are(
    bench: Any, database: Database, query: Any
) -> None:
    blocks(bench, database, ["7-45-12"])
    outcome = bench.load(
        database, bench.geopackage(parcels(bench, ["7-45-12-1", "7-45-12-2"])), feed(bench)
    )
    assert stored(query, database) == ["7-45-12-1-0-0-0", "7-45-12-2-0-0-0"]
    assert not outcome.counts


def test_without_known_blocks_what_only_one_order_allows_decides(
    bench: Any, database: Database, query: Any
) -> None:
    rows = parcels(bench, ["0-0-0-7-45-12-1", "00-00-00-008-045-12-1", "0-3-1-9-45-12-1"])
    outcome = bench.load(database, bench.geopackage(rows), feed(bench))
    assert stored(query, database) == ["1-12-45-7-0-0-0", "1-12-45-8-0-0-0", "1-12-45-9-1-3-0"]
    assert outcome.counts["code.reversed", "parcel_code"] == 1
    assert outcome.account.quarantined == 0


def test_a_row_against_the_order_of_its_file_is_undecided(bench: Any) -> None:
    codes = ["1-12-45-7-0-0-0", "1-12-45-8", "0-0-0-9-45-12-1", "1-12-45-10-0-0-0"]
    outcome = bench.check(bench.geopackage(parcels(bench, codes)), feed(bench), batch_rows=10)
    assert outcome.counts["code.undecided", "parcel_code"] == 1
    assert ("code.reversed", "parcel_code") not in outcome.counts
    assert (outcome.account.inserted, outcome.account.quarantined) == (3, 1)


def test_short_codes_of_a_file_that_seems_turned_are_undecided(bench: Any) -> None:
    codes = ["7-45-12-1", "8-45-12-1", "0-0-0-9-45-12-1", "10-45-12-1"]
    outcome = bench.check(bench.geopackage(parcels(bench, codes)), feed(bench), batch_rows=10)
    assert outcome.counts["code.undecided", "parcel_code"] == 4
    assert (outcome.account.inserted, outcome.account.quarantined) == (0, 4)


def test_what_both_orders_allow_is_never_turned_by_a_guess(bench: Any) -> None:
    rule = bench.schemas.city.parcel_code
    shown = pa.array(["7-45-12-1", "12-1-1-12"])
    assert orientation.order(shown, rule, None) == "straight"
    assert orientation.order(shown, rule, pa.array([], pa.string())) == "straight"
    assert orientation.order(shown, rule, pa.array(["1-12-45"])) == "turned"
    assert orientation.order(shown, rule, pa.array(["9-9-9"])) == "straight"


def test_padded_joined_and_short_codes_are_one_code(
    bench: Any, database: Database, query: Any
) -> None:
    codes = ["01-012-0045-0007", "112045008000000", "1/12/45/9/0/0/0", "۱-۱۲-۴۵-۱۰", "1_12_45_11"]
    bench.load(database, bench.geopackage(parcels(bench, codes)), feed(bench))
    assert stored(query, database) == [f"1-12-45-{n}-0-0-0" for n in (7, 8, 9, 10, 11)]


POSTCODES = {"postcode": {"from": "code", "parser": "digits", "zero_pad": 10}}


def postcodes(bench: Any) -> Any:
    """A feed of postcodes without places."""
    columns = bench.filled("postcode", POSTCODES)
    source = {"driver": "CSV", "crs": "EPSG:32639", "points": {"x": "E", "y": "N"}}
    return bench.feed("postcode", columns=columns, source=source)


def test_postcodes_lose_their_leading_zeros_in_spreadsheets(
    bench: Any, database: Database, query: Any
) -> None:
    codes = ("371561234", "۳۷۱۵۶-۱۳۹۴۷", "3715613948.0")
    lines = [f"{code},{488000 + n},3833000" for n, code in enumerate(codes)]
    path = bench.text("codes.csv", "\n".join(["code,E,N", *lines, ""]))
    outcome = bench.load(database, path, postcodes(bench))
    found = query(database, "SELECT postcode FROM data.postcode ORDER BY source_line")
    assert [row[0] for row in found] == ["0371561234", "3715613947", "3715613948"]
    assert outcome.counts["code.padded", "postcode"] == 1
    told = query(database, "SELECT value, detail FROM ops.finding WHERE code = 'code.padded'")
    assert told == [("1", "10")]
    # The next delivery brings one row more. The first row is unusual, so it is looked at again.
    path.write_text("\n".join(["code,E,N", *lines, "371561235,488009,3833000", ""]))
    bench.load(database, path, postcodes(bench))
    told = (
        "SELECT code, value, detail FROM ops.finding WHERE run_id = 2 AND code ~ '^code' ORDER BY 1"
    )
    assert query(database, told) == [("code.as_before", "2", "2"), ("code.padded", "2", "10")]


@pytest.mark.parametrize(
    ("code", "unusual", "good"),
    [
        ("3715613947", 0, True), ("3715623947", 1, True), ("3705613947", 1, True),
        ("3333613947", 1, True), ("37156139471", 0, False), ("37156x3947", 0, False),
    ],
)  # fmt: skip
def test_the_folklore_of_postcodes_is_a_warning_and_ten_digits_the_rule(
    code: str, unusual: int, good: bool, bench: Any
) -> None:
    path = bench.text("codes.csv", f"code,E,N\n{code},488000,3833000\n")
    outcome = bench.check(path, postcodes(bench))
    assert outcome.account.inserted == int(good)
    if good:
        assert sum(n for (c, _), n in outcome.counts.items() if c == "value.unusual") == unusual


MONEY = Field.model_validate(
    {
        "name": "price_irr",
        "type": "integer",
        "unit": "IRR",
        "min": 0,
        "title": {"en": "Price", "fa": "قیمت"},
    }
)


@pytest.fixture
def priced(bench: Any) -> Any:
    """Parcels with a price."""
    layer = bench.schemas.layer("parcel")
    return bench.changed("parcel", fields=(*layer.fields, MONEY), rules=())


@pytest.mark.parametrize(
    ("written", "scale", "good"),
    [
        ("۱٬۲۵۰٬۰۰۰", None, True), ("1,250,000", None, True), ("1250000.00", None, True),
        ("1250000.5", None, False), ("۱۲۵۰۰۰٫۵", 10, True), ("125000.55", 10, False),
        ("125000", 10, True), ("9007199254740993", 10, True), ("(1,250)", None, False),
    ],
)  # fmt: skip
def test_rials_are_whole_and_tomans_ten_of_them(
    written: str, scale: int | None, good: bool, bench: Any, priced: Any
) -> None:
    columns = {"parcel_code": "code", "price_irr": {"from": "plate"}}
    if scale:
        columns["price_irr"]["scale"] = scale  # type: ignore[index]
    made = bench.feed(columns=columns, ignore=["use", "deed", "changed"])
    outcome = bench.check(bench.geopackage([bench.parcel(1, plate=written)]), made, schemas=priced)
    assert outcome.counts["value.type", "price_irr"] == int(not good)


@pytest.mark.parametrize(
    "wrong",
    [{"name": "price", "unit": "IRR"}, {"unit": "toman"}, {"type": "number"}, {"unit": None}],
)
def test_money_says_its_unit_in_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="money is an integer"):
        Field.model_validate({**MONEY.model_dump(), **wrong})


def test_spreadsheet_days_and_two_digit_years_need_a_declaration(
    bench: Any, database: Database, query: Any
) -> None:
    for value, column, good in (
        (39653, {"parser": "excel"}, True), ("39653", {"parser": "excel"}, True),
        (39653, {"parser": "jalali"}, False), ("87/5/3", {"parser": "jalali"}, False),
        ("87/5/3", {"parser": "jalali", "century": 1300}, True),
        ("۳ مرداد ۱۳۸۷", {"parser": "jalali"}, True),
    ):  # fmt: skip
        columns = {"parcel_code": "code", "source_updated_on": {"from": "changed", **column}}
        made = bench.feed(columns=columns, ignore=["use", "plate", "deed"])
        outcome = bench.check(bench.geopackage([bench.parcel(1, changed=value)]), made)
        assert outcome.account.inserted == int(good), (value, column)
