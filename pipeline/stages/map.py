"""Map: source columns become the contract's fields, as text or as they came; nothing is judged."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.feed import Column
from pipeline.errors import ArrivalError
from pipeline.stages.batch import Context, Found, Raw, Rows


def survey(names: list[str], context: Context, where: str) -> Found:
    """Compares the file's columns with the feed before any row is read.

    Raises ArrivalError when a mapped column is not there; names every column that the feed neither
    maps nor ignores.
    """
    feed = context.feed
    needed = {source for column in feed.columns for source in column.sources}
    if feed.source.points:
        needed |= {feed.source.points.x, feed.source.points.y}
    if feed.source.where:
        needed.add(feed.source.where.column)
    missing = sorted(needed - set(names))
    if missing:
        raise ArrivalError(
            f"has no column {', '.join(missing)}; it has {', '.join(names) or 'none'}",
            where=where,
            todo=f"Correct the file, or the columns of the feed {feed.id}.",
        )
    found = Found()
    for name in names:
        if name not in needed and name not in feed.ignore:
            found.whole("column.unmapped", field_name=name)
    return found


def as_text(values: pa.Array) -> pa.Array:
    """Any column as text; whole floats without their .0, as spreadsheets make of codes."""
    if pa.types.is_floating(values.type):
        whole = pc.all(pc.equal(values, pc.trunc(values))).as_py()
        fits = pc.all(pc.less(pc.abs(values), 2.0**53)).as_py()
        if whole and fits:
            values = values.cast(pa.int64())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_timestamp(values.type):
        return pc.strftime(values, format="%Y-%m-%dT%H:%M:%SZ")
    return values.cast(pa.string())


def _one(raw: Raw, column: Column) -> pa.Array:
    if column.source is None:
        return pa.array([column.value] * len(raw.lines))
    arrays = [raw.columns.column(name).combine_chunks() for name in column.sources]
    if len(arrays) == 1:
        values = arrays[0]
    else:
        texts = [as_text(array) for array in arrays]
        values = pc.binary_join_element_wise(*texts, column.join, null_handling="emit_null")
    if column.nulls or column.values:
        values = _translate(as_text(values), column)
    return values


def _translate(values: pa.Array, column: Column) -> pa.Array:
    """Known values of the source in ours; only distinct values are looked at."""
    coded = values.dictionary_encode()
    known = {**column.values, **dict.fromkeys(column.nulls)}
    ours = [known.get(_bare(text), text) for text in coded.dictionary.to_pylist()]
    return pa.array(ours, type=pa.string()).take(coded.indices)


def _bare(text: str | None) -> str:
    return (text or "").strip()


def map_rows(raw: Raw, context: Context) -> tuple[Rows, Found]:
    """The rows under the contract's names; fields that no column fills are left out."""
    columns = {column.to: _one(raw, column) for column in context.feed.columns}
    return Rows(raw.lines, columns), Found()
