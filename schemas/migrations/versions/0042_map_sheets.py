"""The index of map sheets."""

from pipeline.db.migrate import run_sql

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0042_map_sheets.sql")
