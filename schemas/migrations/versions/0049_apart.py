"""Versions that hold at the same time, found without asking for the written rows again."""

from pipeline.db.migrate import run_sql

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0049_apart.sql")
