"""Indexes of a filled layer after its rows are there."""

from pipeline.db.migrate import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0027_speed.sql")
