"""Persian and plain text as it arrives: letters, digits, spaces, numbers, dates. All vectorised.

Rules are those of domain practice: Windows-1256 files carry Arabic yeh and kaf where modern text
has the Persian letters, digits come in three sets, and joins fail until both are one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from persiantools.jdatetime import JalaliDate

_LETTERS = (("\u064a", "\u06cc"), ("\u0649", "\u06cc"), ("\u0643", "\u06a9"))
_DROPPED = "[\u0640\u00ad\u200d-\u200f\u202a-\u202e\u2066-\u2069\ufeff\\x00-\\x08\\x0e-\\x1f]"
_PRESENTATION = "[\ufb50-\ufdff\ufe70-\ufefc]"
_SPACES = "[\\s\u00a0\u2000-\u200a\u202f\u3000]+"
_EDGE_JOINERS = " ?\u200c+ |^\u200c+|\u200c+$| \u200c+|\u200c+ "
_DIGITS = tuple(
    (chr(start + digit), str(digit)) for start in (0x06F0, 0x0660) for digit in range(10)
)
_DECIMAL, _THOUSANDS = "\u066b", "\u066c"
# Bytes of another encoding read as Latin-1 look like this; so does text already lost ("?? ???").
_MOJIBAKE = "|".join(
    (
        "[\u00c0-\u00ff]{4,}",
        "[\u00c3\u00d8-\u00db][\u0080-\u00bf\u2018-\u2122]",
        "\ufffd",
        r"^[? ]*\?{3,}[? ]*$",
    )
)

DateParser = Callable[[str], dt.date | None]


def is_plain(values: pa.Array) -> bool:
    """Whether every text is ASCII, so that there is nothing Persian to do."""
    return bool(pc.all(pc.string_is_ascii(values)).as_py() in (True, None))


def display(values: pa.Array) -> pa.Array:
    """Texts as people should read them: one yeh, one kaf, composed, no invisible marks.

    ZWNJ is spelling and stays inside words. Empty texts become null.
    """
    if not is_plain(values):
        presented = pc.match_substring_regex(values, _PRESENTATION)
        values = pc.if_else(
            presented, pc.utf8_normalize(values, "NFKC"), pc.utf8_normalize(values, "NFC")
        )
        for old, new in _LETTERS:
            values = pc.replace_substring(values, old, new)
    values = pc.replace_substring_regex(values, _DROPPED, "")
    values = pc.replace_substring_regex(values, _SPACES, " ")
    if not is_plain(values):
        values = pc.replace_substring_regex(values, _EDGE_JOINERS, " ")
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
    grouped = pc.match_substring_regex(values, r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
    return pc.if_else(grouped, pc.replace_substring(values, ",", ""), values)


def looks_mojibake(values: pa.Array) -> pa.BooleanArray:
    """True where a text was read in the wrong encoding, or was lost before it came."""
    if is_plain(values):
        return pc.match_substring_regex(values, r"^[? ]*\?{3,}[? ]*$")
    return pc.match_substring_regex(values, _MOJIBAKE)


def numeric_code(values: pa.Array, parts: int, separator: str) -> pa.Array:
    """Codes of ``parts`` whole numbers: no leading zeros, missing last parts written as 0."""
    values = pc.replace_substring_regex(values, r"\s+", "")
    values = pc.replace_substring_regex(values, "[/_\u2010-\u2015\u2212\u0640]", separator)
    values = pc.replace_substring_regex(values, rf"(^|{separator})0+(\d)", r"\1\2")
    missing = pc.subtract(parts - 1, pc.count_substring(values, separator))
    for count in range(1, parts):
        tail = f"{separator}0" * count
        whole = pc.and_(
            pc.equal(missing, count), pc.match_substring_regex(values, rf"^\d+({separator}\d+)*$")
        )
        values = pc.if_else(whole, pc.binary_join_element_wise(values, tail, ""), values)
    return values


def _iso(text: str) -> dt.date | None:
    return _ymd(text, dt.date)


def _jalali(text: str) -> dt.date | None:
    return _ymd(text, _gregorian)


def _gregorian(year: int, month: int, day: int) -> dt.date:
    date: dt.date = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]
    return date


def _ymd(text: str, make: Callable[[int, int, int], dt.date]) -> dt.date | None:
    digits = text.split(" ")[0].split("T")[0].replace("/", "-")
    if len(digits) == 8 and digits.isascii() and digits.isdigit():
        digits = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return _make(digits, (0, 1, 2), make)


def _dmy(text: str) -> dt.date | None:
    return _make(text.split(" ")[0].replace("/", "-").replace(".", "-"), (2, 1, 0), dt.date)


def _mdy(text: str) -> dt.date | None:
    return _make(text.split(" ")[0].replace("/", "-"), (2, 0, 1), dt.date)


def _make(
    text: str, order: tuple[int, int, int], make: Callable[[int, int, int], dt.date]
) -> dt.date | None:
    pieces = text.split("-")
    if len(pieces) != 3 or not all(piece.isascii() and piece.isdigit() for piece in pieces):
        return None
    year, month, day = (int(pieces[place]) for place in order)
    if year < 1000:  # two-digit years need a century rule that nobody has declared
        return None
    try:
        return make(year, month, day)
    except ValueError:
        return None


DATE_PARSERS: dict[str, DateParser] = {
    "plain": _iso,
    "jalali": _jalali,
    "date_dmy": _dmy,
    "date_mdy": _mdy,
}


def dates(values: pa.Array, parser: str) -> pa.Array:
    """Written dates as Gregorian date32; null where the text is no date.

    Every distinct text is parsed once: a column holds few dates, however many rows it has.
    """
    coded = ascii_digits(values).dictionary_encode()
    parse = DATE_PARSERS[parser]
    known = [parse(text) if text else None for text in coded.dictionary.to_pylist()]
    return pa.array(known, type=pa.date32()).take(coded.indices)
