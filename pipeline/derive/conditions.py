"""Conditions that rows of a layer's table meet: those of the contract, and those of the city.

What differs from city to city (code lists, the parcel code's pattern, the extent) are
``city_checks``: constraints that ``makan db migrate`` makes again whenever contracts or profile
change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Table,
    and_,
    func,
    literal,
    literal_column,
    or_,
)

from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract, Rule
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import GEOMETRY


def _limits(column: Column[Any], field: Field) -> ColumnElement[bool] | None:
    """One condition for range and finiteness: a check costs by its number, not by its length.

    PostgreSQL sorts NaN above infinity, so that an upper limit keeps both out.
    """
    kind = int if field.type == "integer" else float
    parts = []
    if field.min is not None:
        parts.append(column >= kind(field.min))
    elif field.type == "number":
        parts.append(column > literal_column("'-Infinity'::float8"))
    if field.max is not None:
        parts.append(column <= kind(field.max))
    elif field.type == "number":
        parts.append(column < literal_column("'Infinity'::float8"))
    return and_(*parts) if parts else None


def compare(
    rule: Rule, left: ColumnElement[float], right: ColumnElement[float]
) -> ColumnElement[bool]:
    """The condition a rule's row must meet, over any two column-like expressions."""
    slack = _slack(rule, right)
    if slack is None:  # dates are compared too, and they know no tolerance
        return left.op(rule.op)(right)
    conditions = {
        "<": left < right + slack,
        "<=": left <= right + slack,
        "=": func.abs(left - right) <= slack,
        ">=": left >= right - slack,
        ">": left > right - slack,
    }
    return conditions[rule.op]


def _slack(rule: Rule, right: ColumnElement[float]) -> ColumnElement[float] | None:
    share: ColumnElement[float] = rule.tolerance * func.abs(right)
    if rule.slack:
        return func.greatest(share, literal(rule.slack)) if rule.tolerance else literal(rule.slack)
    return share if rule.tolerance else None


def _rule_check(table: Table, rule: Rule) -> CheckConstraint:
    left, right = table.c[rule.left], table.c[rule.right]
    if rule.kind == "requires":
        condition = or_(left.is_(None), right.is_not(None))
    else:
        condition = or_(left.is_(None), right.is_(None), compare(rule, left, right))
    return CheckConstraint(condition, name=f"ck_{table.name}_{rule.id}")


def _field_checks(column: Column[Any], field: Field, name: str) -> Iterator[CheckConstraint]:
    limits = _limits(column, field)
    if limits is not None:
        yield CheckConstraint(limits, name=f"{name}_range")
    if field.max_length:
        yield CheckConstraint(func.length(column) <= field.max_length, name=f"{name}_length")
    if field.pattern:
        yield CheckConstraint(column.op("~")(field.pattern), name=f"{name}_pattern")


def checks(table: Table, layer: LayerContract) -> Iterator[CheckConstraint]:
    """What the contract asks of every row."""
    for field in layer.fields:
        yield from _field_checks(table.c[field.name], field, f"ck_{layer.id}_{field.name}")
    for rule in layer.rules:
        if rule.severity == "error":
            yield _rule_check(table, rule)
    if layer.geometry:
        yield CheckConstraint(
            ~func.ST_IsEmpty(table.c[GEOMETRY]), name=f"ck_{layer.id}_{GEOMETRY}_not_empty"
        )


def city_checks(
    schemas: Schemas, layer: LayerContract, made: Table
) -> dict[str, ColumnElement[bool]]:
    """Conditions that hold in this city only, by constraint name (they start with ``city_``)."""
    found: dict[str, ColumnElement[bool]] = {}
    for field in layer.fields:
        column = made.c[field.name]
        codes = schemas.codes(field)
        if codes:
            found[f"city_{layer.id}_{field.name}_codes"] = column.in_(codes.codes)
        if field.type == "parcel_code":
            pattern = schemas.city.parcel_code.pattern
            found[f"city_{layer.id}_{field.name}_pattern"] = column.op("~")(pattern)
        if layer.relief and layer.relief.height == field.name:
            found[f"city_{layer.id}_{field.name}_range"] = column.between(
                *schemas.limits(layer, field)
            )
    if layer.geometry:
        box = func.ST_MakeEnvelope(*schemas.city.extent.bounds, schemas.city.srid)
        found[f"city_{layer.id}_extent"] = made.c[GEOMETRY].op("@")(box)
    return found
