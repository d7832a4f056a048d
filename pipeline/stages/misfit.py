"""Misfit: which columns of a table of SQLite hold values that are not of the column's type.

SQLite keeps any value in any column. Which do, only a way through the whole table tells, and that
needs nothing but the file: ``begin`` has it gone beside all that a load must import first, in
the guess that the file's only table is the one that will be read. This module must stay quick to
import.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.db import arrival

type Rows = list[tuple[Any, ...]]

# What is no value of a column, by what GDAL takes the column for.
_OTHER_THAN = {
    "OFTInteger": "typeof({0}) NOT IN ('integer', 'null') OR abs({0}) > 2147483647",
    "OFTInteger64": "typeof({0}) NOT IN ('integer', 'null')",
    "OFSTBoolean": "{0} NOT IN (0, 1)",
    "OFSTInt16": "typeof({0}) NOT IN ('integer', 'null') OR abs({0}) > 32767",
    # Whatever the column's type, texts are above all numbers.
    "OFTReal": "{0} >= ''",
    # SQLite counts days as well, and moves those that no month has into the next.
    "OFTDateTime": "typeof({0}) NOT IN ('text', 'null')"
    " OR date(substr({0}, 1, 19), '+0 days') IS NOT substr({0}, 1, 10)",
}
# The same by the types that a GeoPackage may declare.
_DECLARED = {
    "BOOLEAN": "OFSTBoolean",
    "TINYINT": "OFTInteger",
    "SMALLINT": "OFSTInt16",
    "MEDIUMINT": "OFTInteger",
    "INT": "OFTInteger64",
    "INTEGER": "OFTInteger64",
    "DOUBLE": "OFTReal",
    "REAL": "OFTReal",
    "DATETIME": "OFTDateTime",
}
_MAGIC = b"SQLite format 3\x00"
#: What a file looked like when a question was begun; the question, and what was found.
_BEGUN: dict[str, tuple[arrival.Looks, Future[tuple[str, Rows]]]] = {}


def begin(words: Sequence[str]) -> None:
    """As ``arrival.begin``; if the file is a GeoPackage, its values are looked at after that."""
    _BEGUN.clear()
    begun = arrival.begin(words)
    if begun is None:
        return
    path, hashed = begun
    place = str(path.resolve())
    if is_sqlite(path):
        found: Future[tuple[str, Rows]] = Future()
        _BEGUN[place] = arrival.looks(path), found
        # In the thread that hashes, for there are not many cores.
        hashed.add_done_callback(lambda _: _settle(place, found))


def misfits(place: str, table: str, kinds: Mapping[str, tuple[str, str]]) -> list[str]:
    """The columns of ``table`` in the file ``place`` that hold other values than their type's.

    ``kinds`` are what GDAL takes columns for: its type and subtype.
    """
    known = ((name, _OTHER_THAN.get(finer) or _OTHER_THAN.get(kind))
             for name, (kind, finer) in kinds.items())  # fmt: skip
    tests = {name: test.format(quoted(name)) for name, test in known if test}
    if not tests or not _answered(place, _any_of(table, tests)):
        return []
    each = ", ".join(f"max({test})" for test in tests.values())
    (found,) = asked(place, f"SELECT {each} FROM {quoted(table)}") or [()]  # noqa: S608
    return [name for name, odd in zip(tests, found, strict=False) if odd]


def asked(place: str, query: str) -> Rows:
    """Rows of ``query``; none where SQLite does not understand the file: GDAL says it."""
    uri = f"file:{quote(str(Path(place).resolve()))}"
    for how in ("mode=ro", "immutable=1"):  # the other where no lock can be had
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{uri}?{how}", uri=True)) as store:
            return store.execute(query).fetchall()
    return []


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as databases of SQLite do."""
    with suppress(OSError), path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC
    return False


def quoted(name: str) -> str:
    """An identifier of SQLite."""
    return '"' + name.replace('"', '""') + '"'


def _any_of(table: str, tests: Mapping[str, str]) -> str:
    any_of = " OR ".join(f"({test})" for test in tests.values())
    return f"SELECT 1 FROM {quoted(table)} WHERE {any_of} LIMIT 1"  # noqa: S608


def _answered(place: str, query: str) -> Rows:
    """The answer that was begun, if it is that to ``query``."""
    path = Path(place).resolve()
    looked, begun = _BEGUN.pop(str(path), (None, None))
    if begun is not None and looked == arrival.looks(path):
        question, rows = begun.result()
        if question == query:
            return rows
    return asked(place, query)


def _settle(place: str, found: Future[tuple[str, Rows]]) -> None:
    try:
        found.set_result(_looked_ahead(place))
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is asked for
        found.set_exception(error)


def _looked_ahead(place: str) -> tuple[str, Rows]:
    """The question that will be asked if the only table of a GeoPackage is read, answered."""
    tables = asked(place, "SELECT table_name FROM gpkg_contents WHERE data_type = 'features'")
    if len(tables) != 1 or arrival.unsettled(Path(place)):
        return "", []
    table = str(tables[0][0])
    declared = asked(place, f"PRAGMA table_info({quoted(table)})")
    tests = {
        str(name): _OTHER_THAN[_DECLARED[kind]].format(quoted(name))
        for _, name, kind, _, _, of_key in declared
        if kind in _DECLARED and not of_key
    }
    query = _any_of(table, tests)
    return (query, asked(place, query)) if tests else ("", [])
