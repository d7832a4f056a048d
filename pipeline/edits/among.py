"""Among: the rules between rows, over what lies around an edit, before it and after it.

Data that are loaded have faults. An edit is not refused for those: only for what it would add.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Connection, Database
from pipeline.edits.place import same_place
from pipeline.edits.row import Row
from pipeline.edits.trial import Tried
from pipeline.fabric.asked import orphans
from pipeline.fabric.check import Box, Found, around
from pipeline.fabric.faults import Faults
from pipeline.fabric.source import Source
from pipeline.findings import Finding

# A fault that was there may grow by so much of itself: coordinates are doubles.
_NOISE = 1e-6
Place = tuple[str, str, str, str, str | None]


@dataclass
class Neighbourhood:
    """What the rules say around one row of ``layer``, in the transaction of ``connection``.

    ``boxes`` are where the row is and where it will be; ``named`` are its values by which rows of
    other layers name it, before and after. ``changed`` are the fields that will say something else
    (None: the shape does, or there is no row before or after): what reads none of them stays so.
    """

    database: Database
    schemas: Schemas
    connection: Connection
    layer: LayerContract
    boxes: list[Box]
    named: list[Mapping[str, Any]] = field(default_factory=list)
    changed: frozenset[str] | None = None
    before: dict[Place, float] = field(default_factory=dict)

    def remember(self) -> None:
        """Looks before the edit is made."""
        self.before = {place: size for place, size, _ in self._told()}

    def added(self, renamed: tuple[str | None, str | None] = (None, None)) -> list[Finding]:
        """Looks after it was made: the findings that were not there, or were smaller. ``renamed``:
        the row's key before and after."""
        old, new = renamed
        known = {
            (layer, rule, code, _as(key, old, new), _as(value, old, new)): size
            for (layer, rule, code, key, value), size in self.before.items()
        }
        return [
            found
            for place, size, found in self._told()
            if place not in known or size > known[place] * (1 + _NOISE) + _NOISE
        ]

    def _told(self) -> Iterator[tuple[Any, float, Finding]]:
        for (layer, rule), faults in self._faults().items():
            for code, key, value, detail, shape in zip(
                faults.code, faults.key, faults.value, faults.detail, faults.shape, strict=True
            ):
                told = Finding(code, layer, key, None, rule, value, detail, shape)  # type: ignore[arg-type]
                yield (layer, rule, code, key, value), _size(shape), told

    def _faults(self) -> Found:
        found: Found = {}
        source = Source(self.database, self.schemas, self.connection, "")
        if self.boxes:
            found = around(source, self.layer.id, self.boxes, self._concerned)
        for layer, rule in self._references():
            faults = orphans(source, layer, rule)
            found.setdefault((layer.id, rule.id), Faults()).extend(faults)
        return found

    def _concerned(self, layer: LayerContract, rule: FabricRule) -> bool:
        """Whether a rule of ``layer`` reads what the edit changes."""
        if self.changed is None:
            return True
        read = set(self.layer.key)
        read |= set(rule.own_fields) if layer.id == self.layer.id else set()
        read |= set(rule.other_fields) if rule.other == self.layer.id else set()
        return not read.isdisjoint(self.changed)

    def _references(self) -> Iterator[tuple[LayerContract, FabricRule]]:
        """Rules by which rows name rows by value, each for the values of this row alone."""
        off = self.schemas.city.fabric_off
        for layer in self.schemas.layers.values():
            for rule in layer.fabric:
                ours = self.layer.id in (layer.id, rule.other)
                if rule.kind != "refers_to" or not ours or f"{layer.id}.{rule.id}" in off:
                    continue
                if not self._concerned(layer, rule):
                    continue
                for own, other in rule.link.items():
                    name = own if layer.id == self.layer.id else other
                    values = {str(row[name]) for row in self.named if row.get(name) is not None}
                    if values:
                        where = {**rule.where, own: tuple(sorted(values))}
                        yield layer, rule.model_copy(update={"where": where})
                    break

    def severity(self, found: Finding) -> str:
        """How grave the rule is that gave the finding."""
        rules = {rule.id: rule for rule in self.schemas.layer(found.layer).fabric}
        return rules[found.field or ""].severity


def changed(current: Row | None, found: Tried | None) -> frozenset[str] | None:
    """The fields in which the row will differ from what it is, None where more than fields does."""
    if current is None or found is None or not same_place(found.shape, current.shape):
        return None
    columns = found.judged.rows.columns
    return frozenset(n for n, value in current.values.items() if columns[n][0].as_py() != value)


def _as(key: Any, old: str | None, new: str | None) -> Any:
    return new if key is not None and key == old else key


def _size(shape: shapely.Geometry | None) -> float:
    return 0.0 if shape is None else float(shapely.area(shape) or shapely.length(shape))
