"""Persian and plain text as it arrives: letters, digits, spaces, numbers, dates. All vectorised.

Rules are those of domain practice: Windows-1256 files carry Arabic yeh and kaf where modern text
has the Persian letters, digits come in three sets, and joins fail until both are one.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache, partial

import pyarrow as pa
import pyarrow.compute as pc
from persiantools.jdatetime import JalaliDate

_LETTERS = (("\u064a", "\u06cc"), ("\u0649", "\u06cc"), ("\u0643", "\u06a9"))
# Seen by nobody, found by no search: tatweel, soft hyphen, joiner, marks of direction, controls.
_CONTROLS = "\\x00-\\x08\\x0e-\\x1b\\x7f"
_DROPPED = f"[\u0640\u00ad\u200b\u200d-\u200f\u202a-\u202e\u2060-\u2069\ufeff{_CONTROLS}]"
_PRESENTATION = "[\ufb50-\ufdff\ufe70-\ufefc]"
_BLANKS = "\\t-\\r\\x1c-\\x1f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# ZWNJ belongs between two letters, once.
_LOOSE_JOINERS = " [ \u200c]+|\u200c+ [ \u200c]*"
_JOINERS = "\u200c{2,}"
# What needs nothing done: ASCII, Latin-1, Persian without its Arabic forms.
_GOOD = (
    "!-~\u00a1-\u00ac\u00ae-\u00ff\u060c\u061b\u061f\u0621-\u063a\u0641\u0642\u0644-\u0648"
    "\u0660-\u066c\u067e\u0686\u0698\u06a9\u06af\u06be\u06c0\u06cc\u06f0-\u06f9"
)
_TIDY = f"^[{_GOOD}]+(?:[ \u200c][{_GOOD}]+)*$"
_DIGITS = tuple(
    (chr(start + digit), str(digit)) for start in (0x06F0, 0x0660) for digit in range(10)
)
_DECIMAL, _THOUSANDS = "\u066b", "\u066c"
# What old code pages have instead: Arabic letters, ASCII digits and marks, a blank for a joiner.
_STAND_INS = {
    "\u06cc": "\u064a", "\u06a9": "\u0643", "\u06c0": "\u0647", "\u06be": "\u0647",
    "\u06d5": "\u0647", "\u200c": " ", "\u202f": " ", "\u00a0": " ", "\u2212": "-", "\u2010": "-",
    "\u2011": "-", _DECIMAL: ".", _THOUSANDS: ",", **dict(_DIGITS),
}  # fmt: skip
_GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_LOST = r"^[? ]*\?{3,}[? ]*$"
# What bytes look like in the wrong encoding: Windows-1256 as Latin-1, UTF-8 as Latin-1, UTF-8 as
# Windows-1256 (tah, zah, ain or ghain before every sign); and text already lost ("?? ???").
_MOJIBAKE = "|".join(
    (
        "[\u00c0-\u00ff]{4,}",
        "[\u00c3\u00d8-\u00db][\u0080-\u00bf\u2018-\u2122]",
        "[\u0637-\u063a][\u00a1-\u00aa\u00ac-\u00ba\u0152\u0153\u2013-\u2122\u20ac][\u0637-\u063a]",
        "\ufffd",
        _LOST,
    )
)

DateParser = Callable[[str], dt.date | None]
_Make = Callable[[int, int, int], dt.date]
_GREGORIAN_YEARS = range(1600, 2200)
_JALALI_YEARS = range(1000, 1579)
# More distinct dates than a column of a city's history holds.
_REMEMBERED = 2**16


def is_plain(values: pa.Array) -> bool:
    """Whether every text is ASCII, so that there is nothing Persian to do."""
    return bool(pc.all(pc.string_is_ascii(values)).as_py() in (True, None))


def display(values: pa.Array) -> pa.Array:
    """Texts as people should read them: one yeh, one kaf, composed, no invisible marks.

    ZWNJ is spelling and stays inside words. Empty texts become null.
    """
    return _mended(values, _TIDY, _tidied)


def _mended(values: pa.Array, good: str, mend: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """``values`` with ``mend`` done to those that do not match ``good``.

    Most texts are right already, and one look is much cheaper than making them right.
    """
    odd = pc.fill_null(pc.invert(pc.match_substring_regex(values, good)), fill_value=False)
    if not pc.any(odd).as_py():
        return values
    return pc.replace_with_mask(values, odd, mend(values.filter(odd)))


def _tidied(values: pa.Array) -> pa.Array:
    # A dropped mark may stand between a letter and its hamza: drop, compose, and once more what
    # decomposing has brought.
    values = pc.replace_substring_regex(values, _DROPPED, "")
    presented = pc.match_substring_regex(values, _PRESENTATION)
    if pc.any(presented).as_py():
        unfolded = pc.replace_substring_regex(pc.utf8_normalize(values, "NFKC"), _DROPPED, "")
        values = pc.if_else(presented, unfolded, values)
    values = pc.utf8_normalize(values, "NFC")
    for old, new in _LETTERS:
        values = pc.replace_substring(values, old, new)
    values = pc.replace_substring_regex(values, f"[{_BLANKS} ]+", " ")
    values = pc.replace_substring_regex(values, _LOOSE_JOINERS, " ")
    values = pc.replace_substring_regex(values, _JOINERS, "\u200c")
    values = pc.utf8_trim(values, " \u200c")
    return pc.if_else(pc.equal(pc.binary_length(values), 0), pa.scalar(None, values.type), values)


def ascii_digits(values: pa.Array) -> pa.Array:
    """Persian and Arabic-Indic digits as 0-9."""
    if is_plain(values):
        return values
    for old, new in _DIGITS:
        values = pc.replace_substring(values, old, new)
    return values


def number_text(values: pa.Array) -> pa.Array:
    """Texts that mean numbers, in the form that a cast understands: ASCII, no thousands marks."""
    values = ascii_digits(values)
    values = pc.replace_substring(values, _DECIMAL, ".")
    values = pc.replace_substring(values, _THOUSANDS, "")
    grouped = pc.match_substring_regex(values, _GROUPED)
    return pc.if_else(grouped, pc.replace_substring(values, ",", ""), values)


def looks_mojibake(values: pa.Array) -> pa.BooleanArray:
    """True where a text was read in the wrong encoding, or was lost before it came."""
    return pc.match_substring_regex(values, _LOST if is_plain(values) else _MOJIBAKE)


def in_code_page(written: str, code_page: str) -> str:
    """``written`` with what ``code_page`` lacks in the letters that it has for it.

    Windows-1256 has no Persian yeh and no Persian digits, and GDAL drops without a word what a code
    page lacks. Raises ValueError for a character that nothing stands for.
    """
    return "".join(_held(letter, code_page) for letter in written)


@lru_cache(maxsize=4096)
def _held(letter: str, code_page: str) -> str:
    for one in (letter, _STAND_INS.get(letter)):
        with suppress(UnicodeEncodeError):
            if one is not None:
                one.encode(code_page)
                return one
    raise ValueError(f"{code_page} cannot hold {letter} (U+{ord(letter):04X})")


def numeric_code(values: pa.Array, parts: int, separator: str) -> pa.Array:
    """Codes of ``parts`` whole numbers: no leading zeros, missing last parts written as 0."""
    between, part = re.escape(separator), r"(0|[1-9]\d*)"
    whole = rf"^{part}({between}{part}){{{parts - 1}}}$"
    return _mended(values, whole, partial(_filled_code, parts=parts, separator=separator))


def _filled_code(values: pa.Array, parts: int, separator: str) -> pa.Array:
    between = re.escape(separator)
    values = pc.replace_substring(values, " ", "")
    values = pc.replace_substring_regex(values, "[/_\u2010-\u2015\u2212]", separator)
    values = pc.replace_substring_regex(values, rf"(^|{between})0+(\d)", r"\1\2")
    missing = pc.subtract(parts - 1, pc.count_substring(values, separator))
    code = pc.match_substring_regex(values, rf"^\d+({between}\d+)*$")
    tail = pc.binary_repeat(f"{separator}0", pc.max_element_wise(pc.if_else(code, missing, 0), 0))
    return pc.binary_join_element_wise(values, tail, "")


def _gregorian(year: int, month: int, day: int) -> dt.date:
    if year not in _GREGORIAN_YEARS:
        raise ValueError(year)
    return dt.date(year, month, day)


def _jalali(year: int, month: int, day: int) -> dt.date:
    if year not in _JALALI_YEARS:
        raise ValueError(year)
    date: dt.date = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]
    return date


def _date_part(written: str) -> str:
    return written.split(" ")[0].split("T")[0].replace("/", "-").replace(".", "-")


def _ymd(written: str, make: _Make) -> dt.date | None:
    date = _date_part(written)
    if len(date) == 8 and date.isascii() and date.isdigit():
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return _made(date, (0, 1, 2), make)


def _made(date: str, order: tuple[int, int, int], make: _Make) -> dt.date | None:
    pieces = date.split("-")
    if len(pieces) != 3 or not all(piece.isascii() and piece.isdigit() for piece in pieces):
        return None
    year, month, day = (int(pieces[place]) for place in order)
    try:
        return make(year, month, day)
    except ValueError:
        return None


# A two-digit year is refused by all of them: it needs a century rule that nobody has declared.
DATE_PARSERS: dict[str, DateParser] = {
    "plain": lambda written: _ymd(written, _gregorian),
    "jalali": lambda written: _ymd(written, _jalali),
    "date_dmy": lambda written: _made(_date_part(written), (2, 1, 0), _gregorian),
    "date_mdy": lambda written: _made(_date_part(written), (2, 0, 1), _gregorian),
}


@cache
def _remembering(parser: str) -> DateParser:
    return lru_cache(maxsize=_REMEMBERED)(DATE_PARSERS[parser])


def dates(values: pa.Array, parser: str) -> pa.Array:
    """Written dates as Gregorian date32; null where the text is no date.

    A date of the other calendar is none: 1396 is a year of the one, 2017 of the other, and taking
    one for the other would pass every later check. Every distinct text is parsed once: a column
    holds few dates, however many rows it has.
    """
    coded = ascii_digits(values).dictionary_encode()
    one = _remembering(parser)
    known = [one(written) for written in coded.dictionary.to_pylist()]
    return pa.array(known, type=pa.date32()).take(coded.indices)
