"""The ``datetime`` parameter: an instant or an interval, open ends as ``..`` or nothing."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from psycopg import sql

from pipeline.rasters.past import When
from pipeline.serve.clause import ALWAYS, Binder, Clause
from pipeline.serve.errors import bad
from pipeline.serve.served import Served
from pipeline.serve.values import CASTS, moment

_OPEN = ("", "..")


def _end(text: str) -> datetime | None:
    # Clients write the beginning of time as year 0, which no calendar here has.
    if text in _OPEN or text.startswith("0000-"):
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise bad(f"datetime: {text!r} is not {error}") from None


def interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Begin and end of ``text``, None where it is open; 400 for what is no time."""
    parts = text.split("/")
    if len(parts) > 2 or not text:
        raise bad("datetime: give one time, or two with a slash between")
    ends = [_end(part) for part in parts]
    if len(ends) == 1 and ends[0] is None:
        raise bad(f"datetime: {text!r} is not a time")
    begin, end = ends[0], ends[-1]
    if begin is not None and end is not None and begin > end:
        raise bad("datetime: the interval ends before it begins")
    return begin, end


def instant(text: str) -> datetime:
    """The one moment that ``text`` is; 400 for an interval, or for what is no time."""
    begin, end = interval(text)
    if begin is None or begin != end:
        raise bad("datetime: of one feature ask for one moment; /items takes intervals")
    return begin


def when(text: str | None) -> When | None:
    """The time that is asked of a raster, None for now."""
    return When.of(*interval(text)) if text else None


@lru_cache(maxsize=512)
def clause(served: Served, text: str) -> Clause:
    """Features of that time, or as they were then; what has neither time nor past is not narrowed,
    as OGC API has it."""
    begin, end = interval(text)
    if served.is_dated:
        return _held(begin, end)
    if served.time is None:
        return ALWAYS
    return _between(served, served.time, begin, end)


def _held(begin: datetime | None, end: datetime | None) -> Clause:
    """Versions that held at some moment from ``begin`` to ``end``."""
    binder = Binder("t")
    parts: list[sql.Composable] = [sql.SQL("v.version_stands")]
    if end is not None:
        before = binder.add(end, CASTS["datetime"])
        parts.append(sql.SQL("(v.valid_since IS NULL OR v.valid_since <= {})").format(before))
    if begin is not None:
        after = binder.add(begin, CASTS["datetime"])
        parts.append(sql.SQL("(v.valid_until IS NULL OR v.valid_until > {})").format(after))
    return binder.clause(sql.SQL("({})").format(sql.SQL(" AND ").join(parts)), varied=True)


def _between(served: Served, name: str, begin: datetime | None, end: datetime | None) -> Clause:
    kind = CASTS[served.kinds[name]]
    column = sql.SQL("v.") + sql.Identifier(name)
    binder = Binder("t")
    parts: list[sql.Composable] = [column + sql.SQL(" IS NOT NULL")]
    if begin is not None:
        parts.append(column + sql.SQL(" >= ") + binder.add(begin, kind))
    if end is not None:
        parts.append(column + sql.SQL(" <= ") + binder.add(end, kind))
    return binder.clause(sql.SQL("({})").format(sql.SQL(" AND ").join(parts)), varied=True)
