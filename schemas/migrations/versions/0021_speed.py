"""Indexes of a filled layer after its rows are there."""

from pipeline.db.migrate import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0021_speed.sql")
