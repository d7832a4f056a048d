"""Dates as they are written: Jalali and Gregorian, in figures or with the month's name.

Nothing is guessed: a two-digit year needs the century that a feed declares, the calendar is the
feed's, and what stands beside the date must be a time of day or the text is no date.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from persiantools.jdatetime import JalaliDate

from pipeline import fold, text

DateParser = Callable[[str], dt.date | None]
_Make = Callable[[int, int, int], dt.date]
_GREGORIAN_YEARS = range(1600, 2200)
_JALALI_YEARS = range(1000, 1579)
# More distinct dates than a column of a city's history holds.
_REMEMBERED = 2**16
_ISO = re.compile(r"(?:1[6-9]|2[01])\d\d-\d\d-\d\d(?:T[\d:.]{5,15}(?:Z|[+-]\d\d:\d\d))?", re.ASCII)
_CLOCK = re.compile(r"\d[T ]\d\d:\d\d")
_MONTHS = (
    "فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور", "مهر", "ابان", "اذر", "دی", "بهمن",
    "اسفند",
)  # fmt: skip
_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}
_MONTH |= {"آبان": 8, "آذر": 9, "امرداد": 5}
_WEEKDAY = "(?:(?:یک|دو|سه|چهار|پنج) ?شنبه|شنبه|جمعه)[،,]? "
_NAMED = re.compile(
    rf"(?:{_WEEKDAY})?(\d{{1,2}})(?:م|ام)? ({'|'.join(_MONTH)})(?: ماه)?[،,]?(?: سال)? "
    r"(\d{2}|\d{4})",
    re.ASCII,
)
_FIGURES = re.compile(r"(\d+)([-/.])(\d+)\2(\d+)", re.ASCII)
_RUN = re.compile(r"(\d{4}|\d{2})(\d{2})(\d{2})", re.ASCII)
_TIME = (
    r"([01]?\d|2[0-3]):[0-5]?\d(:[0-5]?\d(\.\d+)?)?( ?(am|pm|ق\.?ظ|ب\.?ظ))?(Z|z|[+-]\d\d:?\d\d)?"
)
_AFTER = re.compile(rf"^(?P<date>.+?)(?:(?:T|[،,]? (?:ساعت |- )?){_TIME})?$", re.IGNORECASE)
_BEFORE = re.compile(rf"^(?:ساعت )?{_TIME}[،,]? (?:- )?(?P<date>.+)$", re.IGNORECASE)
# The form a date is taken to have had if nothing else is kept of it.
USUAL = {
    "jalali": r"^1[345]\d\d/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])$",
    "plain": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
}
# Serial numbers of spreadsheets count from here, from the first of March 1900 on rightly.
_EPOCH, _FIRST, _LAST = dt.date(1899, 12, 30), 61, 109_575


def _gregorian(year: int, month: int, day: int) -> dt.date:
    if year not in _GREGORIAN_YEARS:
        raise ValueError(year)
    return dt.date(year, month, day)


def _jalali(year: int, month: int, day: int) -> dt.date:
    if year not in _JALALI_YEARS:
        raise ValueError(year)
    date: dt.date = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]
    return date


def _without_time(written: str) -> str:
    """The date of a date and a time, in either order."""
    found = _BEFORE.match(written) or _AFTER.match(written)
    return found["date"] if found else written


def _parts(date: str, order: str) -> tuple[str, str, str] | None:
    """Year, month and day as figures; ``order`` is that of the text, such as dmy."""
    figures = _FIGURES.fullmatch(date)
    if figures:
        pieces = dict(zip(order, (figures[1], figures[3], figures[4]), strict=True))
        return pieces["y"], pieces["m"], pieces["d"]
    run = _RUN.fullmatch(date) if order == "ymd" else None
    return (run[1], run[2], run[3]) if run else None


def _named(date: str) -> tuple[str, str, str] | None:
    found = _NAMED.fullmatch(fold.one(date))
    return (found[3], str(_MONTH[found[2]]), found[1]) if found else None


def _year(written: str, century: int | None) -> int | None:
    """A year of four figures, or of two in the declared century."""
    if len(written) == 4:
        return int(written)
    return None if century is None or len(written) != 2 else century + int(written)


def _parse(written: str, order: str, make: _Make, century: int | None) -> dt.date | None:
    date = _without_time(written)
    parts = _parts(date, order) or (_named(date) if make is _jalali else None)
    year = _year(parts[0], century) if parts else None
    if parts is None or year is None or max(map(len, parts[1:])) > 2:
        return None
    try:
        return make(year, int(parts[1]), int(parts[2]))
    except ValueError:
        return None


_FORMS: dict[str, tuple[str, _Make]] = {
    "plain": ("ymd", _gregorian),
    "jalali": ("ymd", _jalali),
    "date_dmy": ("dmy", _gregorian),
    "date_mdy": ("mdy", _gregorian),
}


@cache
def parser(form: str, century: int | None = None) -> DateParser:
    """Reads one text of a feed's ``form``; what it has read it remembers."""
    order, make = _FORMS[form]
    return lru_cache(maxsize=_REMEMBERED)(
        lambda written: _parse(written, order, make, century)
    )  # fmt: skip


