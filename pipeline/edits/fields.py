"""Fields that are not the client's to say: measures of the shape, what the database fills, what it
does not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shapely.geometry.base import BaseGeometry

from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.edits.place import same_place
from pipeline.edits.row import Row
from pipeline.edits.trial import written
from pipeline.findings import Finding


def read_only(
    layer: LayerContract,
    values: dict[str, Any],
    shape: BaseGeometry | None,
    current: Row | None,
    metres: float,
) -> Iterator[Finding]:
    """Takes out of ``values`` what is not the client's to write; told unless it is what stands
    there anyway. ``metres`` are in a unit of the CRS of ``shape``."""
    for field in layer.fields:
        filled = field.filled is not None and current is None
        if field.name not in values or not (filled or field.derive):
            continue
        value = values.pop(field.name)
        stands = written(current.values[field.name]) if current else None
        if value in (None, stands) or (field.derive and value == _measure(field, shape, metres)):
            continue
        code = "edit.later" if field.filled == "later" else "edit.read_only"
        yield Finding(code, layer.id, field=field.name, value=str(value))


def _measure(field: Field, shape: BaseGeometry | None, metres: float) -> float | None:
    if shape is None:
        return None
    size = shape.area * metres**2 if field.derive == "area" else shape.length * metres
    return size if field.decimals is None else round(size, field.decimals)


def measured(
    layer: LayerContract, shape: BaseGeometry | None, current: Row | None
) -> dict[str, Any]:
    """Measures of a shape that stays are those that stand; a new shape is measured anew."""
    stays = current is not None and same_place(shape, current.shape)
    return {
        field.name: current.values[field.name] if current and stays else None
        for field in layer.fields
        if field.derive
    }


def unseen(current: Row, names: Mapping[str, Field]) -> dict[str, Any]:
    """The values of fields that are not among ``names``: they stay as they are."""
    seen = {field.name for field in names.values()}
    return {name: value for name, value in current.values.items() if name not in seen}
