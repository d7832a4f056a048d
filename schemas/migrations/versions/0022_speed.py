"""Indexes of a filled layer after its rows are there."""

from pipeline.db.migrate import run_sql

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0022_speed.sql")
