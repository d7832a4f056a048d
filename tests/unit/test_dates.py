"""Dates: every written form, against two independent calendars."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from persiantools.jdatetime import JalaliDate

from pipeline import dates

MONTHS = (
    "فروردین",
    "اردیبهشت",
    "خرداد",
    "تیر",
    "مرداد",
    "شهریور",
    "مهر",
    "آبان",
    "آذر",
    "دی",
    "بهمن",
    "اسفند",
)
# Leap years as the Iranian calendar centre lists them; measured in the domain notes for four.
LEAP = (1370, 1375, 1379, 1383, 1387, 1391, 1395, 1399, 1403, 1408)
# The year's first day by the vernal equinox at Tehran, from almanacs.
NOWRUZ = {
    1387: "2008-03-20", 1388: "2009-03-21", 1390: "2011-03-21", 1396: "2017-03-21",
    1399: "2020-03-20", 1400: "2021-03-21", 1403: "2024-03-20", 1404: "2025-03-21",
}  # fmt: skip


def one(written: str | None, form: str = "jalali", century: int | None = None) -> dt.date | None:
    """What is made of one text."""
    date: dt.date | None = dates.column(pa.array([written], pa.string()), form, century)[0].as_py()
    return date


@given(st.dates(dt.date(1622, 1, 1), dt.date(2199, 12, 31)), st.sampled_from("/-."))
def test_jalali_and_gregorian_dates_come_back(date: dt.date, mark: str) -> None:
    jalali = JalaliDate(date)
    forms = [
        f"{jalali.year}{mark}{jalali.month}{mark}{jalali.day}",
        f"{jalali.year}{mark}{jalali.month:02d}{mark}{jalali.day:02d} 00:00:00",
        f"{jalali.year}{jalali.month:02d}{jalali.day:02d}",
    ]
    foreign = [form.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")) for form in forms]
    assert dates.column(pa.array([*forms, *foreign]), "jalali").to_pylist() == [date] * 6
    written = [date.isoformat(), f"{date:%Y%m%d}", f"{date.isoformat()}T10:00:00Z"]
    assert dates.column(pa.array(written), "plain").to_pylist() == [date] * 3
    assert one(f"{date.day}{mark}{date.month}{mark}{date.year}", "date_dmy") == date
    assert one(f"{date.month}/{date.day}/{date.year} 0:00:00", "date_mdy") == date


@pytest.mark.parametrize(
    ("written", "parser"),
    [
        ("87/5/3", "jalali"),
        ("1400/12/30", "jalali"),
        ("1396/13/01", "jalali"),
        ("2017/11/18", "jalali"),
        ("1396/08/27", "plain"),
        ("0407-04-01", "plain"),
        ("2023-02-29", "plain"),
        ("²017-01-01", "plain"),
        ("", "plain"),
        ("x", "date_dmy"),
        ("12/31/2020", "date_dmy"),
    ],
)
def test_what_is_no_date_stays_unread(written: str, parser: str) -> None:
    assert one(written, parser) is None


@pytest.mark.parametrize(
    "written",
    [
        "1387/5/3",
        "1387/05/03",
        "13870503",
        "۱۳۸۷/۵/۳",
        "١٣٨٧-٠٥-٠٣",
        "1387.5.3",
        "۳ مرداد ۱۳۸۷",
        "3 مرداد ماه 1387",
        "۳ امرداد ۱۳۸۷",
        "پنجشنبه ۳ مرداد ۱۳۸۷",
        "پنج‌شنبه، ۳ مرداد ۱۳۸۷",
        "۳ مرداد سال ۱۳۸۷",
        "1387/5/3 12:30",
        "1387/05/03 00:00:00",
        "1387-05-03T23:59:59.5",
        "۱۲:۳۰ ۱۳۸۷/۵/۳",
        "۱۳۸۷/۵/۳ ساعت ۸:۰۵",
        "1387/5/3 - 08:05",
        "۳ مرداد ۱۳۸۷، ۱۰:۲۰ ق.ظ",
    ],
)
def test_jalali_dates_in_their_written_forms(written: str) -> None:
    assert one(written) == dt.date(2008, 7, 24)


@pytest.mark.parametrize("written", ["87/5/3", "۸۷/۵/۳", "870503", "3 مرداد 87"])
def test_a_two_digit_year_needs_the_century_rule(written: str) -> None:
    assert one(written) is None
    assert one(written, century=1300) == dt.date(2008, 7, 24)
    assert one(written, century=1400) == dt.date(2108, 7, 25)


@pytest.mark.parametrize(
    "written",
    [
        "1388/12/30",
        "1387/7/31",
        "1387/13/1",
        "1387/0/1",
        "1387/1/0",
        "1387/5/3 x",
        "حدود 1387/5/3",
        "1387/5/3 25:00",
        "2008/7/24",
        "1387/5-3",
        "1387",
        "۳ مرداد",
        "31 مهر 1387",
        "²387/1/1",
        "-1387/5/3",
    ],
)
def test_invalid_jalali_days_are_refused(written: str) -> None:
    assert one(written) is None
    assert one(written, century=1300) is None


@pytest.mark.parametrize("year", range(1360, 1420))
def test_leap_years_of_two_sources_agree(year: int) -> None:
    """Birashk's and the 33-year cycle agree with the library over a city's records."""
    leap = one(f"{year}/12/30") is not None
    assert leap == ((year * 8 + 29) % 33 < 8)
    assert leap == (year in LEAP) or not 1370 <= year <= 1408


@pytest.mark.parametrize(("year", "first"), NOWRUZ.items())
def test_new_year_is_that_of_the_almanac(year: int, first: str) -> None:
    assert one(f"{year}/1/1") == dt.date.fromisoformat(first)
    assert one(f"1 فروردین {year}") == dt.date.fromisoformat(first)


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)))
def test_a_date_with_the_name_of_its_month_comes_back(date: dt.date) -> None:
    jalali = JalaliDate(date)
    assert one(f"{jalali.day} {MONTHS[jalali.month - 1]} {jalali.year}") == date
    assert one(f"{jalali.year}/{jalali.month:02d}/{jalali.day:02d}") == date


@given(st.text("0123456789/-.: T۱۳۸۷مردا,x²", max_size=16), st.sampled_from([None, 1300]))
def test_whatever_is_written_is_a_date_or_none(written: str, century: int | None) -> None:
    for form in ("plain", "jalali", "date_dmy", "date_mdy"):
        found = one(written, form, century)
        assert found is None or 1600 <= found.year < 2200


def test_serial_days_of_a_spreadsheet() -> None:
    values = pa.array([39653, 39653.99, 61, 60, 0, -1, 1e9, None])
    made = dates.serials(values).to_pylist()
    assert made[:3] == [dt.date(2008, 7, 24), dt.date(2008, 7, 24), dt.date(1900, 3, 1)]
    assert made[3:] == [None] * 5
