"""Ways to spoil values: each puts one fault into the given rows of an arrival."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contracts.feed import Column
from pipeline.contracts.field import Field
from pipeline.contracts.layer import Rule
from pipeline.sample.arrays import Bools, Ints
from pipeline.sample.arrivals import Arrival

Spoil = Callable[[Arrival, Ints], None]
Fits = Callable[[Arrival], Bools]

_NO_CODE = "نامعلوم"


@dataclass(frozen=True)
class Spoiler:
    """One kind of fault: the finding's ``code`` and ``field`` (a contract field, several key fields
    or a rule's id, as findings name it), and how it is planted.

    ``fits`` says which rows can take it; ``pairs``: it is planted in rows two and two, with
    ``later`` the second of which is found; ``reshapes``: it changes the area or length that rules
    may compare with.
    """

    code: str
    field: str
    text: str
    spoil: Spoil
    fits: Fits
    pairs: bool = False
    later: bool = False
    reshapes: bool = False


def put(arrival: Arrival, column: str, rows: Ints, values: list[Any]) -> None:
    """Sets ``column`` at ``rows``, widening its type where it cannot hold the values."""
    changed = arrival.frame[column].copy()
    if pd.api.types.is_numeric_dtype(changed):
        if any(isinstance(value, str) for value in values):
            changed = changed.astype(object).where(changed.notna(), None)
        elif any(isinstance(value, float) for value in values):
            changed = changed.astype("Float64")
        elif None in values and pd.api.types.is_integer_dtype(changed):
            changed = changed.astype("Int64")
    # A pandas array of the column's own type: lists of None and numbers are guessed wrongly.
    own_type: Any = changed.dtype
    changed.iloc[rows] = pd.array(values, dtype=own_type)
    arrival.frame[column] = changed


def filled(arrival: Arrival, column: str) -> Bools:
    """Rows with a value in ``column``."""
    return np.asarray(arrival.frame[column].notna(), dtype=np.bool_)


def always(arrival: Arrival) -> Bools:
    """Every row."""
    return np.ones(len(arrival.frame), dtype=np.bool_)


def _written(column: str, value: Callable[[Any], Any]) -> Spoil:
    def spoil(arrival: Arrival, rows: Ints) -> None:
        old = arrival.frame[column].iloc[rows]
        put(arrival, column, rows, [value(item) for item in old])

    return spoil


def missing(column: str, field: Field) -> Spoiler:
    """A required value left out."""
    return Spoiler(
        "value.missing", field.name, f"{column} is empty", _written(column, lambda _: None),
        lambda arrival: filled(arrival, column),
    )  # fmt: skip


def bad_pattern(column: str, field: Field, pattern: str) -> Spoiler:
    """A character that the code cannot have."""

    def broken(value: Any) -> str:
        text = str(value)
        # Of a web address the beginning alone has a form.
        for at in (len(text) // 2, 0):
            changed = f"{text[:at]}#{text[at + 1 :]}"
            if not re.search(pattern, changed):
                return changed
        raise ValueError(f"{changed} still has the form {pattern}")

    return Spoiler(
        "value.pattern", field.name, f"{column} has a # inside", _written(column, broken),
        lambda arrival: filled(arrival, column),
    )  # fmt: skip


def out_of_range(column: str, field: Field, *, as_text: bool) -> Spoiler:
    """A number beyond the contract's limits."""
    bad = field.max * 2 + 1 if field.max is not None else (field.min or 0.0) - 5.0
    number: Any = int(bad) if float(bad).is_integer() else bad
    value = str(number) if as_text else number
    return Spoiler(
        "value.range", field.name, f"{column} = {number}", _written(column, lambda _: value),
        lambda arrival: filled(arrival, column),
    )  # fmt: skip


def unknown_code(column: str, field: Field) -> Spoiler:
    """A word that no code list has."""
    return Spoiler(
        "value.code_unknown", field.name, f"{column} = {_NO_CODE}",
        _written(column, lambda _: _NO_CODE), lambda arrival: filled(arrival, column),
    )  # fmt: skip


def bad_type(column: str, field: Field) -> Spoiler:
    """Words in a column of numbers, dates or yes and no."""
    value = "1402/13/45" if field.type in ("date", "datetime") else "حدودا"
    return Spoiler(
        "value.type", field.name, f"{column} = {value}", _written(column, lambda _: value),
        lambda arrival: filled(arrival, column),
    )  # fmt: skip


