"""Tiles that were made before, in one SQLite file that all processes of a home share.

Each tile is of a *source* (a layer, or its look from afar), and the file knows at which state of
the source its tiles are. Who sees a newer state takes away the tiles that changed rows touch and
enters it, in one transaction: a kill leaves both or neither. A tile is taken in only if its source
is still at the state that was known before the tile was asked for.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.derive.grids import Tile
from pipeline.serve import encodings
from pipeline.serve.kept_tile import Kept, Key

log = logging.getLogger(__name__)

_FORMAT = 1
#: So long one waits for another process: who has time, and where answers wait.
_PATIENT_MS = 2_000
_WAIT_MS = 20
#: So long the file is let alone after another process did not let it go.
_REST_S = 2.0
_USED_S = 600.0
_LOOK_EVERY = 50
_KEEP_SHARE = 0.9
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_TABLES = """
CREATE TABLE IF NOT EXISTS source (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, made_by TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tile (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, grid TEXT NOT NULL, zoom INTEGER NOT NULL,
    row INTEGER NOT NULL, col INTEGER NOT NULL, most INTEGER NOT NULL, used REAL NOT NULL,
    size INTEGER NOT NULL, tag TEXT NOT NULL, plain INTEGER NOT NULL, zstd BLOB, br BLOB, gzip BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS tile_place ON tile (source, grid, zoom, row, col, most);
CREATE INDEX IF NOT EXISTS tile_used ON tile (used, size);
"""
_ADD = {
    name: f"UPDATE tile SET {name} = ?, size = size + ? WHERE id = ? AND tag = ? AND {name} IS NULL"  # noqa: S608
    for name in encodings.OFFERED
}
_PUT = """
INSERT OR REPLACE INTO tile (
    source, grid, zoom, row, col, most, used, size, tag, plain, zstd, br, gzip
) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE EXISTS (SELECT 1 FROM source WHERE name = ? AND state = ?)
"""


def _row(key: Key, kept: Kept, state: str) -> tuple[object, ...]:
    bodies = [kept.packed.get(name) for name in encodings.OFFERED]
    size = sum(len(body) for body in bodies if body)
    told = (time.time(), size, kept.tag, kept.plain)
    return (*key.values, *told, *bodies, key.source, state)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def _make(db: sqlite3.Connection, *, anew: bool) -> None:
    """Prepares a file that is empty, or of another format, once: this asks for the lock."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    if anew:
        db.executescript("DROP TABLE IF EXISTS tile; DROP TABLE IF EXISTS source;")
    db.executescript(_TABLES)
    db.execute(f"PRAGMA user_version = {_FORMAT}")


class TileCache:
    """One connection to the file; any thread may use it. What the disk refuses is logged and not
    kept, nor is what comes while another process holds the file: a server without a cache is slow,
    not down."""

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        """At ``path``, of about ``most_bytes`` at most; 0 keeps nothing."""
        self._path = path
        self._most = most_bytes
        self._patient = False
        # Who writes keeps out who writes, seldom who reads.
        self._read_again = self._write_again = 0.0
        self._lock = threading.Lock()
        self._puts = self._inode = 0
        self._db: sqlite3.Connection | None = None
        #: How many files there were: what is known of one says nothing of the next.
        self.files = 0

    def open(self, *, patient: bool = False) -> None:
        """Opens the file, or makes it anew where it cannot be read. ``patient``: nobody waits for
        tiles, so that they are kept counts for more."""
        self._patient = patient
        if not self._most:
            return
        try:
            # Tiles of an audience that needs keys are for nobody else's eyes.
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._db = self._connected()
        except (OSError, sqlite3.OperationalError) as error:
            log.warning("tiles are not kept: %s", error)
        except sqlite3.DatabaseError:
            self._remove()
            with suppress(sqlite3.Error):
                self._db = self._connected()

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)

    def _connected(self) -> sqlite3.Connection:
        self.files += 1
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA busy_timeout = {_PATIENT_MS}")
        db.execute("PRAGMA synchronous = NORMAL")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != _FORMAT:
            _make(db, anew=found != 0)
        if not self._patient:
            db.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
        self._inode = self._path.stat().st_ino
        return db

    def close(self) -> None:
        """Lets the file go."""
        with self._lock:
            if self._db:
                self._db.close()
            self._db = None

    def get(self, key: Key) -> Kept | None:
        """The tile, if it is kept."""
        found = self._ask(
            "SELECT id, used, tag, plain, zstd, br, gzip FROM tile WHERE source = ? AND grid = ? "
            "AND zoom = ? AND row = ? AND col = ? AND most = ?",
            key.values,
        )
        if not found:
            return None
        number, used, mark, plain, *bodies = found[0]
        if time.time() - used > _USED_S:
            self._do("UPDATE tile SET used = ? WHERE id = ?", (time.time(), number))
        held = {name: body for name, body in zip(encodings.OFFERED, bodies, strict=True) if body}
        return Kept(mark, plain, held, number)

    def add(self, kept: Kept, name: str, body: bytes) -> None:
        """Keeps the tile, if it is still there, in one more encoding."""
        self._do(_ADD[name], (body, len(body), kept.number, kept.tag))

    def put(self, *made: tuple[Key, Kept, str]) -> None:
        """Keeps the tiles, in one transaction, each if its source is still at the state beside it:
        what a transaction costs is more than what a tile does."""
        rows = [_row(*one) for one in made]
        try:
            with self._lock:
                if not self._db or time.monotonic() < self._write_again:
                    return
                with _transaction(self._db):
                    self._db.executemany(_PUT, rows)
        except sqlite3.Error as error:
            self._failed(error, writing=True)
            return
        before, self._puts = self._puts, self._puts + len(rows)
        if not before or before // _LOOK_EVERY != self._puts // _LOOK_EVERY:
            self._shrink()

    def state(self, source: str) -> tuple[str, str] | None:
        """The state that tiles of ``source`` are at, and what stands for how they are made."""
        found = self._ask("SELECT state, made_by FROM source WHERE name = ?", (source,))
        return (found[0][0], found[0][1]) if found else None

    def places(self, source: str) -> list[tuple[str, Tile]]:
        """Grid and place of every kept tile of ``source``."""
        found = self._ask(
            "SELECT DISTINCT grid, zoom, row, col FROM tile WHERE source = ?", (source,)
        )
        return [(grid, Tile(zoom, row, column)) for grid, zoom, row, column in found]

    def advance(
        self,
        source: str,
        before: tuple[str, str] | None,
        after: tuple[str, str],
        gone: Iterable[tuple[str, Tile]] | None,
    ) -> bool:
        """Enters the state ``after`` for ``source`` and takes away the tiles that are ``gone``
        (None: all), unless another process has moved it on from ``before`` in the meantime. False
        where that could not be done: then its tiles may be of before, and are not to be served."""
        if not self._db:
            return True
        if time.monotonic() < self._write_again:
            return False
        try:
            with self._lock:
                return self._advance(self._db, source, before, after, gone)
        except sqlite3.Error as error:
            self._failed(error, writing=True)
            return False

    def _advance(
        self,
        db: sqlite3.Connection,
        source: str,
        before: tuple[str, str] | None,
        after: tuple[str, str],
        gone: Iterable[tuple[str, Tile]] | None,
    ) -> bool:
        with _transaction(db):
            asked = "SELECT state, made_by FROM source WHERE name = ?"
            there = db.execute(asked, (source,)).fetchone()
            if there != before:
                return bool(there == after)
            if gone is None:
                db.execute("DELETE FROM tile WHERE source = ?", (source,))
            else:
                db.executemany(
                    "DELETE FROM tile WHERE source = ? AND grid = ? AND zoom = ? AND row = ? "
                    "AND col = ?",
                    [(source, grid, one.zoom, one.row, one.column) for grid, one in gone],
                )
            db.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", (source, *after))
        return True

    def size(self) -> tuple[int, int]:
        """How many tiles there are, and their bytes."""
        found = self._ask("SELECT count(*), coalesce(sum(size), 0) FROM tile", ())
        return (found[0][0], found[0][1]) if found else (0, 0)

    def _shrink(self) -> None:
        """Takes the tiles away that were not asked for longest, where there are too many."""
        _, size = self.size()
        if size <= self._most:
            return
        gone, numbers = 0, []
        for number, one in self._ask("SELECT id, size FROM tile ORDER BY used", ()):
            numbers.append(number)
            gone += one
            if size - gone <= self._most * _KEEP_SHARE:
                break
        self._do(f"DELETE FROM tile WHERE id IN ({','.join(map(str, numbers))})", ())  # noqa: S608
        self._do("PRAGMA incremental_vacuum", ())

    def _ask(self, query: str, values: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg]
        if not self._db or time.monotonic() < self._read_again:
            return []
        try:
            with self._lock:
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._failed(error, writing=False)
            return []

    def _do(self, command: str, values: tuple[object, ...]) -> None:
        if not self._db or time.monotonic() < self._write_again:
            return
        try:
            with self._lock:
                self._db.execute(command, values).fetchall()
        except sqlite3.Error as error:
            self._failed(error, writing=True)

    def _failed(self, error: sqlite3.Error, *, writing: bool) -> None:
        """A file that is held is let alone for a moment; one that is damaged gives way to a new
        one, unless another process was first."""
        log.warning("the cache of tiles: %s", error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _HELD and not self._patient:
            self._write_again = time.monotonic() + _REST_S
            if not writing:
                self._read_again = self._write_again
        if code not in _DAMAGED:
            return
        with self._lock, suppress(OSError, sqlite3.Error):
            if self._db:
                self._db.close()
            self._db = None
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                self._remove()
            self._path.touch(mode=0o600)
            self._db = self._connected()
