"""Passing: one way through a file, batch by batch, and what only its end shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.db.engine import Connection
from pipeline.db.ledger import Account
from pipeline.stages import container
from pipeline.stages.agree import open_source
from pipeline.stages.batch import Context, Found, Raw
from pipeline.stages.judge import Judged, judge
from pipeline.stages.map import survey
from pipeline.stages.read import Source
from pipeline.stages.reference import Reference
from pipeline.stages.signature import Signature
from pipeline.stages.whole import Keys, Shapes, guard

Progress = Callable[[int, int], None]


@dataclass
class Pass:
    """One way through a file: every batch is judged and handed to ``take``."""

    source: Source
    context: Context
    batch_rows: int
    keys: Keys
    signature: Signature | None = None
    shapes: Shapes = field(default_factory=Shapes)
    arrived: int = 0
    skipped: int = 0
    quarantined: int = 0
    counts: Counter[tuple[str, str | None]] = field(default_factory=Counter)

    def run(self, take: Callable[[Raw, Judged], None], progress: Progress) -> None:
        """Streams the whole file; memory holds one batch, the keys and one hash a geometry."""
        wanted = self.context.layer.geometry
        for everything in self.source.batches(self.batch_rows):
            raw = self.source.meant(everything)
            self.arrived += len(everything.lines)
            self.skipped += len(everything.lines) - len(raw.lines)
            if len(raw.lines):
                judged = judge(raw, self.context, self.source.crs)
                if self.signature:
                    self.signature.add(raw, judged.rows, self.source.found)
                judged = replace(judged, again=self.keys.add(judged.rows))
                if wanted and not wanted.may_repeat:
                    self.shapes.add(judged)
                self.quarantined += int((~judged.good).sum())
                self.counts.update(judged.found.counts())
                take(raw, judged)
            progress(self.arrived, self.source.features)

    @property
    def evidence(self) -> str | None:
        """What shows that the coordinates are where they should be; known at the end."""
        return self.signature.said if self.signature else None

    def afterwards(self, before: int | None) -> Found:
        """What the whole delivery shows; raises GuardError when it must not be published."""
        if self.signature:
            self.signature.judge(self.source.found)
        account = Account(arrived=self.arrived, skipped=self.skipped)
        found = guard(account, self.context, before, self.source.label)
        if self.skipped and self.context.feed.source.where:
            where = self.context.feed.source.where
            other = "has a value" if where.empty else "is not among those taken"
            detail = f"{where.column} {other}"
            found.whole("rows.skipped", value=self.skipped, detail=detail)
        found.extend(self.source.warned())
        found.extend(self.shapes.doubled())
        return found


@contextmanager
def passing(
    path: Path, context: Context, batch_rows: int, known: Connection | None = None
) -> Iterator[tuple[Pass, Found]]:
    """Opens ``path`` for one way through it, with what was found before any row is read.

    ``known`` is the database to compare with, where there is one.
    """
    declared = context.feed.source
    with container.opened(path, declared.encoding, declared.member) as arrival:
        wants = context.layer.geometry.type if context.layer.geometry else None
        source = open_source(arrival, context.feed, context.city, wants=wants)
        found = source.found
        found.extend(survey(source.names, context, arrival.label))
        signature = _signature(source, context, known)
        yield Pass(source, context, batch_rows, Keys(context.layer), signature), found


def _signature(source: Source, context: Context, known: Connection | None) -> Signature | None:
    if source.crs is None:
        return None
    reference = Reference.of(known, context.schemas, context.layer) if known else None
    return Signature(context, source.crs, source.label, reference)
