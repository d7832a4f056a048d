"""Outcome: what people and machines are told of a load or check, meanwhile and at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.db.ledger import Account

#: Is told how many rows are done, of how many.
Progress = Callable[[int, int], None]


@dataclass
class Outcome:
    """How a load or check ended; what people and machines are told."""

    feed: str
    layer: str
    file: str
    status: str
    account: Account
    counts: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    run: int | None = None
    seconds: float = 0.0
    message: str | None = None
    crs_evidence: str | None = None
