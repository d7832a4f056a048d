"""Load: composes the stages for one file, keeps the account, and lets nothing be half-loaded."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from datetime import time as clock
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.contracts.registry import Schemas
from pipeline.dates import placed
from pipeline.db import deferred, ledger, quality, queries
from pipeline.db.city import check_city
from pipeline.db.engine import Connection, Database
from pipeline.db.ledger import Account, Published
from pipeline.derive.columns import DATA
from pipeline.errors import GuardError, MakanError, SettingsError
from pipeline.findings import Catalog
from pipeline.stages import delivery, original, overtaken
from pipeline.stages.batch import Context, Lines, Raw
from pipeline.stages.delivery import Former, Record
from pipeline.stages.fill import Fill
from pipeline.stages.guard import overridden
from pipeline.stages.held import not_backwards
from pipeline.stages.judge import Judged, judge
from pipeline.stages.lineage import lost
from pipeline.stages.merge import Merge
from pipeline.stages.passing import Pass, passing
from pipeline.stages.passing import Progress as Progress
from pipeline.stages.personal import keep as keep_personal
from pipeline.stages.record import Recorder
from pipeline.stages.stage import Staging
from pipeline.stages.target import Merged, Target
from pipeline.stages.write import Writer


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


def context_for(
    schemas: Schemas,
    feed: str,
    *,
    accept: frozenset[str] = frozenset(),
    valid_from: datetime | None = None,
    renumber: bool = False,
) -> Context:
    """What the stages need to know to take a file of ``feed``; ``accept`` names guards.

    ``valid_from`` and ``renumber`` say of this file what the feed does not say of all.
    """
    found = schemas.feed(feed)
    if renumber and schemas.layer(found.layer).lineage is None:
        raise SettingsError(f"{found.layer} keeps no former codes", todo="Leave --renumber out.")
    if valid_from is None and found.valid_from is not None:
        valid_from = datetime.combine(found.valid_from, clock.min)
    if valid_from is not None:
        valid_from = placed(valid_from, schemas.city.timezone)
    return Context(
        schemas, Catalog.load(), found, schemas.layer(found.layer), accept=accept,
        valid_from=valid_from, renumber=renumber or found.renumber,
    )  # fmt: skip


def contract_digest(context: Context) -> str:
    """SHA-256 of layer, city, code lists and feed: with the file's it decides what a load does."""
    text = context.schemas.digest(context.layer.id) + context.feed.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest()


def check(
    path: Path,
    context: Context,
    *,
    batch_rows: int,
    progress: Progress,
    known: Connection | None = None,
) -> Outcome:
    """Everything a load does but write; needs no database, but compares with one that is given."""
    begun = time.monotonic()
    with passing(path, context, batch_rows, known) as (work, found):
        bad: set[int] = set()
        work.run(lambda raw, judged: bad.update(raw.lines[~judged.good].tolist()), progress)
        found.extend(work.afterwards())
        doubled = work.keys.doubled()
        found.extend(doubled)
        bad.update(doubled.line)
    work.counts.update(found.counts())
    good = work.arrived - work.skipped - len(bad)
    account = Account(work.arrived, work.skipped, inserted=good, quarantined=len(bad))
    return Outcome(
        context.feed.id, context.layer.id, str(path), "checked", account, work.counts,
        seconds=time.monotonic() - begun, crs_evidence=work.evidence,
    )  # fmt: skip


def load(
    database: Database, path: Path, context: Context, *, batch_rows: int, progress: Progress
) -> Outcome:
    """Loads ``path`` as ``context.feed`` says: wholly or not at all.

    Raises MakanError; the ledger then has the run as refused or failed, and what was published
    before is untouched.
    """
    begun = time.monotonic()
    with (
        ThreadPoolExecutor(1, thread_name_prefix="makan-early") as early,
        database.connect("loader", autocommit=True) as connection,
    ):
        hashed, digest = early.submit(ledger.arrival, path), contract_digest(context)
        check_city(connection, context.schemas)
        ledger.lock(connection, context.layer.id)
        before = ledger.published(connection, layer=context.layer.id, feed=context.feed.id)
        arrival = hashed.result()
        run = ledger.start(
            connection, arrival, kind="load", layer=context.layer.id, contract=digest,
            feed=context.feed.id,
        )  # fmt: skip
        _clear_abandoned(connection, context, run)
        deferred.make(database, connection, context.layer.id)
        if before and before.is_same(arrival, digest):
            message = f"the same file as in run {before.id}"
            ledger.finish(connection, run, "unchanged", message=message)
            outcome = Outcome(
                context.feed.id,
                context.layer.id,
                str(path),
                "unchanged",
                Account(),
                message=message,
            )
        else:
            with _told_in_ledger(connection, run):
                job = Job(database, connection, context, run, before)
                former = early.submit(job.former)
                outcome = job.run_file(path, batch_rows, progress, former)
            deferred.make(database, connection, context.layer.id)
    return replace(outcome, run=run, seconds=time.monotonic() - begun)


