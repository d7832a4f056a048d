"""Passing: one way through a file, batch by batch, and what only its end shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.db.engine import Connection
from pipeline.db.ledger import Published
from pipeline.stages import container
from pipeline.stages.agree import open_source
from pipeline.stages.batch import Found, Lines, Raw
from pipeline.stages.context import Context
from pipeline.stages.delivery import Former, row_digests, wanted_columns
from pipeline.stages.guard import guard
from pipeline.stages.judge import Judged, judge
from pipeline.stages.map import survey
from pipeline.stages.orientation import orders
from pipeline.stages.outcome import Progress
from pipeline.stages.personal import Cut
from pipeline.stages.profile import Known, Profile
from pipeline.stages.read import Source, joined, taken
from pipeline.stages.reference import Reference
from pipeline.stages.signature import FEW, MOST, Signature
from pipeline.stages.whole import Keys, Shapes


class News:
    """The few new rows of many batches, judged together: to judge a batch costs something however
    few rows it has."""

    def __init__(self, rows: int) -> None:
        """``rows``: how many make a batch."""
        self.rows = rows
        self.waiting: list[Raw] = []

    def gathered(self, raw: Raw) -> Raw | None:
        """All that wait, once they are enough."""
        if len(raw.lines):
            self.waiting.append(raw)
        return self.rest() if sum(len(one.lines) for one in self.waiting) >= self.rows else None

    def rest(self) -> Raw | None:
        """All that wait."""
        waiting, self.waiting = self.waiting, []
        return joined(waiting) if waiting else None


@dataclass
class Pass:
    """One way through a file: every batch is judged and handed to ``take``.

    ``last`` is the delivery of the feed that is published, which this one is compared with.
    """

    source: Source
    context: Context
    batch_rows: int
    keys: Keys
    profile: Profile
    last: Published | None = None
    reference: Reference | None = None
    signature: Signature | None = None
    former: Former | None = None
    shapes: Shapes = field(default_factory=Shapes)
    oriented: bool = False
    arrived: int = 0
    skipped: int = 0
    blank: int = 0
    quarantined: int = 0
    counts: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    tally: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def run(self, take: Callable[[Raw, Judged], None], progress: Progress) -> None:
        """Streams the whole file; memory holds a batch or two, the keys and a hash a geometry."""
        doubtful, news = [np.zeros(0, dtype=np.int64)], News(self.batch_rows)
        for everything in self.source.batches(self.batch_rows):
            given = self.source.given(everything)
            raw = self.source.meant(given)
            self.blank += len(everything.lines) - len(given.lines)
            self.arrived += len(everything.lines)
            self.skipped += len(everything.lines) - len(raw.lines)
            self.profile.arrived(raw)
            if self.former is not None:
                raw, doubts = self._news(raw, self.former)
                doubtful.append(doubts)
            self._judge(raw if self.former is None else news.gathered(raw), take)
            progress(self.arrived, self.source.features)
        if self.former is not None:
            self._judge(news.rest(), take)
            self._look_again(self.former, np.concatenate(doubtful), take)

    def _judge(self, raw: Raw | None, take: Callable[[Raw, Judged], None]) -> None:
        if raw is None or not len(raw.lines):
            return
        if not self.oriented:
            found = orders(raw, self.context, self.reference)
            self.context, self.oriented = replace(self.context, orders=found), True
        wanted = self.context.layer.geometry
        judged = judge(raw, self.context, self.source.crs)
        if self.signature:
            self.signature.add(raw, judged.rows, self.source.found)
        self.keys.add(judged.rows)
        if wanted and not wanted.may_repeat:
            self.shapes.add(judged)
        self.profile.judged(judged)
        self.quarantined += int((~judged.good).sum())
        self.counts.update(judged.found.counts())
        self.tally.update(judged.found.tally)
        take(raw, judged)

    def _news(self, raw: Raw, former: Former) -> tuple[Raw, Lines]:
        """The rows that have not come as they came last time, and earlier ones now in doubt."""
        digests = row_digests(raw, wanted_columns(self.context))
        same, doubtful = former.again(raw.lines, digests)
        if self.context.odd:  # What is odd about a row stands in no column that is compared.
            odd = np.isin(raw.lines, list(self.context.odd))
            former.give_back(raw.lines[odd])
            same &= ~odd
        return (raw if not same.any() else taken(raw, ~same)), doubtful

    def _look_again(
        self, former: Former, doubtful: Lines, take: Callable[[Raw, Judged], None]
    ) -> None:
        """Judges rows that came as before, but share something with one that is new."""
        lines = np.union1d(doubtful, former.in_doubt(self.keys, self.shapes))
        former.give_back(lines)
        if len(lines):
            for raw in self.source.rows_of(lines, self.batch_rows):
                self._judge(raw, take)

    @property
    def as_before(self) -> int:
        """How many rows came as they came last time."""
        return 0 if self.former is None else len(self.former.taken)

    @property
    def evidence(self) -> str | None:
        """What shows that the coordinates are where they should be; known at the end."""
        return self.signature.said if self.signature else None

    def afterwards(self) -> Found:
        """What the whole delivery shows; raises GuardError when it must not be published."""
        if self.signature:
            self.signature.judge(self.source.found)
        self.profile.size += 0.0 if self.former is None else self.former.size
        meant = self.arrived - self.skipped
        found = guard(meant, self.profile, self.context, self.last, self.source.label)
        found.extend(self.profile.heights())
        found.extend(self._left_out())
        found.tell(self.tally)
        if self.tally and self.as_before:
            found.whole("code.as_before", value=self.as_before, detail=meant - self.as_before)
        found.extend(self.source.warned())
        doubled, self.twins = self.shapes.doubled()
        found.extend(doubled)
        return found

    def _left_out(self) -> Found:
        """Why rows were skipped."""
        found, where = Found(), self.context.feed.source.where
        if self.blank:
            found.whole("rows.blank", value=self.blank)
        if where and self.skipped > self.blank:
            other = "has a value" if where.empty else "is not among those taken"
            detail = f"{where.column} {other}"
            found.whole("rows.skipped", value=self.skipped - self.blank, detail=detail)
        return found


@contextmanager
def passing(
    path: Path,
    context: Context,
    batch_rows: int,
    known: Connection | None = None,
    last: Published | None = None,
    former: Callable[[], Former | None] = lambda: None,
) -> Iterator[tuple[Pass, Found]]:
    """Opens ``path`` for one way through it, with what was found before any row is read.

    ``known`` is the database to compare with, where there is one, ``last`` the delivery of the
    feed that is published. Rows that are as they were in the ``former`` one are not judged again.
    """
    last = None if context.corrects else last
    with _opened(path, context) as source:
        try:
            found = source.found
            consumed = {*context.feed.ignore, *source.layer.drawn}
            found.extend(survey(source.names, context, source.label, last, consumed))
            source.cut = Cut.of(context)
            source.begin(batch_rows)
            reference = Reference.of(known, context.schemas, context.layer) if known else None
            came, signature = former(), None
            if source.crs is not None:
                # Rows that came as they came before show that the file's CRS is what it was.
                most = MOST if came is None else FEW
                signature = Signature(context, source.crs, source.label, reference, most)
            work = Pass(
                source,
                replace(context, odd=source.layer.odd),
                batch_rows,
                Keys(context.layer),
                Profile(context, Known.read(last.profile) if last else None, source.crs),
                last,
                reference,
                signature,
                came,
            )
            yield work, found
        finally:
            source.end()


@contextmanager
def _opened(path: Path, context: Context) -> Iterator[Source]:
    """The rows of the file as it is, or as its drawn lines are made into areas."""
    declared = context.feed.source
    if context.feed.cad is not None:
        # Only here: drawings need a library of their own.
        from pipeline.stages.sheets import assembled

        with assembled(path, context, context.feed.cad) as source:
            yield source
        return
    with container.opened(path, declared.encoding, declared.member, declared.header) as arrival:
        shape = context.layer.geometry
        yield open_source(
            arrival, context.feed, context.city,
            wants=shape.type if shape else None, needs=bool(shape and shape.required),
        )  # fmt: skip
