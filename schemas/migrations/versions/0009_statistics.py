"""A smaller sample for the statistics of a layer that has just been filled."""

from pipeline.db.migrate import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0009_statistics.sql")
