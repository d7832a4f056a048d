"""Aerial triangulations and their points."""

from pipeline.db.migrate import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0024_triangulation.sql")
