"""Fold: the one spelling by which Persian and Latin texts are searched and joined.

The same function in three forms, proven equal by tests: ``one`` for a text, ``column`` for a column
of a delivery, and ``makan.fold`` in the database (schemas/migrations/sql), where it is immutable
and makes the key columns that searches use. It is frozen: another rule is another function, or
every key that is stored would be of the old one.
"""

from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

# Seen by nobody: tatweel, joiners, marks of direction, soft hyphen, controls.
UNSEEN = (
    "\u0640\u00ad\u200b\u200d-\u200f\u202a-\u202e\u2060-\u2069\ufeff\\x01-\\x08\\x0e-\\x1b\\x7f"
)
# Written by few: harakat, and hamza and madda that stand by themselves.
MARKS = "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
# ZWNJ parts words for the eye as a blank does.
BLANKS = "\\t-\\r\\x1c-\\x20\u0085\u00a0\u1680\u2000-\u200a\u200c\u2028\u2029\u202f\u205f\u3000"
_LETTERS = {
    "ي": "ی", "ى": "ی", "ئ": "ی", "ك": "ک", "ۀ": "ه", "ة": "ه", "أ": "ا", "إ": "ا",
    "ٱ": "ا", "ؤ": "و",
}  # fmt: skip
_DIGITS = {chr(start + n): str(n) for start in (0x06F0, 0x0660) for n in range(10)}
# Capitals of Latin, Greek and Cyrillic, each with its one small letter.
_CAPITALS = (*range(0xC0, 0x250), *range(0x370, 0x530), *range(0x1E00, 0x1F00))
_CASE = {
    chr(code): chr(code).lower()
    for code in _CAPITALS
    if chr(code).lower() != chr(code)
    and len(chr(code).lower()) == 1
    and unicodedata.normalize("NFKC", chr(code)) == chr(code)
} | {"ς": "σ", "İ": "i", "ẞ": "ß"}
FROM, TO = ("".join(side) for side in zip(*(_LETTERS | _DIGITS | _CASE).items(), strict=True))
_TABLE = str.maketrans(FROM, TO)
_ASCII = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_DROP, _MARK, _BLANK = (re.compile(f"[{some}]+") for some in (UNSEEN, UNSEEN + MARKS, BLANKS))
# What is folded already: small Latin letters, Persian letters, digits and signs of ASCII.
_FOLDED = (
    "!-@\\[-`a-z{-~\u0621\u0622\u0627\u0628\u062a-\u063a\u0641\u0642\u0644-\u0648"
    "\u067e\u0686\u0698\u06a9\u06af\u06cc"
)
_DONE = f"^[{_FOLDED}]+(?: [{_FOLDED}]+)*$"
_PLAIN = f"^[ {_FOLDED}A-Z{''.join(_LETTERS)}{''.join(_DIGITS)}\u200c\u0640\u064b-\u0652]*$"


def one(text: str) -> str:
    """The search form of one text; empty where nothing is left."""
    # Marks are composed with their letters before those that are left are dropped.
    text = _MARK.sub("", unicodedata.normalize("NFKC", _DROP.sub("", text)))
    text = text.translate(_ASCII).translate(_TABLE).replace("ß", "ss")
    return unicodedata.normalize("NFC", _BLANK.sub(" ", text)).strip(" ")


def column(values: pa.Array) -> pa.Array:
    """The search forms of a column of texts; null stays null."""
    odd = pc.fill_null(pc.invert(pc.match_substring_regex(values, _DONE)), fill_value=False)
    if not pc.any(odd).as_py():
        return values
    rest = values.filter(odd)
    plain = pc.all(pc.match_substring_regex(rest, _PLAIN)).as_py()
    return pc.replace_with_mask(values, odd, _persian(rest) if plain else _any(rest))


def _persian(values: pa.Array) -> pa.Array:
    """Texts of Persian and plain Latin, where nothing is composed of several signs."""
    values = pc.replace_substring_regex(pc.ascii_lower(values), f"[{UNSEEN}{MARKS}]+", "")
    for old, new in (_LETTERS | _DIGITS).items():
        values = pc.replace_substring(values, old, new)
    return pc.utf8_trim(pc.replace_substring_regex(values, f"[{BLANKS}]+", " "), " ")


def _any(values: pa.Array) -> pa.Array:
    """Any text, each distinct one once."""
    coded = values.dictionary_encode()
    made = [one(text) for text in coded.dictionary.to_pylist()]
    return pa.array(made, type=values.type).take(coded.indices)
