"""Check: every typed row against its contract. A row with an error is quarantined, not mended."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import text
from pipeline.contracts.field import Field
from pipeline.contracts.layer import Rule
from pipeline.stages import outline
from pipeline.stages.batch import Floats, Found, Mask, Rows
from pipeline.stages.clean import ARROW_TYPES
from pipeline.stages.context import Context
from pipeline.stages.map import as_text

_OPERATORS = {
    "<": pc.less,
    "<=": pc.less_equal,
    "=": pc.equal,
    ">=": pc.greater_equal,
    ">": pc.greater,
}


def _true(values: pa.Array) -> Mask:
    return np.asarray(
        pc.fill_null(values, fill_value=False).to_numpy(zero_copy_only=False), dtype=bool
    )


def derive_fields(rows: Rows, context: Context) -> Rows:
    """Adds what derives from geometry, in metres on the grid, or from other columns, and absent
    columns."""
    made = dict(rows.columns)
    for field in context.layer.fields:
        if field.derive and rows.geometry is not None:
            measured = _measure(rows, field, context.city.metres_per_unit)
            arrived = made.get(field.name)
            made[field.name] = measured if arrived is None else pc.coalesce(arrived, measured)
        elif field.numbers_of in made:
            made[field.name] = text.numbers(made[field.numbers_of])
        elif field.name not in made:
            made[field.name] = pa.nulls(len(rows), ARROW_TYPES[field.type])
    ordered = {field.name: made[field.name] for field in context.layer.fields}
    return Rows(rows.lines, ordered, rows.geometry)


def _measure(rows: Rows, field: Field, metres: float) -> pa.Array:
    values = rows.area * metres**2 if field.derive == "area" else rows.length * metres
    rounded = values if field.decimals is None else np.round(values, field.decimals)
    return pa.array(rounded, from_pandas=True)


def slivers(rows: Rows, context: Context) -> Found:
    """What is too small to be meant; each row is told once, by the first limit that it misses."""
    found, wanted, metres = Found(), context.layer.geometry, context.city.metres_per_unit
    if wanted is None or not (wanted.min_area_m2 or wanted.min_length_m or wanted.min_width_m):
        return found
    length, area = rows.length * metres, rows.area * metres**2
    sizes: list[tuple[float | None, Floats, str]] = [
        (wanted.min_area_m2, area, "m2"), (wanted.min_length_m, length, "m"),
    ]  # fmt: skip
    if wanted.min_width_m:
        sizes.append((wanted.min_width_m, outline.widths(area, length), "m wide"))
    told = np.zeros(len(rows), dtype=bool)
    for limit, size, unit in sizes:
        if limit is None:
            continue
        small = ~told & (size < limit)
        details = [f"{one:.3f} {unit}, at least {limit:g} expected" for one in size[small]]
        found.mark("geometry.sliver", rows.lines[small], details=details)
        told |= small
    return found


def check_rows(rows: Rows, context: Context) -> Found:
    """All findings of the fields and rules of a batch of typed rows."""
    found = Found()
    for field in context.layer.fields:
        _check_field(rows, field, context, found)
    for rule in context.layer.rules:
        _check_rule(rows, rule, found)
    return found


def _check_field(rows: Rows, field: Field, context: Context, found: Found) -> None:
    values = rows.columns[field.name]
    if field.required:
        found.mark("value.missing", rows.lines[_true(values.is_null())], field_name=field.name)
    if field.max_length:
        long = pc.greater(pc.utf8_length(values), field.max_length)
        _tell(rows, field, long, found, ("value.too_long", str(field.max_length)))
    pattern = context.schemas.pattern(field)
    if pattern:
        bad = pc.invert(pc.match_substring_regex(values, pattern))
        shape = context.city.parcel_code.example if field.type == "parcel_code" else pattern
        _tell(rows, field, bad, found, ("value.pattern", shape))
    _check_habit(rows, field, found)
    codes = context.schemas.codes(field)
    if codes:
        unknown = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, pa.array(codes.codes))))
        _tell(rows, field, unknown, found, ("value.code_unknown", codes.id))
    _check_range(rows, field, context, found)


def _check_habit(rows: Rows, field: Field, found: Found) -> None:
    """What no rule forbids and nobody has seen: a warning."""
    values = rows.columns[field.name]
    if field.expected:
        odd = pc.invert(pc.match_substring_regex(values, field.expected))
        _tell(rows, field, odd, found, ("value.unusual", field.expected))
    if field.suspect:
        odd = pc.match_substring_regex(values, field.suspect)
        _tell(rows, field, odd, found, ("value.unusual", f"not {field.suspect}"))


def _check_range(rows: Rows, field: Field, context: Context, found: Found) -> None:
    if field.type not in ("integer", "number"):
        return
    least, most = context.schemas.limits(context.layer, field)
    values = rows.columns[field.name]
    # A whole number is compared with whole limits: not every bigint is a double.
    kind = int if field.type == "integer" else float
    outside = pc.invert(pc.is_finite(values))
    if least is not None:
        outside = pc.or_kleene(outside, pc.less(values, kind(least)))
    if most is not None:
        outside = pc.or_kleene(outside, pc.greater(values, kind(most)))
    low = "-∞" if least is None else f"{least:.15g}"
    high = "∞" if most is None else f"{most:.15g}"
    _tell(rows, field, outside, found, ("value.range", f"{low} … {high}"))


def _tell(rows: Rows, field: Field, bad: pa.Array, found: Found, told: tuple[str, str]) -> None:
    where = _true(bad)
    if not where.any():
        return
    values = as_text(rows.columns[field.name].filter(pa.array(where))).to_pylist()
    code, detail = told
    found.mark(code, rows.lines[where], field_name=field.name, values=values, details=detail)


def broken(rows: Rows, rule: Rule) -> Mask:
    """True where a row breaks ``rule``; a row that lacks what is compared does not."""
    left, right = rows.columns[rule.left], rows.columns[rule.right]
    if rule.kind == "requires":
        return _true(pc.and_(left.is_valid(), right.is_null()))
    if left.type != right.type or rule.tolerance or rule.slack:
        left, right = (values.cast(pa.float64(), safe=False) for values in (left, right))
    if not rule.tolerance and not rule.slack:
        return _true(pc.invert(_OPERATORS[rule.op](left, right)))
    slack = pc.max_element_wise(pc.multiply(pc.abs(right), rule.tolerance), rule.slack)
    if rule.op == "=":
        return _true(pc.greater(pc.abs(pc.subtract(left, right)), slack))
    limit = pc.add(right, slack) if rule.op.startswith("<") else pc.subtract(right, slack)
    return _true(pc.invert(_OPERATORS[rule.op](left, limit)))


def _check_rule(rows: Rows, rule: Rule, found: Found) -> None:
    where = broken(rows, rule)
    if not where.any():
        return
    code = "rule.refused" if rule.severity == "error" else "rule.broken"
    pairs = [
        as_text(rows.columns[name].filter(pa.array(where))).to_pylist()
        for name in (rule.left, rule.right)
    ]
    details = [
        f"{rule.title.en} | {rule.title.fa} ({left} {rule.op} {right})"
        for left, right in zip(*pairs, strict=True)
    ]
    found.mark(code, rows.lines[where], field_name=rule.id, details=details)
