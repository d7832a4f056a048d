"""Job: composes the stages for one file, keeps the account, and lets nothing be half-loaded."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from psycopg import sql

from pipeline.db import ledger, quality, queries
from pipeline.db.arrival import Arrival
from pipeline.db.engine import Connection, Database
from pipeline.db.ledger import Account, Published
from pipeline.derive.columns import DATA, HISTORY
from pipeline.errors import GuardError
from pipeline.stages import delivery, original, overtaken
from pipeline.stages.batch import Found, Lines, Raw
from pipeline.stages.context import Context
from pipeline.stages.delivery import Carried, Former, Record
from pipeline.stages.fill import Fill
from pipeline.stages.guard import overridden
from pipeline.stages.held import not_backwards
from pipeline.stages.judge import Judged, judge
from pipeline.stages.lineage import lost
from pipeline.stages.merge import Merge
from pipeline.stages.outcome import Outcome, Progress
from pipeline.stages.passing import Pass, passing
from pipeline.stages.personal import keep as keep_personal
from pipeline.stages.record import Recorder
from pipeline.stages.target import Merged, Target
from pipeline.stages.write import Writer


@dataclass
class Job:
    """The writing half of one load."""

    database: Database
    connection: Connection
    context: Context
    run: int
    before: Published | None
    carried: Carried | None = None

    def run_file(
        self, arrived: Arrival, batch_rows: int, progress: Progress, former: Future[Former | None]
    ) -> Outcome:
        """Judges and hands on every row, then the whole; the account closes or nothing changes.

        ``former`` is fetched while the file is opened.
        """
        path = arrived.path
        writer, record = Writer(self.database), Record(self.context)
        recorder = Recorder(writer, self.connection, self.context, self.run)
        older = not_backwards(self.connection, self.context, path.name)
        target = self._target(writer)
        with (
            passing(
                path, self.context, batch_rows, self.connection, self.before, former.result
            ) as (work, found),
            writer.open(),
            target.open() as transaction,
            writer.settled(),
        ):
            recorder.crs = work.source.crs

            def write(raw: Raw, judged: Judged, written: pa.Table | None) -> None:
                target.add(judged)
                recorder.batch(raw, judged)
                original.keep(transaction, self.run, written)
                if raw.personal is not None:
                    keep_personal(transaction, self.context, self.run, raw, judged)

            def take(raw: Raw, judged: Judged) -> None:
                # The database is what is waited for: writing does nothing that is not its.
                written = original.originals(raw, judged, self.context)
                writer.later(partial(write, raw, judged, written))
                record.add(raw, judged.found, judged.sizes)

            work.run(take, progress)
            writer.wait()
            arrived.refuse_changed()
            found.extend(older)
            found.extend(work.afterwards())
            self._tell_coordinates(work)
            aside = self._set_doubled_aside(work, recorder)
            target.remove(aside)
            gone = None if work.former is None else work.former.gone(work.keys)
            clashing, lines = self._set_clashing_aside(work, recorder, target, gone)
            found.extend(clashing)
            aside = np.append(aside, lines)
            recorder.findings(found, work.keys)
            work.counts.update(found.counts())
            writer.later(partial(self._keep, writer, record, work, np.append(aside, work.twins)))
            account = self._account(work, target.finish(self._quarantined_keys(), gone), recorder)
            writer.wait()
            if self.carried is not None and self.before is not None:
                delivery.carry(transaction, self.before.id, self.run, self.carried)
            if account.removed:
                gone_for_good = lost(transaction, self.context, self.run, path.name)
                recorder.findings(gone_for_good, work.keys)
                work.counts.update(gone_for_good.counts())
                found.extend(gone_for_good)
            self._close(transaction, work, found, account, forgets=bool(len(aside)))
        return Outcome(
            self.context.feed.id, self.context.layer.id, str(path), "done", account, work.counts,
            crs_evidence=work.evidence,
        )  # fmt: skip

    def _close(
        self, transaction: Connection, work: Pass, found: Found, account: Account, *, forgets: bool
    ) -> None:
        """What the ledger says of the run, and what only it needed until now: ``forgets`` tells
        that good rows were set aside after all."""
        work.counts.update(overtaken.tell(transaction, self.run, self.context))
        if forgets or account.unchanged > work.as_before:
            original.forget_unused(transaction, self.run, self.context)
        delivery.forget_earlier(transaction, self.run)
        ledger.finish(transaction, self.run, "done", account)
        quality.measure(transaction, self.run, self.context.layer)
        profile, accepted = work.profile.known().stored(), overridden(found, self.context)
        ledger.keep_profile(transaction, self.run, profile, accepted)

    def _tell_coordinates(self, work: Pass) -> None:
        """The ledger keeps how coordinates came here and what shows that they are right."""
        if work.source.crs is not None:
            operation = str(self.context.city.operation(work.source.crs))
            ledger.coordinates(
                self.connection, self.run, operation=operation, evidence=work.evidence
            )

    def _keep(self, writer: Writer, record: Record, work: Pass, unclean: Lines) -> None:
        """What the next delivery is compared with; it counts only if this run ends well."""
        rows = record.table(work.keys, work.shapes, unclean)
        if work.former is not None:
            self.carried = work.former.carried(rows)
            if self.carried is not None:
                return
            rows = pa.concat_tables([work.former.taken_over(), rows])
        delivery.keep(writer.connection, self.run, rows)

    def _target(self, writer: Writer) -> Target:
        layer = self.context.layer.id
        query = sql.SQL(queries.load("fill")["is_new"]).format(
            target=sql.Identifier(DATA, layer), history=sql.Identifier(HISTORY, layer)
        )
        row = self.connection.execute(query).fetchone()
        if row and row[0]:
            return Fill(self.database, self.context, self.run)
        return Merge(writer, self.connection, self.context, self.run)

    def _set_doubled_aside(self, work: Pass, recorder: Recorder) -> Lines:
        """Rows that share a key are set aside together: which is right is not ours to say.

        Returns the lines of those that were good until now.
        """
        doubled = work.keys.doubled()
        work.counts.update(doubled.counts())
        recorder.findings(doubled, work.keys)
        lines = np.unique(np.array(doubled.line, dtype=np.int64))
        if not len(lines):
            return lines
        fresh = np.setdiff1d(lines, recorder.in_quarantine(lines))
        self._set_aside(work, recorder, lines, "key.duplicate")
        return fresh

    def _set_clashing_aside(
        self, work: Pass, recorder: Recorder, target: Target, gone: list[str] | None
    ) -> tuple[Found, Lines]:
        """Rows that contradict others, which the database would refuse with all the rest, are set
        aside; what was published under their keys stays. What is told of them, and their lines."""
        told, aside = Found(), np.zeros(0, dtype=np.int64)
        # What stays for one that is set aside may contradict another.
        while self.context.layer.guards:
            found = target.clashing(self._quarantined_keys(), gone)
            lines = np.unique(np.array(found.line, dtype=np.int64))
            if not len(lines):
                break
            for code in dict.fromkeys(found.code):
                self._set_aside(work, recorder, found.lines_of(frozenset({code})), code)
            target.remove(lines)
            told.extend(found)
            aside = np.append(aside, lines)
        return told, aside

    def _set_aside(self, work: Pass, recorder: Recorder, lines: Lines, reason: str) -> None:
        """Good rows go to quarantine after all, as they arrived; once each."""
        known = recorder.in_quarantine(lines)
        recorder.one_more_reason(reason, known)
        lines = np.setdiff1d(lines, known)
        keys = work.keys.of(lines)
        reasons = {int(line): [reason] for line in lines}
        for raw in work.source.rows_of(lines, work.batch_rows):
            drawn = judge(raw, self.context, work.source.crs).wkb
            recorder.quarantine(raw, reasons, keys, drawn)

    def _account(self, work: Pass, merged: Merged, recorder: Recorder) -> Account:
        """Counts come from the database, so that the account can fail to close."""
        account = Account(
            arrived=work.arrived,
            skipped=work.skipped,
            inserted=merged.inserted,
            updated=merged.updated,
            unchanged=merged.unchanged + work.as_before,
            quarantined=recorder.quarantined,
            removed=merged.removed,
        )
        if not account.closes or merged.unchanged < 0:
            raise GuardError(
                f"the account does not close: {account}", todo="Nothing was published."
            )
        return account

    def _quarantined_keys(self) -> list[str]:
        query = queries.load("stage")["quarantined_keys"]
        rows = self.connection.execute(query, {"run": self.run}).fetchall()
        return [str(row[0]) for row in rows]
