"""Order and pages. A page begins after the last feature of the page before (keyset), so page 2,000
costs what page 1 costs and rows that come or go meanwhile neither repeat nor hide others."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import cast

import orjson
from psycopg import sql

from pipeline.derive.columns import ID, SINCE
from pipeline.serve.clause import Binder, Clause
from pipeline.serve.errors import bad
from pipeline.serve.served import Served
from pipeline.serve.values import CASTS

_ALWAYS = Clause("true", {})


@dataclass(frozen=True, slots=True)
class Key:
    """A property to sort by; names of people's language in the order of its alphabet.

    In the order of bytes پ, چ, ژ, گ and ی stand after the Arabic letters. ``collation`` is
    deterministic: equal means the same text, so that the order is total and pages fit.
    """

    name: str
    descending: bool
    collation: str | None = None

    @property
    def column(self) -> sql.Composed:
        """The column of the row."""
        return sql.SQL("v.") + sql.Identifier(self.name)

    @property
    def sorted(self) -> sql.Composed:
        """What rows are ordered and compared by."""
        if self.collation is None:
            return self.column
        return self.column + sql.SQL(" COLLATE ") + sql.Identifier(self.collation)

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.name}"


def keys(served: Served, sortby: str | None, *, versions: bool = False) -> tuple[Key, ...]:
    """What ``sortby`` asks for; the feature id comes last, so that the order is total, or of
    ``versions`` when each began to hold."""
    found: list[Key] = []
    for part in (sortby or "").split(",") if sortby is not None else ():
        # A plus sign that was not escaped arrives as a blank.
        name = part.strip().removeprefix("+")
        descending = name.startswith("-")
        name = name.removeprefix("-")
        served.kind(name, "sortby")
        if name in (key.name for key in found):
            raise bad(f"sortby: {name} stands twice")
        found.append(Key(name, descending, served.collation(name)))
    if ID not in (key.name for key in found):
        found.append(Key(ID, descending=False))
    if versions:
        found.append(Key(SINCE, descending=False))
    return tuple(found)


def order(wanted: tuple[Key, ...]) -> sql.Composable:
    """ORDER BY; nulls come last going up and first going down, as PostgreSQL has it."""
    parts = [key.sorted + sql.SQL(" DESC" if key.descending else " ASC") for key in wanted]
    return sql.SQL(", ").join(parts)


def key_texts(wanted: tuple[Key, ...]) -> sql.Composable:
    """The sort keys of a row as an array of texts."""
    parts = [key.column + sql.SQL("::text") for key in wanted]
    return sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(parts))


def cursor(wanted: tuple[Key, ...], last: list[str | None]) -> str:
    """A token for the page after the feature whose sort keys are ``last``."""
    plain = orjson.dumps([",".join(map(str, wanted)), last])
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def _read(wanted: tuple[Key, ...], token: str) -> list[str | None]:
    try:
        plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        order_of_token, last = orjson.loads(plain)
        fits = order_of_token == ",".join(map(str, wanted)) and len(last) == len(wanted)
        if fits and all(x is None or (isinstance(x, str) and "\0" not in x) for x in last):
            return cast("list[str | None]", last)
    except (binascii.Error, ValueError, TypeError):
        pass
    raise bad("cursor: it is not one that this server gave for this order; follow the next links")


def after(served: Served, wanted: tuple[Key, ...], token: str | None) -> Clause:
    """Rows that come after those of the page before."""
    if token is None:
        return _ALWAYS
    last = _read(wanted, token)
    binder = Binder("k")
    ways: list[sql.Composable] = []
    same: list[sql.Composable] = []
    for key, text in zip(wanted, last, strict=True):
        kind = CASTS["datetime" if key.name == SINCE else served.kinds[key.name]]
        value = None if text is None else binder.add(text, kind)
        ways.append(sql.SQL(" AND ").join([*same, _beyond(key, value)]))
        same.append(_equal(key, value))
    return binder.clause(sql.SQL("({})").format(sql.SQL(" OR ").join(ways)))


def _beyond(key: Key, value: sql.Composable | None) -> sql.Composable:
    if key.descending:
        if value is None:
            return key.column + sql.SQL(" IS NOT NULL")
        return key.sorted + sql.SQL(" < ") + value
    if value is None:
        return sql.SQL("false")
    if key.name == ID:
        return key.column + sql.SQL(" > ") + value
    return sql.SQL("({s} > {v} OR {c} IS NULL)").format(s=key.sorted, c=key.column, v=value)


def _equal(key: Key, value: sql.Composable | None) -> sql.Composable:
    return key.column + (sql.SQL(" IS NULL") if value is None else sql.SQL(" = ") + value)
