"""What objects become of each other: codes, parents, and editions that take another's place."""

from __future__ import annotations

from pipeline.contracts.base import Frozen, Identifier


class Codes(Frozen):
    """The layer that keeps which code an object had before; the other names are its fields."""

    layer: Identifier
    former: Identifier
    now: Identifier
    since: Identifier
    until: Identifier
    reason: Identifier
    object: Identifier


class Parents(Frozen):
    """The layer that keeps what became of objects that are gone, and its field of their code."""

    layer: Identifier
    field: Identifier


class Lineage(Frozen):
    """Objects whose codes change and that come out of each other.

    ``field`` is the code, ``codes`` where former ones are kept, ``parents`` what an object became.
    None that one of the facts ``protects`` tells of goes without it being known what it became.
    """

    field: Identifier
    codes: Codes
    parents: Parents
    protects: tuple[Identifier, ...] = ()


class Succession(Frozen):
    """Rows of which one holds at a place: a ``draft`` becomes ``approved`` and those in force where
    it lies ``former``, values of the field ``state``, at once.

    ``dated`` is the field that gets the day where it has none. Before, the draft is looked at in
    the layers ``judged_by``, which nobody may load meanwhile.
    """

    state: Identifier
    draft: str
    approved: str
    former: str
    dated: Identifier
    judged_by: tuple[Identifier, ...] = ()
