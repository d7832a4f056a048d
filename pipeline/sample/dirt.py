"""Plants faults in arrivals and keeps a list of them: what a loader must find, and where.

Which faults a column can have follows from its contract and feed, so new fields get theirs too.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.contracts.feed import Column, Feed
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.sample import faults, shape_faults
from pipeline.sample.arrays import Bools, Ints
from pipeline.sample.arrivals import Arrival
from pipeline.sample.faults import Spoiler

_NUMERIC = ("integer", "number")
_PROSE_FORMATS = ("GPKG", "GeoJSON", "CSV", "XLSX")


@dataclass(frozen=True)
class Planted:
    """One planted fault: ``row`` counts features of the file from 1, ``key`` is as it stands in
    the file (parts joined by |), ``code`` and ``field`` are those of the finding expected: the
    contract's field, of a rule its id, empty for geometries."""

    file: str
    feed: str
    row: int
    key: str
    code: str
    field: str
    description: str


def _typed_as_text(arrival: Arrival, column: str) -> bool:
    return not pd.api.types.is_numeric_dtype(arrival.frame[column])


def _of_column(
    arrival: Arrival, schemas: Schemas, column: Column, field: Field, key: bool
) -> list[Spoiler]:
    source = column.sources[0]
    textual = _typed_as_text(arrival, source)
    pattern = schemas.pattern(field)
    prose = textual and not pattern and not field.codelist and field.type == "text"
    found = []
    if field.required:
        found.append(faults.missing(source, field))
    if pattern and (textual or arrival.holds_text):
        found.append(faults.bad_pattern(source, field, pattern))
    if field.type in _NUMERIC and (field.min, field.max) != (None, None):
        found.append(faults.out_of_range(source, field, as_text=textual))
    if field.codelist and textual:
        found.append(faults.unknown_code(source, field))
    if field.type in (*_NUMERIC, "date", "datetime", "boolean") and (textual or arrival.holds_text):
        found.append(faults.bad_type(source, field))
    if prose and not key and field.max_length and field.max_length <= 120:
        found.append(faults.too_long(source, field))
    if prose and arrival.driver in _PROSE_FORMATS:
        found.append(faults.mojibake(source, field))
    return found


def _by_field(feed: Feed, contract: LayerContract) -> dict[str, Column]:
    """The columns of the feed that come from one source column each, by contract field."""
    return {
        column.to: column
        for column in feed.columns
        if len(column.sources) == 1 and column.to not in {one.name for one in contract.personal}
    }


def _of_rules(feed: Feed, contract: LayerContract) -> list[Spoiler]:
    columns = _by_field(feed, contract)
    found = []
    for rule in contract.rules:
        if rule.kind == "requires" and contract.field(rule.right).required:
            continue  # without it the row is refused for that alone
        measured = contract.field(rule.right).derive is not None and rule.right not in columns
        if rule.left in columns and (rule.right in columns or measured):
            right = None if measured else columns[rule.right]
            found.append(faults.broken_rule(rule, columns[rule.left], right, rule.severity))
    return [spoiler for spoiler in found if spoiler is not None]


def _measured_columns(feed: Feed, contract: LayerContract) -> list[str]:
    """Source columns that rules compare with what is measured on the geometry."""
    columns = _by_field(feed, contract)
    return [
        columns[rule.left].sources[0]
        for rule in contract.rules
        if rule.left in columns and contract.field(rule.right).derive
    ]


def spoilers(arrival: Arrival, schemas: Schemas) -> list[Spoiler]:
    """Every kind of fault that this arrival can carry."""
    feed = schemas.feed(arrival.feed)
    contract = schemas.layer(feed.layer)
    columns = _by_field(feed, contract)
    found: list[Spoiler] = []
    if contract.geometry:
        shape = contract.geometry
        found += shape_faults.spoilers(arrival, shape)
    for name, column in columns.items():
        key = name in contract.key
        found += _of_column(arrival, schemas, column, contract.field(name), key)
    found += _of_rules(feed, contract)
    keys = [columns[name].sources[0] for name in contract.key if name in columns]
    found.append(faults.twin_keys(tuple(keys), " ".join(contract.key)))
    return found


def plant(
    arrival: Arrival, schemas: Schemas, share: float, rng: np.random.Generator
) -> list[Planted]:
    """Spoils about ``share`` of the rows, one fault a row, every kind in turn."""
    wanted = round(share * len(arrival.frame))
    if not arrival.feed or not wanted:
        return []
    feed = schemas.feed(arrival.feed)
    contract = schemas.layer(feed.layer)
    columns = _by_field(feed, contract)
    keys = [columns[name].sources[0] for name in contract.key if name in columns]
    measured = _measured_columns(feed, contract)
    kinds = spoilers(arrival, schemas)
    free = ~arrival.safe
    planted: list[tuple[Spoiler, Ints]] = []
    for turn, number in enumerate(rng.permutation(len(kinds))):
        count = wanted // len(kinds) + (turn < wanted % len(kinds))
        rows = _choose(rng, kinds[number], arrival, free, count)
        if not len(rows):
            continue
        kinds[number].spoil(arrival, rows)
        if kinds[number].reshapes:
            faults.emptied(arrival, measured, rows)
        free[rows] = False
        planted.append((kinds[number], rows))
    return _listed(arrival, planted, keys)


def _choose(
    rng: np.random.Generator, kind: Spoiler, arrival: Arrival, free: Bools, count: int
) -> Ints:
    """Rows for one kind of fault, none of them spoilt before."""
    fit = np.flatnonzero(free & kind.fits(arrival)) if count else np.zeros(0, dtype=np.int64)
    if kind.pairs:
        count = min(2 * max(count // 2, 1), len(fit) // 2 * 2) if count else 0
    chosen = rng.permutation(fit)[:count]
    return chosen if kind.pairs else np.sort(chosen)


def _listed(
    arrival: Arrival, planted: list[tuple[Spoiler, Ints]], keys: list[str]
) -> list[Planted]:
    parts = [arrival.frame[name].to_numpy(dtype=object) for name in keys]
    found = [
        Planted(
            arrival.file,
            arrival.feed,
            int(row) + 1,
            "|".join("" if pd.isna(part[row]) else str(part[row]) for part in parts),
            kind.code,
            kind.field,
            kind.text,
        )
        for kind, rows in planted
        for row in (rows.reshape(-1, 2).max(axis=1) if kind.later else rows)
    ]
    return sorted(found, key=lambda fault: fault.row)


def write_truth(planted: list[Planted], folder: Path) -> None:
    """truth.json and truth.csv: the same list twice."""
    rows = [asdict(fault) for fault in planted]
    content = json.dumps(rows, ensure_ascii=False, indent=1)
    (folder / "truth.json").write_text(content + "\n", encoding="utf-8")
    with (folder / "truth.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(Planted.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(rows)