def column(values: pa.Array, form: str, century: int | None = None) -> pa.Array:
    """Written dates as Gregorian date32; null where the text is no date.

    A date of the other calendar is none: 1396 is a year of the one, 2017 of the other, and taking
    one for the other would pass every later check. Every distinct text is parsed once: a column
    holds few dates, however many rows it has.
    """
    coded = text.ascii_digits(values).dictionary_encode()
    one = parser(form, century)
    known = [one(written) for written in coded.dictionary.to_pylist()]
    return pa.array(known, type=pa.date32()).take(coded.indices)


def serials(values: pa.Array) -> pa.Array:
    """Days as spreadsheets count them (39658 is 2008-07-29) as date32; null outside 1900 to 2199.

    The part of a day is dropped. Numbers before March 1900 are off by one in some programs.
    """
    days = pc.floor(values.cast(pa.float64(), safe=False))
    good = pc.and_(pc.greater_equal(days, _FIRST), pc.less_equal(days, _LAST))
    kept = pc.if_else(good, days, pa.scalar(None, pa.float64()))
    offset = (_EPOCH - dt.date(1970, 1, 1)).days
    return pc.add(kept, offset).cast(pa.int32()).cast(pa.date32())


def day(text: str, language: str) -> str:
    """An ISO date (what stands after it is left out) as readers of ``language`` write it."""
    found = dt.date.fromisoformat(text[:10])
    return _written(found) if language == "fa" else found.isoformat()


def _written(date: dt.date) -> str:
    return str(JalaliDate(date).strftime("%Y/%m/%d"))  # type: ignore[no-untyped-call]


def is_iso(text: str) -> bool:
    """Whether ``text`` is an ISO date of these centuries, or a moment with its offset."""
    if not _ISO.fullmatch(text):
        return False
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def day_there(text: str, language: str, zone: str) -> str:
    """The day of an ISO date, or of an ISO time in ``zone``."""
    return moment(text, language, zone).split()[0] if _CLOCK.search(text) else day(text, language)


def moment(text: str, language: str, zone: str) -> str:
    """An ISO time of UTC as the clocks of ``zone`` show it, to the minute."""
    there = dt.datetime.fromisoformat(text).astimezone(ZoneInfo(zone))
    return f"{day(there.date().isoformat(), language)} {there:%H:%M}"


def took(start: str, end: str) -> str:
    """The time between two ISO times, as hours, minutes and seconds."""
    between = dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)
    return str(dt.timedelta(seconds=round(between.total_seconds())))


def given(written: str) -> dt.datetime | None:
    """A moment as people give it to a command: a date of either calendar, which its year tells, or
    an ISO time; without an offset it is naive. None for what is neither."""
    plain = (text.ascii_digits(pa.array([written.strip()])).to_pylist()[0] or "").strip()
    with suppress(ValueError):
        if _CLOCK.search(plain):
            return dt.datetime.fromisoformat(plain)
    for form in ("plain", "jalali"):
        found = parser(form)(plain)
        if found is not None:
            return dt.datetime.combine(found, dt.time.min)
    return None


def placed(found: dt.datetime, timezone: str) -> dt.datetime:
    """A moment that says no offset, in the clock of ``timezone``."""
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(timezone))
