"""Indexes of a filled layer after its rows are there."""

from pipeline.db.migrate import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0028_speed.sql")
