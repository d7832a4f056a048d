"""Clean: texts in one spelling, values in their types, geometry valid and in the city's CRS.

What cannot be read as its type is a finding; nothing is guessed and nothing silently dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import dates, text
from pipeline.contracts.city import City
from pipeline.contracts.feed import Column
from pipeline.contracts.field import Field
from pipeline.stages.batch import Found, Lines, Mask, Rows
from pipeline.stages.context import Context
from pipeline.stages.map import as_text

_TRUE = ("true", "t", "yes", "y", "1", "بله", "دارد")
_FALSE = ("false", "f", "no", "n", "0", "خیر", "ندارد")
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d{1,18}(\.0+)?$"
_ROUNDING = 1e-6
_DATE_FORMS = ("jalali", "date_dmy", "date_mdy")
# An instant needs its offset, or it is none.
_INSTANT = (
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
    r"(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)$"
)
# What Excel and LibreOffice show of a formula that fails.
_FAILED = (
    "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!",
    "Err:502", "Err:504", "Err:508", "Err:509", "Err:522",
)  # fmt: skip
ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "parcel_code": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
}


def _display(values: pa.Array) -> pa.Array:
    return text.display(as_text(values))


def _number_text(values: pa.Array, parser: str) -> pa.Array:
    read = text.persian_number_text if parser == "persian_number" else text.number_text
    return read(_display(values))


def _number(values: pa.Array, parser: str) -> pa.Array:
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return values.cast(pa.float64(), safe=False)
    plain = _number_text(values, parser)
    good = pc.match_substring_regex(plain, _NUMBER)
    return pc.if_else(good, plain, pa.scalar(None, pa.string())).cast(pa.float64())


def _integer(values: pa.Array, column: Column) -> pa.Array:
    """Whole numbers; a part of one is not cut off, unless ``scale`` makes it whole."""
    if column.scale is not None and not column.scale.is_integer():
        return _whole(_number(values, column.parser), column.scale)
    whole = _as_integer(values, column.parser)
    if column.scale is None:
        return whole
    scaled = pc.multiply(whole, int(column.scale))
    if whole.null_count == values.null_count:
        return scaled
    return pc.coalesce(scaled, _whole(_number(values, column.parser), column.scale))


def _whole(values: pa.Array, scale: float) -> pa.Array:
    made = pc.multiply(values, scale)
    near = pc.round(made)
    good = pc.less(pc.abs(pc.subtract(made, near)), _ROUNDING)
    return pc.if_else(good, near, pa.scalar(None, pa.float64())).cast(pa.int64(), safe=False)


def _as_integer(values: pa.Array, parser: str) -> pa.Array:
    if pa.types.is_signed_integer(values.type):
        return values.cast(pa.int64())
    if pa.types.is_floating(values.type):
        values = as_text(values)
    plain = _number_text(values, parser)
    good = pc.match_substring_regex(plain, _WHOLE)
    kept = pc.if_else(good, plain, pa.scalar(None, pa.string()))
    return pc.replace_substring_regex(kept, r"^\+|\.0+$", "").cast(pa.int64())


def _boolean(values: pa.Array) -> pa.Array:
    if pa.types.is_boolean(values.type):
        return values
    lower = pc.utf8_lower(text.ascii_digits(_display(values)))
    true = pc.is_in(lower, pa.array(_TRUE))
    known = pc.or_(true, pc.is_in(lower, pa.array(_FALSE)))
    return pc.if_else(known, true, pa.scalar(None, pa.bool_()))


def read_date(values: pa.Array, column: Column) -> pa.Array:
    """``values`` as dates, by the parser of ``column``; null where they are none."""
    form = column.parser if column.parser in _DATE_FORMS else "plain"
    # A date column may hold Jalali dates as well: the file's type knows only year, month and day.
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        written = pc.strftime(values, format="%Y-%m-%d")
        return dates.column(written, "jalali" if form == "jalali" else "plain")
    if column.parser == "excel":
        return dates.serials(_number(values, "plain"))
    return dates.column(_display(values), form, column.century)


def _datetime(values: pa.Array, timezone: str) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        if values.type.tz is None:
            values = pc.assume_timezone(
                values, timezone, ambiguous="earliest", nonexistent="earliest"
            )
        return values.cast(ARROW_TYPES["datetime"], safe=False)
    coded = _display(values).dictionary_encode()
    good = pc.match_substring_regex(coded.dictionary, _INSTANT)
    kept = pc.if_else(good, coded.dictionary, pa.scalar(None, pa.string()))
    return kept.cast(ARROW_TYPES["datetime"]).take(coded.indices)


def _code(values: pa.Array, city: City, *, turned: bool) -> pa.Array:
    shown = text.ascii_digits(_display(values))
    rule = city.parcel_code
    if not rule.numeric:
        return shown
    if turned:
        shown = text.reversed_code(shown, len(rule.parts), rule.separator)
    widths = tuple(part.width for part in rule.parts)
    return text.numeric_code(shown, len(rule.parts), rule.separator, widths)


def _text(values: pa.Array, field: Field, column: Column) -> pa.Array:
    shown = _display(values)
    if column.parser == "digits":
        return text.digits_only(shown)
    plain = field.pattern or field.codelist or column.zero_pad
    return text.ascii_digits(shown) if plain else shown


def typed(
    values: pa.Array, field: Field, column: Column, city: City, *, turned: bool = False
) -> pa.Array:
    """``values`` in the type of ``field``; null where they cannot be read as that.

    ``turned``: codes are written with their parts in the other order.
    """
    readers: dict[str, Callable[[pa.Array], pa.Array]] = {
        "text": partial(_text, field=field, column=column),
        "parcel_code": partial(_code, city=city, turned=turned),
        "integer": partial(_integer, column=column),
        "number": partial(_number, parser=column.parser),
        "boolean": _boolean,
        "date": partial(read_date, column=column),
        "datetime": partial(_datetime, timezone=city.timezone),
    }
    made = readers[field.type](values)
    if column.scale is None or field.type != "number":
        return made
    return pc.multiply(made, column.scale)


def _given(values: pa.Array) -> pa.Array:
    """True where something arrived: not null, and not an empty or blank text."""
    given = values.is_valid()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(values)), 0)
        return pc.and_(given, pc.invert(pc.fill_null(blank, fill_value=False)))
    return given


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)


def _null_nan(values: pa.Array) -> pa.Array:
    """GDAL gives NaN for an empty cell of a numeric column."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def clean_values(rows: Rows, context: Context) -> tuple[Rows, Found]:
    """The mapped columns in their contract types; findings value.type and value.mojibake."""
    found = Found()
    made: dict[str, pa.Array] = {}
    for column in context.columns:
        field = context.layer.field(column.to)
        arrived = _null_nan(rows.columns[column.to])
        turned = context.orders.get(field.name) == "turned"
        values = typed(arrived, field, column, context.city, turned=turned)
        if column.zero_pad and field.type == "text":
            values, count = text.padded(values, column.zero_pad)
            found.count_rows("code.padded", field.name, str(column.zero_pad), count)
        if field.type == "parcel_code" and context.city.parcel_code.numeric:
            _undecided(found, rows.lines, (field, arrived, values), context, turned=turned)
        if turned and field.type == "text":
            values = _turned_beginning(values, context.city)
        if turned:
            count = len(values) - int(values.null_count)
            found.count_rows("code.reversed", field.name, context.city.parcel_code.example, count)
        unread = lost(arrived, values)
        _mark(found, "value.type", rows.lines, unread, (field, arrived, field.type))
        if field.type == "text" and not field.codelist:
            broken = _mask(pc.fill_null(text.looks_mojibake(as_text(arrived)), fill_value=False))
            _mark(found, "value.mojibake", rows.lines, broken, (field, arrived, None))
            _mark(found, "value.formula", rows.lines, _failed(values), (field, arrived, None))
        made[field.name] = values
    return Rows(rows.lines, made, rows.geometry), found


