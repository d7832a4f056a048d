"""Contours, spot heights and breaklines as layers."""

from pipeline.db.migrate import run_sql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0036_relief.sql")
