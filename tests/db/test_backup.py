"""A backup is all of a city: restored into an empty home it answers as before."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db import backup
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError, SettingsError
from pipeline.settings import Settings

TABLES = """
    SELECT relnamespace::regnamespace || '.' || relname || ' ' || coalesce(relacl::text, '')
    FROM pg_class WHERE relnamespace::regnamespace::text = ANY
        ('{data,history,ops,api,api_staff,derived,facts}'::text[]) ORDER BY 1
"""


def relations(database: Database) -> list[object]:
    """Every relation, and who may do what with it."""
    with database.connect("owner") as connection:
        return connection.execute(TABLES).fetchall()


def test_a_city_comes_back_from_its_backup(
    database: Database, qom_template: Settings, schemas: Schemas, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for name in ("keys", "rasters/dem", "tiles", "cache"):
        (home / name).mkdir(parents=True)
    (home / "keys" / "receipts").write_text("secret")
    (home / "keys" / "receipts").chmod(0o600)
    (home / "rasters" / "dem" / "a.tif").write_text("image")
    (home / "db").symlink_to(qom_template.home / "db")
    kept = Database(replace(database.settings, home=home))
    with kept.connect("owner") as connection:
        connection.execute("CREATE TABLE ops.mark AS SELECT 'نشان' AS said")
    before = relations(kept)
    saved = tmp_path / "saved"
    assert backup.save(kept, saved) > 100_000
    assert stat.S_IMODE(saved.stat().st_mode) == 0o700
    with pytest.raises(SettingsError, match="there already"):
        backup.save(kept, saved)

    with testing.scratch_home() as fresh:
        new = Database(Settings(home=fresh / "new"))
        try:
            backup.restore(new, schemas, saved)
            assert relations(new) == before
            with new.connect("owner") as connection:
                assert connection.execute("SELECT said FROM ops.mark").fetchone() == ("نشان",)
            secret = fresh / "new" / "keys" / "receipts"
            assert (secret.read_text(), stat.S_IMODE(secret.stat().st_mode)) == ("secret", 0o600)
            assert (fresh / "new" / "rasters" / "dem" / "a.tif").read_text() == "image"
            assert not (fresh / "new" / "tiles").exists()
            with pytest.raises(SettingsError, match="is not empty"):
                backup.restore(new, schemas, saved)
        finally:
            new.cluster.destroy()


def test_half_a_backup_is_none(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A dump that fails leaves nothing behind that could be taken for a backup."""
    gone = Database(replace(database.settings, database="no_such_database"))
    with pytest.raises(DatabaseError, match="pg_dump fails"):
        backup.save(gone, tmp_path / "saved")
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(backup, "_pack", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(Exception, match="No space left"):
        backup.save(database, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []
