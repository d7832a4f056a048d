"""Versions that hold at the same time: what is written in the history is compared as it is."""

from pipeline.db.migrate import run_sql

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0050_written.sql")
