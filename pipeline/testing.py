"""What tests and notebooks need: a private database of their own, cloned fast from a template."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from pipeline.cli import main
from pipeline.contracts import registry
from pipeline.db import migrate as migration
from pipeline.db.cluster import SUPERUSER, Cluster
from pipeline.db.engine import Database
from pipeline.settings import Settings

_NUMBERS = count(1)
#: Databases in memory are made in a tenth of the time: ext4 gives no inode again for minutes after
#: its file went, and searches past all of them for each of a new database's thousand files.
_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM_GB = 6


def _free_memory() -> int:
    """Bytes that programs may still take; what the system keeps of files does not count."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) << 10 if found else 0


@contextmanager
def scratch_home() -> Iterator[Path]:
    """A folder for a cluster that is thrown away: in memory where there is plenty, else on disk."""
    roomy = _MEMORY.is_dir() and (
        min(shutil.disk_usage(_MEMORY).free, _free_memory()) >= _ROOM_GB << 30
    )
    with tempfile.TemporaryDirectory(prefix="makan-", dir=_MEMORY if roomy else None) as folder:
        Path(folder).chmod(0o711)  # the server runs as another user when root tests
        yield Path(folder)


def _as_admin(cluster: Cluster, statement: sql.Composed) -> None:
    with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def running_cluster(home: Path) -> Iterator[Cluster]:
    """A private cluster below ``home``, removed at the end."""
    cluster = Cluster(home)
    cluster.start()
    # Each clone writes its WAL, which would fill 4 GB of memory before it is used again.
    for statement in ("ALTER SYSTEM SET max_wal_size = '512MB'", "SELECT pg_reload_conf()"):
        _as_admin(cluster, sql.SQL(statement).format())
    try:
        yield cluster
    finally:
        cluster.destroy()


def template(cluster: Cluster, city: str) -> Settings:
    """A migrated, empty database for ``city`` on ``cluster``, to be cloned."""
    settings = Settings(home=cluster.home, city=city, database=f"template_{city}")
    migration.migrate(Database(settings), registry.load(city))
    return settings


@contextmanager
def clone(source: Settings) -> Iterator[Database]:
    """A fresh copy of the template ``source`` (0.2 s); gone at the end."""
    cluster = Cluster(source.home)
    name = sql.Identifier(f"clone_{os.getpid()}_{next(_NUMBERS)}")
    _as_admin(
        cluster,
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER makan_owner").format(
            name, sql.Identifier(source.database)
        ),
    )
    try:
        yield Database(replace(source, database=name.as_string(None).strip('"')))
    finally:
        _as_admin(cluster, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def shared_data() -> Path:
    """The folder of real data beside the project; it may be absent."""
    return Path(__file__).resolve().parents[2] / "shared" / "data"


def command(words: list[str], environment: dict[str, str], said: Path) -> None:
    """``makan`` with ``words`` in this process, all it says into ``said``; exits with its code.

    For a process that was forked with everything imported, so that a load begins at once.
    """
    os.environ |= environment
    sys.argv = ["makan", *words]
    with said.open("wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    main.main()
