"""Sheets of rasters keep their states of other days."""

from pipeline.db.migrate import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0029_states.sql")
