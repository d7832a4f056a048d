"""The ledger: one row a run, with its file, its account and how it ended."""

from __future__ import annotations

import getpass
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from pipeline import __version__
from pipeline.db import queries
from pipeline.db.arrival import Arrival, parts
from pipeline.errors import DatabaseError, SettingsError

Connection = psycopg.Connection[tuple[object, ...]]
Status = Literal["done", "unchanged", "refused", "failed"]
_PATIENCE_S, _PAUSE_S = 1.5, 0.1


@dataclass(frozen=True, slots=True)
class Account:
    """Where every arrived row went. It closes when arrived is the sum of the next five."""

    arrived: int = 0
    skipped: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    removed: int = 0

    @property
    def closes(self) -> bool:
        """Whether every arrived row is accounted for."""
        placed = self.inserted + self.updated + self.unchanged
        return self.arrived == self.skipped + placed + self.quarantined

    @property
    def changes(self) -> bool:
        """Whether anything published became different."""
        return self.inserted + self.updated + self.removed > 0


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the ledger."""

    id: int
    kind: str
    feed: str | None
    layer: str
    status: str
    file: str
    file_sha256: str
    started: str
    seconds: float | None
    who: str
    arrived: int
    skipped: int
    inserted: int
    updated: int
    unchanged: int
    quarantined: int
    removed: int
    message: str | None
    crs_operation: str | None
    crs_evidence: str | None
    along: int | None

    @property
    def account(self) -> Account:
        """The run's account."""
        return Account(**{field.name: getattr(self, field.name) for field in fields(Account)})


def start(
    connection: Connection,
    found: Arrival,
    *,
    kind: Literal["load", "raster", "fabric", "derive"],
    layer: str,
    contract: str,
    feed: str | None = None,
) -> int:
    """Writes that a run of ``layer`` has begun; ``contract`` is the digest it is judged by."""
    row = connection.execute(
        queries.load("ledger")["start"],
        {
            "kind": kind,
            "feed": feed,
            "layer": layer,
            "file": str(found.path),
            "sha256": found.sha256,
            "size": found.size,
            "contract": contract,
            "code": __version__,
            "who": getpass.getuser(),
        },
    ).fetchone()
    return int(str(row[0])) if row else 0


def finish(
    connection: Connection,
    run: int,
    status: Status,
    account: Account | None = None,
    *,
    message: str | None = None,
) -> None:
    """Writes how the run ended; the database refuses an account that does not close."""
    values = {"run": run, "status": status, "message": message, **asdict(account or Account())}
    connection.execute(queries.load("ledger")["finish"], values)


def publish(connection: Connection, valid_from: datetime | None, run: int) -> None:
    """From here to the end of the transaction ``run`` alone publishes, under the next number.

    What it brings holds from ``valid_from`` on, or from now.
    """
    values = {"run": run, "holds_from": valid_from}
    connection.execute(queries.load("ledger")["publish"], values)


def undo(connection: Connection, layer: str, message: str) -> int:
    """Enters that a load of ``layer`` is being undone; the number of the run that does it."""
    values = {"layer": layer, "code": __version__, "who": getpass.getuser(), "message": message}
    row = connection.execute(queries.load("ledger")["undo"], values).fetchone()
    return int(str(row[0])) if row else 0


def along(connection: Connection, layer: str, run: int) -> int:
    """Enters that ``run`` changes another layer along with its own; the number of that run."""
    values = {"layer": layer, "run": run, "rows": 0}
    row = connection.execute(queries.load("ledger")["along"], values).fetchone()
    return int(str(row[0])) if row else 0


def unpublish(connection: Connection, run: int) -> None:
    """The run has changed nothing after all."""
    connection.execute(queries.load("ledger")["unpublish"], {"run": run})


def coordinates(
    connection: Connection, run: int, *, operation: str | None = None, evidence: str | None = None
) -> None:
    """Keeps how coordinates came into the city's CRS, and what shows that they are right."""
    values = {"run": run, "operation": operation, "evidence": evidence}
    connection.execute(queries.load("ledger")["coordinates"], values)


def keep_profile(
    connection: Connection, run: int, profile: dict[str, Any], accepted: list[str]
) -> None:
    """Writes what the delivery looks like as a whole, and which guards were overridden by name."""
    values = {"run": run, "profile": Jsonb(profile), "accepted": accepted}
    connection.execute(queries.load("ledger")["keep_profile"], values)


def lock(connection: Connection, layer: str) -> None:
    """One writer of a layer at a time, for as long as ``connection`` lives; DatabaseError if taken.

    The server frees it when the process dies, so a killed load blocks nobody. An edit of a row
    holds it for a moment: that is waited for.
    """
    query, until = queries.load("ledger")["lock"], time.monotonic() + _PATIENCE_S
    while True:
        row = connection.execute(query, {"layer": layer}).fetchone()
        if row and row[0]:
            return
        if time.monotonic() >= until:
            raise DatabaseError(
                f"another load of {layer} is under way",
                todo="Wait until it ends (`makan runs`), then run the command again.",
            )
        time.sleep(_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Published:
    """The delivery of a feed that is published: its run, its file and how many rows it meant.

    ``profile`` is what it looked like as a whole (``stages/profile.py``), None in old ledgers.
    """

    id: int
    file_sha256: str
    file_bytes: int
    contract_sha256: str
    code_version: str
    meant: int
    overtaken: bool
    day: str
    profile: dict[str, Any] | None

    def may_be(self, path: Path, contract: str) -> bool:
        """Whether loading ``path`` may change nothing, as far as its size tells."""
        with suppress(OSError):
            size = sum(part.stat().st_size for part in parts(path))
            return self.file_bytes == size and self.stands(contract)
        return False

    def is_same(self, found: Arrival, contract: str) -> bool:
        """Whether loading ``found`` would change nothing."""
        return self.file_sha256 == found.sha256 and self.stands(contract)

    def stands(self, contract: str) -> bool:
        """Whether what is published is still what this delivery brought, and would bring today."""
        today = (contract, __version__)
        return (self.contract_sha256, self.code_version) == today and not self.overtaken


def published(connection: Connection, *, layer: str, feed: str | None) -> Published | None:
    """The delivery of ``feed`` that is published in ``layer``, or None."""
    with connection.cursor(row_factory=class_row(Published)) as cursor:
        query = queries.load("ledger")["latest_done"]
        return cursor.execute(query, {"layer": layer, "feed": feed}).fetchone()


def runs(connection: Connection, *, limit: int = 50) -> list[Run]:
    """The latest runs, newest first."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(queries.load("ledger")["list"], {"limit": limit}).fetchall()


def run(connection: Connection, number: int) -> Run:
    """One run; raises SettingsError if there is none of that number."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        found = cursor.execute(queries.load("ledger")["one"], {"run": number}).fetchone()
    if found is None:
        raise SettingsError(f"there is no run {number}", todo="`makan runs` lists them.")
    return found
