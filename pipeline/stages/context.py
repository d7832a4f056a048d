"""Context: what every stage may need to know of the run it works for.

Nothing here asks for columns or shapes: what a command does before it reads a file stays quick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from pipeline.contracts.city import City
from pipeline.contracts.feed import SINCE, UNTIL, Column, Feed
from pipeline.contracts.layer import LayerContract, Limits
from pipeline.contracts.registry import Schemas
from pipeline.findings import Catalog

#: Guards that whoever loads may override, by the codes of their findings.
ACCEPTABLE = (
    *("rows.drop", "extent.shift", "nulls.rise", "measure.change"),
    *("valid.backwards", "lineage.missing"),
)

# Of a code's parts: as the city writes them, the other way round, or nobody can tell which.
Order = Literal["straight", "turned", "unknown"]


@dataclass(frozen=True)
class Context:
    """What every stage may need to know of the run it works for.

    ``orders``: how this file writes the parts of its codes, by field; straight if it says nothing.
    ``valid_from`` is when what the delivery says began to hold, None for when it is published.
    ``renumber``: what lies where an object lay is that object, whatever its key.
    ``accept`` names the guards that whoever loads overrides; ``corrects``: the file brings back
    rows that were set aside, and is no delivery of its own. ``odd`` are the rows of the file whose
    end or beginning is in doubt, each with the finding's code.
    """

    schemas: Schemas
    catalog: Catalog
    feed: Feed
    layer: LayerContract
    orders: Mapping[str, Order] = field(default_factory=dict)
    accept: frozenset[str] = frozenset()
    corrects: bool = False
    valid_from: datetime | None = None
    renumber: bool = False
    odd: Mapping[int, str] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """The layer's limits, those of the feed before them."""
        own = self.feed.limits.model_dump(exclude_none=True)
        return self.layer.limits.model_copy(update=own)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The feed's columns that fill fields; those that are personal, or say when a row holds, go
        ways of their own."""
        names = {one.name for one in self.layer.personal} | {SINCE, UNTIL}
        return tuple(column for column in self.feed.columns if column.to not in names)

    @cached_property
    def dates(self) -> tuple[Column, ...]:
        """The feed's columns that say when a row holds."""
        return tuple(column for column in self.feed.columns if column.to in (SINCE, UNTIL))

    @cached_property
    def personal(self) -> dict[str, str]:
        """The source columns that hold something personal, by the name it is kept under."""
        names = {one.name for one in self.layer.personal}
        return {c.to: c.sources[0] for c in self.feed.columns if c.to in names and c.sources}

    @property
    def city(self) -> City:
        """The city's profile."""
        return self.schemas.city

    @cached_property
    def contract_digest(self) -> str:
        """SHA-256 of layer, city, code lists and feed: with the file's it decides what a load
        does."""
        text = self.schemas.digest(self.layer.id) + self.feed.model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()
