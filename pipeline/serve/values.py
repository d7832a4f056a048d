"""Values as clients write them, read by the type of the property they are compared to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from psycopg.types.numeric import Float8, Int8

from pipeline.serve.errors import bad
from pipeline.serve.served import Kind

Value = Int8 | Float8 | str | bool | date | datetime
#: What PostgreSQL calls each kind, so that a bound value always has the type it is compared by.
CASTS: dict[Kind, str] = {
    "text": "text",
    "integer": "int8",
    "number": "float8",
    "boolean": "bool",
    "date": "date",
    "datetime": "timestamptz",
}
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_LEAP = re.compile(r"(T\d\d:\d\d):60", re.IGNORECASE)
_STAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def integer(text: str) -> Int8:
    """A whole number that a bigint holds."""
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError("a whole number")
    return Int8(int(text))


def number(text: str) -> Float8:
    """A finite number."""
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError("a number")
    return Float8(float(text))


def boolean(text: str) -> bool:
    """True or false, as written in JSON."""
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def day(text: str) -> date:
    """A date such as 2024-03-20."""
    if not _DAY.fullmatch(text):
        raise ValueError("a date (YYYY-MM-DD)")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("a date that exists (YYYY-MM-DD)") from None


def moment(text: str) -> datetime:
    """A time such as 2024-03-20T10:00:00Z; without an offset it is UTC, a bare date is midnight."""
    if _DAY.fullmatch(text):
        return datetime.combine(day(text), datetime.min.time(), UTC)
    if not _STAMP.fullmatch(text):
        raise ValueError("a time (YYYY-MM-DDThh:mm:ssZ)")
    try:
        found = datetime.fromisoformat(_LEAP.sub(r"\1:59", text).upper())
    except ValueError:
        raise ValueError("a time that exists (YYYY-MM-DDThh:mm:ssZ)") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_READERS: dict[Kind, Callable[[str], Value]] = {
    "text": str,
    "integer": integer,
    "number": number,
    "boolean": boolean,
    "date": day,
    "datetime": moment,
}


def read(kind: Kind, text: str, name: str) -> Value:
    """``text`` as a value of ``kind``; 400 says what the property ``name`` would be."""
    try:
        return _READERS[kind](text)
    except ValueError as error:
        raise bad(f"{name} is {error}, {text!r} is not") from None
