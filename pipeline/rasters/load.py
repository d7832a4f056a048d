"""Takes one raster in: inspect, copy, resample if needed, COG, register; wholly or not at all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.db import ledger, quality, sources
from pipeline.db.arrival import Arrival, fingerprint
from pipeline.db.engine import Database
from pipeline.db.ledger import Account, Connection
from pipeline.errors import MakanError, ResourceError
from pipeline.findings import Catalog, Finding
from pipeline.rasters import cog, disk, plain, register, sidecars, warp
from pipeline.rasters.cog import Cog
from pipeline.rasters.inspect import Inspection, Job, inspect
from pipeline.rasters.opening import FAULTS
from pipeline.rasters.register import Source
from pipeline.rasters.scan import Progress
from pipeline.rasters.shelf import Shelf

PLAIN = "plain.tif"
WARPED = "warped.tif"
_COG = "cog.tif"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one file ended: done, unchanged or refused; ``path`` is its COG below MAKAN_HOME."""

    run: int
    layer: str
    sheet: str
    file: str
    status: ledger.Status
    findings: tuple[Finding, ...] = ()
    path: str | None = None
    replaced: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Preparation:
    """A file to be checked and made a COG in ``folder``: what needs no database, so any machine
    that reaches both can do it."""

    job: Job
    folder: Path

    def __str__(self) -> str:
        return self.job.path.name


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of it; ``error`` is what stopped it, to be told by the run of the file."""

    found: Inspection | None
    made: Cog | None
    error: MakanError | None = None


def prepare(task: Preparation) -> Prepared:
    """Checks the file and makes its COG, unless it is refused."""
    try:
        task.folder.mkdir(parents=True, exist_ok=True)
        return _prepared(task.job, Catalog.load(), task.folder, None)
    except MakanError as error:
        return Prepared(None, None, error)


def _prepared(job: Job, catalog: Catalog, folder: Path, progress: Progress | None) -> Prepared:
    found = inspect(job, catalog, folder / PLAIN, progress)
    return Prepared(found, make_cog(job, found, folder) if found.accepted(catalog) else None)


def is_known(database: Database, home: Path, job: Job) -> bool:
    """Whether the very same file is in force already; ArrivalError if there is no such file."""
    shelf, source = Shelf(home, job.contract.id), _source(job, fingerprint(job.path))
    with database.connect("loader") as connection:
        return register.unchanged(connection, shelf, job.subject.sheet, source) is not None


def _source(job: Job, arrived: Arrival) -> Source:
    return Source(arrived.sha256, _beside(job.path), job.digest, job.declared.acquired)


def load(
    database: Database,
    home: Path,
    job: Job,
    catalog: Catalog,
    progress: Progress | None = None,
    prepared: Prepared | None = None,
) -> Outcome:
    """Loads ``job``; what clients get changes only with ``serve.publish``.

    ``prepared``: what ``prepare`` made of it on the disk of ``home``, if that is done already.

    Raises ArrivalError (no file), ResourceError (disk), DatabaseError; then the run is recorded as
    failed and nothing is in force that was not before.
    """
    began = time.monotonic()
    arrived = fingerprint(job.path)
    shelf = Shelf(home, job.contract.id)
    source = _source(job, arrived)
    with database.connect("loader", autocommit=True) as connection:
        run = ledger.start(
            connection, arrived, kind="raster", layer=shelf.layer, contract=source.digest
        )
        with _recorded(connection, run):
            before = register.unchanged(connection, shelf, job.subject.sheet, source)
            if before is not None:
                if job.made_of is not None:
                    # Other rows have made the same heights.
                    with connection.transaction():
                        sources.enter(connection, before, job.made_of)
                told = f"the same file as in run {before}"
                account = Account(arrived=1, unchanged=1)
                ledger.finish(connection, run, "unchanged", account, message=told)
                return _outcome(run, job, "unchanged", began)
            work = _Work(job, shelf, source, catalog, began)
            with shelf.work() as folder:
                ready = prepared or _prepared(job, catalog, folder, progress)
                if ready.error is not None:
                    raise ready.error
                return _take(connection, run, work, ready)


@dataclass(frozen=True, slots=True)
class _Work:
    """What stays the same through one load."""

    job: Job
    shelf: Shelf
    source: Source
    catalog: Catalog
    began: float


def _take(connection: Connection, run: int, work: _Work, ready: Prepared) -> Outcome:
    job, found = work.job, ready.found
    if found is None or ready.made is None:
        found = found or Inspection(())
        register.findings(connection, run, found.findings, work.catalog)
        account = Account(arrived=1, quarantined=1)
        ledger.finish(connection, run, "refused", account, message=_why(found, work.catalog))
        return _outcome(run, job, "refused", work.began, found)
    place = work.shelf.place(job.subject.sheet, run)
    replaced = _put_in_force(connection, run, work, found, (ready.made, place))
    done = _outcome(run, job, "done", work.began, found)
    return replace(done, path=work.shelf.relative(place), replaced=replaced)


def make_cog(job: Job, found: Inspection, folder: Path) -> Cog:
    """The COG of the checked copy that ``inspect`` wrote into ``folder`` as ``PLAIN``."""
    placed = found.placement
    source = folder / PLAIN
    _must_hold(source, found.valid)
    if placed is not None and placed.is_resampled:
        with disk.writing(folder / WARPED):
            warp.warp(source, folder / WARPED, job.contract, placed, job.city)
        source.unlink()
        source = folder / WARPED
    return cog.write(source, folder / _COG, job.contract.encoding)


def _must_hold(copy: Path, valid: int) -> None:
    """The checked copy has as many valid pixels as were read: no write was lost."""
    try:
        kept = plain.count_valid(copy)
    except FAULTS as error:
        raise ResourceError("the checked copy cannot be read back", where=copy.name) from error
    if kept != valid:
        raise ResourceError(
            f"the checked copy holds {kept:,} valid pixels, {valid:,} were read",
            todo="Check the disk and run the command again; nothing was loaded.",
        )


def _put_in_force(
    connection: Connection, run: int, work: _Work, found: Inspection, made: tuple[Cog, Path]
) -> bool:
    """Moves the COG to its place and registers it, or leaves neither; True if it replaces one."""
    finished, place = made
    path = work.shelf.relative(place)
    try:
        with connection.transaction():
            register.lock(connection, work.shelf.layer)
            with disk.writing(place):
                disk.publish(finished.path, place)
            entry = (work.source, finished, path)
            replaced = register.register(connection, run, work.job, found, entry)
            register.findings(connection, run, found.findings, work.catalog)
            account = Account(arrived=1, inserted=int(not replaced), updated=int(replaced))
            ledger.finish(connection, run, "done", account)
            quality.measure_sheet(connection, run)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return replaced


@contextmanager
def _recorded(connection: Connection, run: int) -> Iterator[None]:
    """A run that ends in an error, or by Ctrl-C, is recorded as failed."""
    try:
        yield
    except BaseException as error:
        told = str(error) if isinstance(error, MakanError) else type(error).__name__
        if not connection.closed:
            ledger.finish(connection, run, "failed", message=told)
        raise


def _why(found: Inspection, catalog: Catalog) -> str:
    errors = [f for f in found.findings if catalog.severity(f.code) == "error"]
    return "; ".join(catalog.message(finding) for finding in errors)


def _beside(path: Path) -> str | None:
    """SHA-256 over the files beside the raster that are used with it, None if there are none."""
    files = sidecars.read(path).files
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest() if files else None


def _outcome(
    run: int, job: Job, status: ledger.Status, began: float, found: Inspection | None = None
) -> Outcome:
    seconds = round(time.monotonic() - began, 3)
    findings = found.findings if found else ()
    subject = job.subject
    file = str(job.path)
    return Outcome(run, subject.layer, subject.sheet, file, status, findings, seconds=seconds)
