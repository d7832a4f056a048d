"""Original: what a row was written as, where that cannot be told from what is shown and its feed.

Spelling is mended, digits and dates are read, codes are filled: each of these loses how it was
written. That is kept, by run and line, as every version of a row names them; for most rows there is
nothing to keep, and then nothing is. What the feed's own rules explain is not kept: the first
spelling that it lists for a code, plain numbers, the usual form of a date.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from pipeline import dates
from pipeline.contracts.feed import Column
from pipeline.contracts.field import Field
from pipeline.db import queries
from pipeline.db.bulk import copy_table
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA
from pipeline.stages.batch import Mask, Raw
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged
from pipeline.stages.map import arrived, as_text

_PLAIN_NUMBER = r"^-?\d+(\.\d+)?$"
# JSON's two signs that need a backslash; the control characters are rare and go one by one.
_ESCAPED = (("\\", "\\\\"), ('"', '\\"'))
_CONTROLS = r"[\x00-\x1f]"


def keep(connection: Connection, run: int, table: pa.Table | None) -> None:
    """Writes ``originals`` of a batch in the transaction that publishes it."""
    if table is None:
        return
    numbered = table.append_column("run_id", pa.repeat(pa.scalar(run, pa.int64()), len(table)))
    copy_table(connection, sql.Identifier("ops", "original"), numbered)


def forget_unused(connection: Connection, run: int, context: Context) -> None:
    """Takes away what was kept of rows that turned out to be as they were, or to be set aside."""
    query = sql.SQL(queries.load("history")["forget_originals"]).format(
        target=sql.Identifier(DATA, context.layer.id)
    )
    connection.execute(query, {"run": run})


def originals(raw: Raw, judged: Judged, context: Context) -> pa.Table | None:
    """Line and JSON of the rows that were written otherwise; None where there are none."""
    changed = np.zeros(len(raw.lines), dtype=bool)
    pieces: list[tuple[str, pa.Array, Mask]] = []
    for name, values, where in _changes(raw, judged, context):
        changed |= where
        pieces.append((name, values, where))
    changed &= judged.good
    if not changed.any():
        return None
    chosen = pa.array(changed)
    members = [
        _member(name, values.filter(chosen), where[changed])
        for name, values, where in pieces
        if (where & changed).any()
    ]
    joined = pc.binary_join_element_wise(*members, ",", null_handling="skip")
    json = pc.binary_join_element_wise("{", joined, "}", "")
    return pa.table({"line": pa.array(raw.lines[changed]), "raw": json})


def _member(name: str, values: pa.Array, where: Mask) -> pa.Array:
    """``"name":"value"`` of JSON where the value was changed, else null."""
    member = pc.binary_join_element_wise(_quoted_text(name), _quoted(values), ":")
    return pc.if_else(pa.array(where), member, pa.scalar(None, pa.string()))


def _changes(raw: Raw, judged: Judged, context: Context) -> Iterator[tuple[str, pa.Array, Mask]]:
    for column in context.columns:
        if not column.sources:
            continue
        values = arrived(raw, column)
        if not _textual(values):
            if context.layer.field(column.to).type not in ("text", "parcel_code"):
                continue
            values = as_text(values)
        where = _lost(
            values, judged.rows.columns[column.to], context.layer.field(column.to), column
        )
        if where is not None and where.any():
            yield " + ".join(column.sources), values, where


def _textual(values: pa.Array) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _lost(values: pa.Array, shown: pa.Array, field: Field, column: Column) -> Mask | None:
    """True where ``values`` cannot be written again from what is ``shown``."""
    if column.values or column.nulls:
        return _untranslated(values, shown, column)
    if field.type in ("text", "parcel_code"):
        same = pc.equal(values, shown)
    elif field.type in ("integer", "number"):
        same = pc.match_substring_regex(values, _PLAIN_NUMBER)
    elif field.type == "date" and column.parser in dates.USUAL:
        same = pc.match_substring_regex(values, dates.USUAL[column.parser])
    else:
        same = pc.string_is_ascii(values)
    return _given(values) & ~_true(same)


def _untranslated(values: pa.Array, shown: pa.Array, column: Column) -> Mask:
    """By distinct pairs: the first spelling listed for a value, or the value itself, is told."""
    first = {ours: written for written, ours in reversed(column.values.items())}
    coded = values.dictionary_encode()
    made = as_text(shown).dictionary_encode()
    usual = pa.array([first.get(one, one) for one in made.dictionary.to_pylist()], pa.string())
    same = pc.equal(coded.dictionary.take(coded.indices), usual.take(made.indices))
    return _given(values) & ~_true(same)


def _given(values: pa.Array) -> Mask:
    """An empty text is shown as none, and nobody asks for it."""
    return _true(pc.greater(pc.binary_length(values), 0))


def _true(values: pa.Array) -> Mask:
    filled = pc.fill_null(values, fill_value=False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)


def _quoted(values: pa.Array) -> pa.Array:
    """Texts as JSON strings."""
    values = values.cast(pa.string())
    for old, new in _ESCAPED:
        values = pc.replace_substring(values, old, new)
    odd = pc.fill_null(pc.match_substring_regex(values, _CONTROLS), fill_value=False)
    if pc.any(odd).as_py():
        for code in range(32):  # PostgreSQL's JSON cannot hold a NUL
            escaped = "" if code == 0 else f"\\u{code:04x}"
            values = pc.replace_substring(values, chr(code), escaped)
    return pc.binary_join_element_wise('"', values, '"', "")


def _quoted_text(text: str) -> str:
    return str(_quoted(pa.array([text]))[0])
