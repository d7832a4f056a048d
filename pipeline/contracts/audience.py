"""Audiences: who may see which privacy classes. The one table of them is schemas/audiences.toml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field as Setting
from pydantic import model_validator

from pipeline import paths
from pipeline.contracts import toml
from pipeline.contracts.base import Frozen, Identifier, Text
from pipeline.contracts.fact import FactContract
from pipeline.contracts.field import Field, Privacy
from pipeline.contracts.layer import LayerContract, Operation

if TYPE_CHECKING:
    from pipeline.contracts.process import Input, Process


class Audience(Frozen):
    """One audience: its schema of views, the role that reads that schema alone, what it is shown.

    ``needs_key``: the server asks who is there. ``connections``: of all its servers together.
    ``port_offset``: where its server listens, counted from MAKAN_PORT. ``writer``: the role by
    which its server writes rows of layers that it may (``writable`` in their contracts), no other.
    """

    id: Identifier
    title: Text
    schema_name: str = Setting(pattern=r"^api(_[a-z0-9]+)?$")
    role: Identifier
    privacy: tuple[Privacy, ...]
    needs_key: bool = False
    connections: int = Setting(gt=0)
    port_offset: int = 0
    writer: Identifier | None = None

    @property
    def login(self) -> str:
        """The database role's full name."""
        return f"makan_{self.role}"

    @property
    def writer_login(self) -> str | None:
        """The full name of the role that writes."""
        return f"makan_{self.writer}" if self.writer else None

    def may(self, layer: LayerContract) -> tuple[Operation, ...]:
        """What it may do to single rows of ``layer``."""
        return layer.writable.get(self.id, ())

    def fields(self, layer: LayerContract) -> tuple[Field, ...]:
        """The fields of ``layer`` that this audience sees, in order."""
        if layer.privacy not in self.privacy:
            return ()
        return tuple(field for field in layer.fields if field.privacy in self.privacy)

    def sees(self, layer: LayerContract) -> bool:
        """Whether this audience knows the layer at all."""
        return bool(self.fields(layer))

    def knows(self, fact: FactContract) -> bool:
        """Whether this audience is told the fact."""
        return fact.privacy in self.privacy

    def may_ask(self, process: Process) -> bool:
        """Whether this audience is offered the process."""
        return process.privacy in self.privacy

    def inputs(self, process: Process) -> tuple[Input, ...]:
        """The inputs of ``process`` that this audience is offered."""
        return tuple(one for one in process.inputs if one.privacy in self.privacy)

    @model_validator(mode="after")
    def _nothing_personal(self) -> Self:
        if "P3" in self.privacy:
            raise ValueError("P3 is shown to no audience")
        if {self.role, self.writer} & {"owner", "loader"}:
            raise ValueError("the roles owner and loader are the command line's")
        if self.writer and not self.needs_key:
            raise ValueError("an audience that writes needs keys: the ledger tells who it was")
        if self.privacy != ("P0",) and not self.needs_key:
            raise ValueError("an audience that sees more than P0 needs keys")
        return self


class Audiences(Frozen):
    """The file schemas/audiences.toml."""

    audiences: tuple[Audience, ...]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for name in ("id", "schema_name", "role", "port_offset", "writer"):
            values = [getattr(audience, name) for audience in self.audiences]
            values = [value for value in values if value is not None]
            if len(set(values)) < len(values):
                raise ValueError(f"two audiences have the same {name}")
        return self


@cache
def table(root: Path | None = None) -> dict[str, Audience]:
    """All audiences by id, in the order of the file; raises ContractError."""
    found = toml.read((root or paths.schemas()) / "audiences.toml", Audiences)
    return {audience.id: audience for audience in found.audiences}
