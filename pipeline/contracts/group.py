"""Groups of layers that are drawn together: one tile set, one style, one map."""

from __future__ import annotations

from pathlib import Path

from pipeline.contracts import toml
from pipeline.contracts.base import CollectionId, Frozen, Identifier, Text


class Group(Frozen):
    """``layers`` from the lowest to the uppermost."""

    id: CollectionId
    title: Text
    description: Text
    layers: tuple[Identifier, ...]


class Groups(Frozen):
    """The file schemas/groups.toml."""

    groups: tuple[Group, ...]


def table(root: Path) -> dict[str, Group]:
    """All groups by id, in the order of the file; raises ContractError."""
    found = toml.read(root / "groups.toml", Groups)
    return {group.id: group for group in found.groups}