@contextmanager
def _told_in_ledger(connection: Connection, run: int) -> Iterator[None]:
    """Whatever stops a run, the ledger says so, if the database can still be told."""
    try:
        yield
    except BaseException as error:
        status: Literal["refused", "failed"] = (
            "refused" if isinstance(error, GuardError) else "failed"
        )
        said = str(error) if isinstance(error, MakanError) else type(error).__name__
        with suppress(psycopg.Error):
            ledger.finish(connection, run, status, message=said)
        raise


def _clear_abandoned(connection: Connection, context: Context, run: int) -> None:
    """What a killed load left behind; we hold the layer's lock, so nobody works on it."""
    named, values = queries.load("stage"), {"layer": context.layer.id, "run": run}
    connection.execute(queries.load("ledger")["fail_abandoned"], values)
    for (name,) in connection.execute(named["abandoned"], values).fetchall():
        Staging.drop(connection, str(name))


@dataclass
class Job:
    """The writing half of one load."""

    database: Database
    connection: Connection
    context: Context
    run: int
    before: Published | None

    def run_file(
        self, path: Path, batch_rows: int, progress: Progress, former: Future[Former | None]
    ) -> Outcome:
        """Judges and hands on every row, then the whole; the account closes or nothing changes.

        ``former`` is fetched while the file is opened.
        """
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
        ):
            recorder.crs = work.source.crs

            def write(raw: Raw, judged: Judged) -> None:
                target.add(judged)
                recorder.batch(raw, judged)
                record.add(raw, judged.found, judged.sizes)
                original.keep(transaction, self.run, raw, judged, self.context)
                if raw.personal is not None:
                    keep_personal(transaction, self.context, self.run, raw, judged)

            work.run(lambda *batch: writer.later(partial(write, *batch)), progress)
            writer.wait()
            found.extend(older)
            found.extend(work.afterwards())
            self._tell_coordinates(work)
            doubled = self._set_doubled_aside(work, recorder)
            target.remove(doubled)
            recorder.findings(found, work.keys)
            work.counts.update(found.counts())
            writer.later(partial(self._keep, writer, record, work, np.append(doubled, work.twins)))
            gone = None if work.former is None else work.former.gone(work.keys)
            account = self._account(work, target.finish(self._quarantined_keys(), gone), recorder)
            writer.wait()
            if account.removed:
                gone_for_good = lost(transaction, self.context, self.run, path.name)
                recorder.findings(gone_for_good, work.keys)
                work.counts.update(gone_for_good.counts())
                found.extend(gone_for_good)
            work.counts.update(overtaken.tell(transaction, self.run, self.context))
            if len(doubled) or account.unchanged > work.as_before:
                original.forget_unused(transaction, self.run, self.context)
            delivery.forget_earlier(transaction, self.run)
            ledger.finish(transaction, self.run, "done", account)
            quality.measure(transaction, self.run, self.context.layer)
            profile, accepted = work.profile.known().stored(), overridden(found, self.context)
            ledger.keep_profile(transaction, self.run, profile, accepted)
        return Outcome(
            self.context.feed.id, self.context.layer.id, str(path), "done", account, work.counts,
            crs_evidence=work.evidence,
        )  # fmt: skip

    def _tell_coordinates(self, work: Pass) -> None:
        """The ledger keeps how coordinates came here and what shows that they are right."""
        if work.source.crs is not None:
            operation = str(self.context.city.operation(work.source.crs))
            ledger.coordinates(
                self.connection, self.run, operation=operation, evidence=work.evidence
            )

    def former(self) -> Former | None:
        """The delivery before, if what is published is still what it brought.

        Rows that are known by their place in the file have no former self, and of persons we keep
        nothing that could be compared.
        """
        if self.context.personal or any(column.row for column in self.context.columns):
            return None
        if self.before is None or not self.before.stands(contract_digest(self.context)):
            return None
        return delivery.former(self.connection, self.before.id, self.context)

    def _keep(self, writer: Writer, record: Record, work: Pass, unclean: Lines) -> None:
        """What the next delivery is compared with; it counts only if this run ends well."""
        rows = record.table(work.keys, work.shapes, unclean)
        if work.former is not None:
            rows = pa.concat_tables([work.former.taken_over(), rows])
        delivery.keep(writer.connection, self.run, rows)

    def _target(self, writer: Writer) -> Target:
        query = sql.SQL(queries.load("fill")["is_empty"]).format(
            target=sql.Identifier(DATA, self.context.layer.id)
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
        known = recorder.in_quarantine(lines)
        recorder.one_more_reason("key.duplicate", known)
        fresh = np.setdiff1d(lines, known)
        keys = work.keys.of(fresh)
        reasons = {int(line): ["key.duplicate"] for line in fresh}
        for raw in work.source.rows_of(fresh, work.batch_rows):
            drawn = judge(raw, self.context, work.source.crs).wkb
            recorder.quarantine(raw, reasons, keys, drawn)
        return fresh

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
