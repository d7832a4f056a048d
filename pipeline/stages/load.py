"""Load: whether a file is to be loaded at all, and the ledger's account of how that ended.

What reads, judges and writes it (``stages/job.py``) takes a while to import. It is asked for while
the file is hashed, and not at all for a file that was loaded before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from datetime import time as clock
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psycopg

from pipeline.contracts.registry import Schemas
from pipeline.db import deferred, ledger, queries
from pipeline.db.arrival import Arrival, fingerprint, looks, refuse_changed
from pipeline.db.city import check_city
from pipeline.db.engine import Connection, Database
from pipeline.db.ledger import Account, Published
from pipeline.db.ready import ReadyDatabase
from pipeline.errors import GuardError, MakanError, SettingsError
from pipeline.findings import Catalog
from pipeline.stages.context import Context
from pipeline.stages.outcome import Outcome, Progress

if TYPE_CHECKING:
    from pipeline.stages.delivery import Former

#: The last is all that a load needs, those before it the longest of what it needs.
_HEAVY = ("numpy", "pyarrow.compute", "shapely", "pyproj", "pipeline.stages.job")

# One commits as it goes, the other at the end.
_CONNECTIONS = 2


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
        from pipeline.dates import placed

        valid_from = placed(valid_from, schemas.city.timezone)
    return Context(
        schemas, Catalog.load(), found, schemas.layer(found.layer), accept=accept,
        valid_from=valid_from, renumber=renumber or found.renumber,
    )  # fmt: skip


def check(
    path: Path,
    context: Context,
    *,
    batch_rows: int,
    progress: Progress,
    known: Connection | None = None,
) -> Outcome:
    """Everything a load does but write; needs no database, but compares with one that is given."""
    from pipeline.stages.passing import passing

    begun, looked = time.monotonic(), looks(path)
    with passing(path, context, batch_rows, known) as (work, found):
        bad: set[int] = set()
        work.run(lambda raw, judged: bad.update(raw.lines[~judged.good].tolist()), progress)
        refuse_changed(path, looked)
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
        database.connect("loader", autocommit=True) as connection,
        closing(ReadyDatabase(database, context.layer)) as ready,
        # Inside: what it still asks of the connections ends before those are closed.
        ThreadPoolExecutor(2, thread_name_prefix="makan-early") as early,
    ):
        hashed, digest = early.submit(fingerprint, path), context.contract_digest
        check_city(connection, context.schemas)
        ledger.lock(connection, context.layer.id)
        before = ledger.published(connection, layer=context.layer.id, feed=context.feed.id)
        former = early.submit(_former, database, context, before, hashed)
        prepared = early.submit(_prepare, ready, connection, before, hashed, digest)
        _import_meanwhile(hashed, surely=not before or not before.may_be(path, digest))
        arrived = hashed.result()
        run = ledger.start(
            connection, arrived, kind="load", layer=context.layer.id, contract=digest,
            feed=context.feed.id,
        )  # fmt: skip
        _clear_abandoned(connection, context, run)
        deferred.make(database, connection, context.layer.id)
        if before and before.is_same(arrived, digest):
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
            from pipeline.stages.job import Job

            with _told_in_ledger(connection, run):
                # What is looked up needs locks that the filling of an empty layer holds on to.
                prepared.result()
                job = Job(ready, connection, context, run, before)
                outcome = job.run_file(arrived, batch_rows, progress, former)
            deferred.make(database, connection, context.layer.id)
    return replace(outcome, run=run, seconds=time.monotonic() - begun)


def _import_meanwhile(hashed: Future[Arrival], *, surely: bool) -> None:
    """While the file is hashed, imports what its rows will need, piece by piece: ``surely``, or
    until it is known whether they will need anything."""
    for name in _HEAVY:
        if hashed.done() and not surely:
            return
        import_module(name)


def _prepare(
    ready: ReadyDatabase,
    connection: Connection,
    before: Published | None,
    hashed: Future[Arrival],
    digest: str,
) -> None:
    """Connections for a file that is to be loaded; runs beside the import."""
    if not (before and before.is_same(hashed.result(), digest)):
        ready.prepare(_CONNECTIONS)
        with suppress(psycopg.Error):
            ready.look_up(connection)


def _former(
    database: Database, context: Context, before: Published | None, hashed: Future[Arrival]
) -> Former | None:
    """The delivery before, if this one is another, and what is published is still what that one
    brought. Runs beside the import."""
    if before is None or not before.stands(context.contract_digest):
        return None
    if hashed.result().sha256 == before.file_sha256:
        return None
    # A connection of its own: until its megabytes are here, others can ask nothing of it.
    with database.connect("loader") as own:
        from pipeline.stages import delivery

        return delivery.former(own, before.id, context)


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
        from pipeline.stages.stage import Staging

        Staging.drop(connection, str(name))
