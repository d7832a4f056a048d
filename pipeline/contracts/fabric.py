"""Fabric rules: how the rows of a layer must lie among each other and among those of another."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field as Setting
from pydantic import model_validator

from pipeline.contracts.base import Frozen, Identifier, Text

Kind = Literal[
    "no_overlap",
    "no_gap",
    "no_crossing",
    "filled_by",
    "covered_by",
    "code_of_container",
    "prefix_of_container",
    "within",
    "near",
    "fronts",
    "parallel",
    "between",
    "refers_to",
    "query",
]
Unit = Literal["m2", "m", "share"]
Severity = Literal["error", "warning", "info"]
Values = dict[Identifier, tuple[str, ...]]

# What each kind cannot do without, and the units its tolerance may have (the first unless said).
_NEEDS: dict[Kind, tuple[tuple[str, ...], tuple[Unit, ...]]] = {
    "no_overlap": ((), ("m2",)),
    "no_gap": ((), ("m",)),
    "no_crossing": (("field",), ("m",)),
    "filled_by": (("other", "sliver_m2", "sliver_m"), ("m",)),
    "covered_by": (("other",), ("m2", "share")),
    "code_of_container": (("other", "field", "other_field"), ("m2",)),
    "prefix_of_container": (("other", "field", "other_field"), ("m2",)),
    "within": (("other", "link"), ("m",)),
    "near": (("other", "link"), ("m",)),
    "fronts": (("other", "link"), ("m",)),
    "parallel": (("other", "per", "side", "offsets"), ("m",)),
    "between": (("other", "field", "other_field"), ("share",)),
    "refers_to": (("other", "link"), ("m",)),
    "query": (("finding",), ("m", "m2", "share")),
}
# Kinds that look at all rows at once: the database answers, or what is far away has a say.
_WHOLE: tuple[Kind, ...] = ("refers_to", "query", "between")


class FabricRule(Frozen):
    """One rule; ``kind`` says what is looked at, schemas/README.md says what each kind needs.

    ``other``: the other layer. ``link``: own field = field of the other layer, which together name
    the row that is meant; ``per``: fields that two rows must share to have to do with each other.
    ``where``, ``other_where``: only rows with one of these values. ``unless``: rows with a value
    there (0 is none) are exempt. ``without``: the rule only holds where that layer has no rows.
    ``finding``: what a query finds; ``facts``: those that it reads.
    """

    id: Identifier
    kind: Kind
    title: Text
    rule: str | None = None
    severity: Severity = "warning"
    other: Identifier | None = None
    tolerance: float = 0.0
    unit: Unit | None = None
    per: tuple[Identifier, ...] = ()
    link: dict[Identifier, Identifier] = Setting(default_factory=dict)
    where: Values = Setting(default_factory=dict)
    other_where: Values = Setting(default_factory=dict)
    unless: Identifier | None = None
    without: Identifier | None = None
    union: bool = False
    field: Identifier | None = None
    other_field: Identifier | None = None
    sliver_m2: float | None = None
    sliver_m: float | None = None
    side: Identifier | None = None
    offsets: dict[str, Identifier] = Setting(default_factory=dict)
    finding: str | None = None
    facts: tuple[Identifier, ...] = ()

    @property
    def tiled(self) -> bool:
        """Whether it looks at shapes, tile by tile; else at all rows at once."""
        return self.kind not in _WHOLE

    @property
    def measure(self) -> Unit:
        """The unit of the tolerance."""
        return self.unit or _NEEDS[self.kind][1][0]

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The fields of the layer itself that the rule reads."""
        named = [*self.per, *self.link, *self.where, self.field, self.unless, self.side]
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def other_fields(self) -> tuple[str, ...]:
        """The fields of the other layer that the rule reads."""
        named = [*self.per, *self.link.values(), *self.other_where, self.other_field]
        named += self.offsets.values()
        return tuple(dict.fromkeys(name for name in named if name))

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed, units = _NEEDS[self.kind]
        missing = [name for name in needed if getattr(self, name) in (None, (), {})]
        if missing:
            raise ValueError(f"{self.id}: {self.kind} needs {', '.join(missing)}")
        if self.unit is not None and self.unit not in units:
            raise ValueError(f"{self.id}: the tolerance of {self.kind} is in {' or '.join(units)}")
        return self
