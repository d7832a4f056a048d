"""Persian and plain text as it arrives: letters, digits, spaces, numbers, codes. All vectorised.

Rules are those of domain practice: Windows-1256 files carry Arabic yeh and kaf where modern text
has the Persian letters, digits come in three sets, and joins fail until both are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial

import pyarrow as pa
import pyarrow.compute as pc

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
_DECIMAL, _THOUSANDS, _MINUS = "\u066b", "\u066c", "\u2212"
# What old code pages have instead: Arabic letters, ASCII digits and marks, a blank for a joiner.
_STAND_INS = {
    "\u06cc": "\u064a", "\u06a9": "\u0643", "\u06c0": "\u0647", "\u06be": "\u0647",
    "\u06d5": "\u0647", "\u200c": " ", "\u202f": " ", "\u00a0": " ", "\u2212": "-", "\u2010": "-",
    "\u2011": "-", _DECIMAL: ".", _THOUSANDS: ",", **dict(_DIGITS),
}  # fmt: skip
# The parts that make a property; those after it are of buildings and flats.
_LAND = 4
_PART = r"(\d+)"
_SLASHED = r"^([+-]?\d+)/(\d+)$"
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
    values = pc.replace_substring(values, _MINUS, "-")
    values = pc.replace_substring(values, _DECIMAL, ".")
    values = pc.replace_substring(values, _THOUSANDS, "")
    grouped = pc.match_substring_regex(values, _GROUPED)
    return pc.if_else(grouped, pc.replace_substring(values, ",", ""), values)


def persian_number_text(values: pa.Array) -> pa.Array:
    """The same where a slash is the decimal mark, as it is written by hand: ۱۲/۵ is 12.5."""
    return pc.replace_substring_regex(number_text(values), _SLASHED, r"\1.\2")


def digits_only(values: pa.Array) -> pa.Array:
    """Numbers that are names (postcodes, census codes): what parts their digits is dropped.

    A text that holds anything else stays as it is, for the pattern to refuse.
    """
    values = ascii_digits(values)
    whole = pc.replace_substring_regex(values, r"^(\d+)\.0+$", r"\1")
    return _mended(whole, r"^\d+$", _joined_digits)


def _joined_digits(values: pa.Array) -> pa.Array:
    parted = pc.match_substring_regex(values, r"^\d+([ /_\-\x{2010}-\x{2015}\x{2212}]+\d+)*$")
    return pc.if_else(parted, pc.replace_substring_regex(values, r"[^\d]+", ""), values)


def padded(values: pa.Array, width: int) -> tuple[pa.Array, int]:
    """Digits with the leading zeros that a spreadsheet took away, and how many had lost some."""
    short = pc.match_substring_regex(values, rf"^\d{{1,{width - 1}}}$")
    count = int(pc.sum(pc.fill_null(short, fill_value=False)).as_py() or 0)
    if not count:
        return values, 0
    return pc.if_else(short, pc.utf8_lpad(values, width, "0"), values), count


def numbers(values: pa.Array) -> pa.Array:
    """The numbers in texts for people, in their order and without leading zeros: 1234/567/4.

    Null where there is none. ``makan.plate_key`` of the database is the same.
    """
    parted = pc.replace_substring_regex(values, "[^0-9\u0660-\u0669\u06f0-\u06f9]+", "/")
    parted = ascii_digits(pc.ascii_trim(parted, "/"))
    parted = _mended(parted, r"^(0|[1-9][0-9]*)(/(0|[1-9][0-9]*))*$", _without_zeros)
    return pc.if_else(pc.equal(pc.binary_length(parted), 0), pa.scalar(None, parted.type), parted)


def _without_zeros(values: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(values, "(^|/)0+([0-9])", r"\1\2")


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


def reversed_code(values: pa.Array, parts: int, separator: str) -> pa.Array:
    """Codes of 2 to ``parts`` numbers with these in the other order; anything else as it is."""
    values = made = _separated(values, separator)
    for count in range(2, parts + 1):
        form = f"^{re.escape(separator).join([_PART] * count)}$"
        turned = separator.join(rf"\{number}" for number in range(count, 0, -1))
        chosen = pc.fill_null(pc.match_substring_regex(values, form), fill_value=False)
        if pc.any(chosen).as_py():
            swapped = pc.replace_substring_regex(values.filter(chosen), form, turned)
            made = pc.replace_with_mask(made, chosen, swapped)
    return made


def numeric_code(
    values: pa.Array, parts: int, separator: str, widths: tuple[int, ...] = ()
) -> pa.Array:
    """Codes of ``parts`` whole numbers: no leading zeros, missing last parts written as 0.

    ``widths``: digits of each part where all are written padded with nothing between them.
    """
    between, part = re.escape(separator), r"(0|[1-9]\d*)"
    whole = rf"^{part}({between}{part}){{{parts - 1}}}$"
    mend = partial(_filled_code, parts=parts, separator=separator, widths=widths)
    return _mended(values, whole, mend)


def _separated(values: pa.Array, separator: str) -> pa.Array:
    values = pc.replace_substring(values, " ", "")
    return pc.replace_substring_regex(values, "[/_\u2010-\u2015\u2212]", separator)


def _parted(values: pa.Array, widths: tuple[int, ...], separator: str) -> pa.Array:
    """Digits of fixed widths with separators between the parts; at least four parts."""
    if not all(widths):
        return values
    for count in range(_LAND, len(widths) + 1):
        form = "^" + "".join(rf"(\d{{{width}}})" for width in widths[:count]) + "$"
        between = separator.join(rf"\{number}" for number in range(1, count + 1))
        values = pc.replace_substring_regex(values, form, between)
    return values


def _filled_code(values: pa.Array, parts: int, separator: str, widths: tuple[int, ...]) -> pa.Array:
    between = re.escape(separator)
    values = _parted(_separated(values, separator), widths, separator)
    values = pc.replace_substring_regex(values, rf"(^|{between})0+(\d)", r"\1\2")
    missing = pc.subtract(parts - 1, pc.count_substring(values, separator))
    code = pc.match_substring_regex(values, rf"^\d+({between}\d+)*$")
    tail = pc.binary_repeat(f"{separator}0", pc.max_element_wise(pc.if_else(code, missing, 0), 0))
    return pc.binary_join_element_wise(values, tail, "")
