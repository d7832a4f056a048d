"""Orientation: in which order a file writes the parts of its codes; decided once for the file.

Programs that write from right to left store 7-45-12-1 for 1-12-45-7. Both may be codes, so a row by
itself tells nothing: the codes that exist decide, or else what only one of the two orders allows.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import text
from pipeline.contracts.city import ParcelCode
from pipeline.stages.batch import Raw
from pipeline.stages.context import Context, Order
from pipeline.stages.map import as_text, map_rows
from pipeline.stages.reference import Reference

_LOOKED_AT = 2000
_HALF = 0.5


def orders(raw: Raw, context: Context, reference: Reference | None) -> dict[str, Order]:
    """For each field of codes the order in which the file, as its first rows show it, has them.

    Also of the field that holds the first parts of codes, such as the block a parcel says it is in.
    """
    rule = context.city.parcel_code
    filled = [column.to for column in context.columns if column.sources]
    names = [name for name in filled if context.layer.field(name).type == "parcel_code"]
    begins = [name for name in filled if begins_codes(name, context)]
    if not rule.numeric or not names + begins:
        return {}
    count = len(raw.lines)
    places = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(np.int64))
    rows, _ = map_rows(raw.take(places), context)
    found: dict[str, Order] = {}
    known = reference.known_codes() if reference else None
    for name in names + begins:
        shown = text.ascii_digits(text.display(as_text(rows.columns[name])))
        if name in names:
            found[name] = order(shown, rule, known)
        else:
            found[name] = _order_of_beginnings(shown, rule, known, list(found.values()))
    return found


def begins_codes(name: str, context: Context) -> bool:
    """Whether a field holds the first parts of codes that another layer is the master of."""
    known = context.city.parcel_code.known
    return known is not None and name == known.field and context.layer.id != known.layer


def _order_of_beginnings(
    shown: pa.Array, rule: ParcelCode, known: pa.Array | None, others: list[Order]
) -> Order:
    """By those that exist; where none does, as the whole codes of the same file."""
    if rule.known is not None and known is not None and len(known):
        turned = text.reversed_code(shown, rule.known.parts, rule.separator)
        there, back = (_count(pc.is_in(one, known)) for one in (shown, turned))
        if there or back:
            return "turned" if back > there else "straight"
    return "turned" if "turned" in others else "straight"


def order(shown: pa.Array, rule: ParcelCode, known: pa.Array | None) -> Order:
    """In which order codes (n,), as they arrived, have their parts."""
    straight, turned = (
        text.numeric_code(one, len(rule.parts), rule.separator)
        for one in (shown, text.reversed_code(shown, len(rule.parts), rule.separator))
    )
    if rule.known is not None and known is not None and len(known):
        there, back = (_exist(one, rule, known) for one in (straight, turned))
        if there or back:
            return "turned" if back > there else "straight"
    one, other = _valid(straight, rule), _valid(turned, rule)
    only_straight, only_turned = _count(pc.and_not(one, other)), _count(pc.and_not(other, one))
    if only_straight >= only_turned:
        return "straight"
    sure = only_straight or only_turned >= _HALF * (len(shown) - int(shown.null_count))
    return "turned" if sure else "unknown"


def _exist(codes: pa.Array, rule: ParcelCode, known: pa.Array) -> int:
    """How many begin with a code that exists."""
    between = re.escape(rule.separator)
    first = between.join([r"\d+"] * (rule.known.parts if rule.known else 1))
    begun = pc.replace_substring_regex(codes, f"^({first})({between}.*)?$", r"\1")
    return _count(pc.is_in(begun, known))


def _valid(codes: pa.Array, rule: ParcelCode) -> pa.BooleanArray:
    return pc.fill_null(pc.match_substring_regex(codes, rule.pattern), fill_value=False)


def _count(chosen: pa.BooleanArray) -> int:
    return int(pc.sum(chosen).as_py() or 0)
