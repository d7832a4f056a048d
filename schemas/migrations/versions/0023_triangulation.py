"""Aerial triangulations and their points."""

from pipeline.db.migrate import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0023_triangulation.sql")
