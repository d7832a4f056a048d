"""Map: source columns become the contract's fields, as text or as they came; nothing is judged."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import fold
from pipeline.contracts.feed import Column
from pipeline.db.ledger import Published
from pipeline.errors import ArrivalError
from pipeline.stages import heights
from pipeline.stages.batch import Found, Raw, Rows
from pipeline.stages.context import Context


def survey(
    names: list[str],
    context: Context,
    where: str,
    last: Published | None = None,
    taken: Collection[str] = (),
) -> Found:
    """Compares the file's columns with the feed before any row is read.

    Raises ArrivalError when a mapped column is not there or stands twice; names every column that
    the feed neither maps nor ignores, and that are not ``taken`` otherwise.
    """
    feed = context.feed
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ArrivalError(
            f"has several columns called {', '.join(doubled)}",
            where=where,
            todo="Ask for a file in which every column has its own name.",
        )
    needed = feed.needed
    missing = sorted(needed - set(names))
    if missing:
        raise ArrivalError(
            f"has no column {', '.join(missing)}{_had(missing, last)}; "
            f"it has {', '.join(map(_shown, names)) or 'none (a Shapefile has them in its .dbf)'}",
            where=where,
            todo=f"Correct the file, or the columns of the feed {feed.id}.",
        )
    found = Found()
    for name in names:
        if name not in needed and name not in taken:
            found.whole("column.unmapped", field_name=name)
    return found


def _shown(name: str) -> str:
    """A column's name; in quotation marks where its blanks would not be seen, and with the codes of
    signs that nobody sees at all, such as a byte order mark."""
    unseen = [one for one in name if unicodedata.category(one) in ("Cc", "Cf")]
    if not unseen and name == " ".join(name.split()):
        return name
    quoted = json.dumps(name, ensure_ascii=False)
    return "".join(f"\\u{ord(one):04x}" if one in unseen else one for one in quoted)


def _had(missing: list[str], last: Published | None) -> str:
    """Whether the feed's last delivery had all the columns that are missing now."""
    if last is None or last.profile is None or not set(missing) <= last.profile["columns"].keys():
        return ""
    return f", which the last delivery had (run {last.id}, {last.day})"


def as_text(values: pa.Array) -> pa.Array:
    """Any column as text; whole floats without their .0, as spreadsheets make of codes."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return as_text(values.dictionary_decode())
    if pa.types.is_floating(kind):
        return _float_text(values)
    if pa.types.is_timestamp(kind):
        form = "%Y-%m-%dT%H:%M:%S" + ("%z" if kind.tz else "")
        return pc.strftime(values, format=form)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([_json(value) for value in values.to_pylist()], type=pa.string())
    return values.cast(pa.string())


def _float_text(values: pa.Array) -> pa.Array:
    """NaN is what GDAL makes of an empty cell."""
    given = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    whole = pc.and_(pc.equal(given, pc.trunc(given)), pc.less(pc.abs(given), 2.0**53))
    integers = pc.if_else(whole, given, pa.scalar(None, values.type)).cast(pa.int64())
    return pc.coalesce(integers.cast(pa.string()), given.cast(pa.string()))


def _json(value: object) -> str | None:
    if value is None:
        return None
    return value.hex() if isinstance(value, bytes) else orjson.dumps(value, default=str).decode()


def arrived(raw: Raw, column: Column) -> pa.Array:
    """What ``column`` reads, as it came: one source column, or several joined to one text."""
    arrays = [raw.columns.column(name).combine_chunks() for name in column.sources]
    return arrays[0] if len(arrays) == 1 else _joined(arrays, column.join)


def _one(raw: Raw, column: Column) -> pa.Array:
    if column.row:
        numbers = pa.array(raw.lines)
        if column.value is None:
            return numbers
        return pc.binary_join_element_wise(str(column.value), numbers.cast(pa.string()), "")
    if column.source is None:
        return pa.repeat(column.value, len(raw.lines))
    values = arrived(raw, column)
    if column.nulls or column.values:
        values = _translate(as_text(values), column)
    return values


def _joined(arrays: list[pa.Array], join: str) -> pa.Array:
    """Parts as one text; a row that lacks a part lacks the whole."""
    texts = [pc.utf8_trim_whitespace(as_text(array)) for array in arrays]
    texts = [pc.if_else(pc.equal(one, ""), pa.scalar(None, pa.string()), one) for one in texts]
    return pc.binary_join_element_wise(*texts, join, null_handling="emit_null")


def _translate(values: pa.Array, column: Column) -> pa.Array:
    """Known values of the source in ours, however yeh, kaf, blanks and ZWNJ are written.

    A spelling that is listed means what it is listed for; only distinct values are looked at.
    """
    coded = values.dictionary_encode()
    known = {**column.values, **dict.fromkeys(column.nulls)}
    folded = dict(zip(_folded(pa.array(known, type=pa.string())), known.values(), strict=True))
    written = coded.dictionary
    made = [
        known[raw] if raw in known else folded.get(one, raw)
        for one, raw in zip(_folded(written), written.to_pylist(), strict=True)
    ]
    return pa.array(made, type=pa.string()).take(coded.indices)


def _folded(values: pa.Array) -> list[str]:
    return [one or "" for one in fold.column(values.cast(pa.string())).to_pylist()]


def map_rows(raw: Raw, context: Context) -> tuple[Rows, Found]:
    """The rows under the contract's names; fields that no column fills are left out."""
    found = Found()
    columns = {column.to: _one(raw, column) for column in context.columns if not column.z}
    for column in context.columns:
        if column.z:
            high = heights.levels(raw)
            columns[column.to] = high.values()
            found.extend(high.found(raw, column.to))
    return Rows(raw.lines, columns), found
