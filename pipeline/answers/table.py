"""An answer about many things as a table: a row for each, read and written piece by piece.

What a job keeps of a whole city is a hundred times as large in memory as it is packed, so it is
read as a stream, twice: first for the columns, then for the rows.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

import orjson

_PIECE = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
_AT_ONCE = 2_000
#: So that spreadsheets see that it is UTF-8.
_MARK = "\ufeff"


def cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def of_packed(packed: bytes, name: str) -> Iterator[bytes]:
    """The member ``name`` of an answer as a job keeps it (JSON in gzip), as CSV."""
    columns: dict[str, None] = {}
    for item in _items(packed, name):
        columns |= dict.fromkeys(_flat(item))
    yield from _written(list(columns), _items(packed, name))


def of_items(items: list[dict[str, Any]]) -> bytes:
    """The same of ``items`` that are at hand."""
    columns = dict.fromkeys(key for item in items for key in _flat(item))
    return b"".join(_written(list(columns), iter(items)))


def _written(columns: list[str], items: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    out = io.StringIO(_MARK, newline="")
    out.seek(0, io.SEEK_END)
    table = csv.DictWriter(out, columns, restval="", lineterminator="\r\n")
    table.writeheader()
    for number, item in enumerate(items, start=1):
        table.writerow(_flat(item))
        if number % _AT_ONCE == 0:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """One level: members of objects by their path, lists as JSON, what is not known as nothing."""
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            found |= _flat(inner, f"{before}{name}.")
        elif isinstance(inner, list):
            found[before + name] = orjson.dumps(inner).decode() if inner else ""
        else:
            found[before + name] = "" if inner is None else cell(inner)
    return found


def _texts(packed: bytes) -> Iterator[str]:
    """What was packed, about so much at a time, never within a character."""
    inflate, rest = zlib.decompressobj(_GZIP), b""
    for start in range(0, len(packed), _PIECE):
        rest += inflate.decompress(packed[start : start + _PIECE])
        whole = len(rest)
        while whole and rest[whole - 1] & 0xC0 == 0x80:
            whole -= 1
        whole = max(whole - 1, 0)  # the last character may not be all there
        yield rest[:whole].decode()
        rest = rest[whole:]
    yield (rest + inflate.flush()).decode()


def _items(packed: bytes, name: str) -> Iterator[dict[str, Any]]:
    """The objects in the list that is the member ``name``, one after the other."""
    texts, held, read = _texts(packed), "", json.JSONDecoder().raw_decode
    head = f'"{name}":['
    while head not in held:
        more = next(texts, None)
        if more is None:
            return
        held += more
    place = held.index(head) + len(head)
    while not held.startswith("]", place):
        try:
            item, place = read(held, place + held.startswith(",", place))
        except json.JSONDecodeError:
            more = next(texts, None)
            if more is None:
                return
            held, place = held[place:] + more, 0
            continue
        yield item
