"""Target: what the stages hand good rows to: an empty layer is filled, any other is merged into."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pipeline.db.engine import Connection
from pipeline.stages.batch import Found, Lines
from pipeline.stages.judge import Judged


@dataclass(frozen=True)
class Merged:
    """What a load did to the published layer, in rows; counted by the database."""

    inserted: int
    updated: int
    unchanged: int
    removed: int


class Target(Protocol):
    """The way of one run's rows into the published layer."""

    def open(self) -> AbstractContextManager[Connection]:
        """Its transaction: commits at the end of the block, or leaves everything as it was."""

    def add(self, judged: Judged) -> None:
        """Takes the good rows of a batch."""

    def remove(self, lines: Lines) -> None:
        """Takes rows out again that a look at the whole delivery has condemned."""

    def clashing(self, kept: list[str], gone: list[str] | None) -> Found:
        """What guards of the layer would refuse of the rows that are there, ``kept`` and ``gone``
        as for ``finish``: their lines, and the row that each contradicts."""

    def finish(self, kept: list[str], gone: list[str] | None) -> Merged:
        """Makes the layer what the delivery says; the caller adds the ledger and ends it.

        ``kept`` are keys of quarantined rows: their published predecessors stay. ``gone`` are the
        keys that a full delivery no longer brings, None where only a look at all rows can tell.
        """
