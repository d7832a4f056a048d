"""The index of map sheets."""

from pipeline.db.migrate import run_sql

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0044_map_sheets.sql")
