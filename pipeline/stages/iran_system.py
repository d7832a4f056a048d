"""Iran System: text of Iranian DOS programs, a byte a drawn form, in the order it stood on screen.

Only a feed that declares it has it: its bytes are good text in other code pages too. Readers take
the bytes for Latin-1, and what they have read is made into text here.
"""

from __future__ import annotations

import re

import pyarrow as pa

NAME = "IRANSYSTEM"
# From 0x80 on; where a letter has several forms, each is the letter.
_SIGNS = [
    *"۰۱۲۳۴۵۶۷۸۹،ـ؟آئء",
    *"ااببپپتتثثججچچحح",
    *"خخدذرزژسسششصصضضط",
    *bytes(range(0xB0, 0xE0)).decode("cp437"),
    *"ظععععغغغغففققککگ",
    *"گل", "لا", *"لممننوهههییی", "\u00a0",
]  # fmt: skip
_TABLE = dict(enumerate(_SIGNS, start=0x80))
# Forms that end a word though their letter joins the next: a letter right after them begins anew.
_LAST = "".join(
    map(chr, bytes.fromhex("9294 9698 9a9c 9ea0 a7a9 abad e1e2 e5e6 e9eb edef f1f4 f6f9 fcfd"))
)
_LETTER = "\x8d-\xaf\xe0-\xfe"
_ENDED = re.compile(f"([{_LAST}])(?=[{_LETTER}])")
# Numbers and Latin words stand from left to right among the rest.
_PIECE = "[0-9A-Za-z\x80-\x89]"
_LEFT_TO_RIGHT = re.compile(f"{_PIECE}(?:[0-9A-Za-z\x80-\x89./,:-]*{_PIECE})?")
_MIRRORED = str.maketrans("()[]{}<>", ")(][}{><")


def is_declared(encoding: str | None) -> bool:
    """Whether ``encoding`` is a way to write the name of this one."""
    return re.sub(r"[ _-]", "", encoding or "").upper() == NAME


def one(read: str) -> str:
    """A text that was read as Latin-1; one of ASCII alone stays as it is."""
    if read.isascii():
        return read
    logical = read[::-1].translate(_MIRRORED)
    logical = _LEFT_TO_RIGHT.sub(lambda run: run[0][::-1], logical)
    return _ENDED.sub("\\1\u200c", logical).translate(_TABLE)


def table(read: pa.Table) -> pa.Table:
    """The same of the names and texts of a table, each distinct text once."""
    columns = {}
    for name, column in zip(read.column_names, read.columns, strict=True):
        values = column.combine_chunks()
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            coded = values.dictionary_encode()
            texts = [one(text) for text in coded.dictionary.to_pylist()]
            values = pa.array(texts, type=values.type).take(coded.indices)
        columns[one(name)] = values
    return pa.table(columns)