def _failed(values: pa.Array) -> Mask:
    """Where a text is what a spreadsheet shows of a formula that fails."""
    return _mask(pc.is_in(values, pa.array(_FAILED)))


def _turned_beginning(values: pa.Array, city: City) -> pa.Array:
    """The first parts of codes, in the city's order."""
    rule = city.parcel_code
    parts = rule.known.parts if rule.known else len(rule.parts)
    return text.reversed_code(text.ascii_digits(values), parts, rule.separator)


def _undecided(
    found: Found,
    lines: Lines,
    told: tuple[Field, pa.Array, pa.Array],
    context: Context,
    *,
    turned: bool,
) -> None:
    """Codes that are one only the other way round: the file's order is not theirs.

    Where the order of the file is unknown, those as well that are one in either.
    """
    field, arrived, values = told
    doubtful = _mask(values.is_valid())
    if context.orders.get(field.name) != "unknown":
        doubtful &= ~_matches(values, context.city)
    if not doubtful.any():
        return
    other = _code(arrived.filter(pa.array(doubtful)), context.city, turned=not turned)
    doubtful[doubtful] = _matches(other, context.city)
    _mark(found, "code.undecided", lines, doubtful, (field, arrived, None))


def _matches(codes: pa.Array, city: City) -> Mask:
    matched = pc.match_substring_regex(codes, city.parcel_code.pattern)
    return _mask(pc.fill_null(matched, fill_value=False))


def lost(arrived: pa.Array, values: pa.Array) -> Mask:
    """True where something arrived and nothing could be read of it."""
    if values.null_count == arrived.null_count:
        return np.zeros(len(values), dtype=bool)
    return _mask(pc.and_(_given(arrived), values.is_null()))


def _mark(
    found: Found,
    code: str,
    lines: Lines,
    where: Mask,
    told: tuple[Field, pa.Array, str | None],
) -> None:
    if not where.any():
        return
    field, values, detail = told
    shown = as_text(values.filter(pa.array(where))).to_pylist()
    found.mark(code, lines[where], field_name=field.name, values=shown, details=detail)
