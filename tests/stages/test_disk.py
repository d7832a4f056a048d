"""A disk that is really full: the load stops in one line, and what was published stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.db.cluster import SUPERUSER
from pipeline.db.engine import Database
from pipeline.errors import ResourceError

ROWS = "SELECT parcel_code, registration_plate, run_id FROM data.parcel ORDER BY id"


@pytest.fixture
def small_disk(database: Database) -> Iterator[None]:
    """An eighth of a megabyte, where the loader makes its staging tables."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        shutil.rmtree(folder)
        pytest.skip("nothing can be mounted here")
    shutil.chown(folder, database.cluster.state()["user"] or None)
    name = f"small_{os.getpid()}"
    admin = psycopg.connect(
        database.cluster.uri(SUPERUSER, database.settings.database), autocommit=True
    )
    with admin:
        admin.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'".encode())
        admin.execute(f"GRANT CREATE ON TABLESPACE {name} TO makan_loader".encode())
        where = f'IN DATABASE "{database.settings.database}"'
        admin.execute(f"ALTER ROLE makan_loader {where} SET default_tablespace = {name}".encode())
        try:
            yield
        finally:
            admin.execute(f"ALTER ROLE makan_loader {where} RESET ALL".encode())
            admin.execute(f"DROP TABLESPACE {name}".encode())
            subprocess.run(["umount", folder], check=True)
            shutil.rmtree(folder)


def test_a_full_disk_leaves_what_was_published(
    bench: Any, database: Database, query: Any, request: pytest.FixtureRequest
) -> None:
    bench.load(database, bench.geopackage([bench.parcel(n) for n in range(600)]), batch_rows=300)
    rows = query(database, ROWS)
    path = bench.geopackage([bench.parcel(n, plate="پلاک " * 10) for n in range(600)])
    request.getfixturevalue("small_disk")
    with pytest.raises(ResourceError) as caught:
        bench.load(database, path, batch_rows=100)
    assert caught.value.exit_code == 7
    assert str(caught.value).startswith("the database server is out of room")
    assert "\n" not in str(caught.value)
    assert query(database, ROWS) == rows
    assert query(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'stage'") == [(0,)]
    assert query(database, "SELECT status FROM ops.run ORDER BY id") == [("done",), ("failed",)]
