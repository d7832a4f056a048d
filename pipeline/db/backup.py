"""A backup of all that a city has: the database, and the files below the home that nothing makes
again (images, the keys of receipts, logs). One folder, which holds secrets.

The database is dumped first, as of one moment, while servers and loads go on; files are only ever
added, so what the dump names is there. What derives (published configuration, tiles, caches) is
left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pipeline.contracts.registry import Schemas
from pipeline.db import migrate
from pipeline.db.cluster import SUPERUSER
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError, ResourceError, SettingsError

_DUMP, _FILES = "database.dump", "home.tar"
#: Below the home: what is made again, or is the cluster itself.
_LEFT_OUT = {"db", "cache", "run", "tiles", "published"}


def save(database: Database, folder: Path) -> int:
    """Writes the backup ``folder``, whole or not at all; its size in bytes."""
    if folder.exists():
        raise SettingsError(f"{folder} is there already", todo="Give each backup its own folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        partial.chmod(0o700)
        _run(database, database.settings.database, "pg_dump", "-Fc", "-f", str(partial / _DUMP))
        _pack(database.settings.home, partial / _FILES)
        partial.rename(folder)
    except OSError as error:
        raise ResourceError(
            f"the backup cannot be written: {error.strerror}",
            where=str(folder),
            todo="Free disk space or choose another folder; nothing is left of this one.",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(path.stat().st_size for path in folder.iterdir())


def restore(database: Database, schemas: Schemas, folder: Path) -> None:
    """Makes the home and its private database from the backup ``folder``, and brings them to what
    the contracts say. Raises SettingsError where a database or files are already."""
    home = database.settings.home
    for name in (_DUMP, _FILES):
        if not (folder / name).is_file():
            raise SettingsError(f"{folder} is no backup: {name} is not there")
    kept = sorted(path.name for path in home.iterdir()) if home.is_dir() else []
    if kept:
        raise SettingsError(
            f"{home} is not empty: {', '.join(kept)}",
            todo="Restore into a new MAKAN_HOME; move it into place when it is good.",
        )
    home.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / _FILES) as packed:
        packed.extractall(home, filter="tar")
    database.cluster.start()
    migrate.prepare(database, schemas)
    # What was prepared is empty, and made again with the rights it had.
    words = ("--clean", "--if-exists", "--exit-on-error", "-j", "2")
    dump = str((folder / _DUMP).resolve())
    _run(database, database.settings.database, "pg_restore", *words, dump)
    migrate.migrate(database, schemas)


def _pack(home: Path, to: Path) -> None:
    with tarfile.open(to, "w") as packed:
        for path in sorted(home.iterdir()):
            if path.name not in _LEFT_OUT:
                packed.add(path, arcname=path.name)
    to.chmod(0o600)


def _run(database: Database, name: str, program: str, *words: str) -> None:
    """One of PostgreSQL's own programs; the password is in its environment, never in its words."""
    at = conninfo_to_dict(database.cluster.uri(SUPERUSER, name))
    environment = {
        **os.environ,
        **{f"PG{part.upper()}": str(at[part]) for part in ("host", "port", "user", "password")},
    }
    binary = Path(database.cluster.state()["binaries"]) / program
    done = subprocess.run(
        [str(binary), "-d", name, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise DatabaseError(
            f"{program} fails: {said}", todo="Free disk space, or look at the database's log."
        )