def too_long(column: str, field: Field) -> Spoiler:
    """More characters than the contract takes."""
    length = (field.max_length or 0) + 3

    def longer(value: Any) -> str:
        return (f"{value} " * (length // (len(str(value)) + 1) + 1))[:length].strip() + "+"

    return Spoiler(
        "value.too_long", field.name, f"{column} has over {field.max_length} characters",
        _written(column, longer), lambda arrival: filled(arrival, column),
    )  # fmt: skip


def misread(text: str, code_page: str) -> str:
    """The text's UTF-8 read as ``code_page``, as Windows does it: unassigned bytes stay."""
    return "".join(bytes([byte]).decode(code_page, "ignore") or chr(byte) for byte in text.encode())


def mojibake(column: str, field: Field) -> Spoiler:
    """UTF-8 that was read as Windows-1252 (or, every other row, 1256) and saved again."""

    def fits(arrival: Arrival) -> Bools:
        short = (field.max_length or 10_000) // 2
        values = arrival.frame[column]
        good = [isinstance(v, str) and not v.isascii() and len(v) < short for v in values]
        return np.array(good, dtype=np.bool_)

    def spoil(arrival: Arrival, rows: Ints) -> None:
        old = arrival.frame[column].iloc[rows].tolist()
        pages = ["cp1256" if turn % 2 else "cp1252" for turn in range(len(old))]
        put(arrival, column, rows, [misread(v, p) for v, p in zip(old, pages, strict=True)])

    return Spoiler(
        "value.mojibake", field.name, f"{column} in the wrong encoding", spoil, fits,
    )  # fmt: skip


def twin_keys(columns: tuple[str, ...], fields: str) -> Spoiler:
    """Rows two and two with the same key: the second takes the first one's."""

    def spoil(arrival: Arrival, rows: Ints) -> None:
        for column in columns:
            put(arrival, column, rows[1::2], arrival.frame[column].iloc[rows[::2]].tolist())

    return Spoiler("key.duplicate", fields, "the key of another row", spoil, always, pairs=True)


def broken_rule(rule: Rule, left: Column, right: Column | None, severity: str) -> Spoiler | None:
    """A row that breaks ``rule``; ``right`` None: the other side is measured on the geometry."""
    code = "rule.refused" if severity == "error" else "rule.broken"
    source = left.sources[0]
    if rule.kind == "requires":
        return None if right is None else _without(code, rule, source, right.sources[0])
    if right is None:
        change = _written(source, lambda value: round(float(value) * 1.5 + 5.0, 2))
        return Spoiler(
            code, rule.id, f"{source} is half as large again as measured", change,
            lambda arrival: filled(arrival, source),
        )  # fmt: skip
    if rule.op in ("<=", ">="):
        return _turned(code, rule, source, right.sources[0])
    return None


def _without(code: str, rule: Rule, source: str, other: str) -> Spoiler:
    return Spoiler(
        code, rule.id, f"{other} is empty though {source} is given",
        _written(other, lambda _: None),
        lambda arrival: filled(arrival, source) & filled(arrival, other),
    )  # fmt: skip


def _turned(code: str, rule: Rule, source: str, other: str) -> Spoiler:
    """Makes the side that must be larger the smaller one; dates change places."""
    small, large = (source, other) if rule.op == "<=" else (other, source)

    def fits(arrival: Arrival) -> Bools:
        a, b = arrival.frame[small], arrival.frame[large]
        both = filled(arrival, small) & filled(arrival, large)
        found = np.zeros(len(both), dtype=np.bool_)
        # Words that were planted among numbers cannot be compared with them.
        found[both] = [
            isinstance(x, str) == isinstance(y, str) and x < y and (isinstance(x, str) or x >= 2)
            for x, y in zip(a[both], b[both], strict=True)
        ]
        return found

    def spoil(arrival: Arrival, rows: Ints) -> None:
        low, high = (
            arrival.frame[small].iloc[rows].tolist(),
            arrival.frame[large].iloc[rows].tolist(),
        )
        if isinstance(low[0], str):
            put(arrival, small, rows, high)
            put(arrival, large, rows, low)
        else:
            whole = isinstance(high[0], int)
            put(arrival, large, rows, [value // 2 if whole else value * 0.5 for value in low])

    return Spoiler(code, rule.id, f"{large} is less than {small}", spoil, fits)


def emptied(arrival: Arrival, columns: list[str], rows: Ints) -> None:
    """Leaves out values that would no longer agree with a geometry that was spoilt."""
    for column in columns:
        put(arrival, column, rows, [None] * len(rows))
