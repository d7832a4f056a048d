"""Runs that a load brings along: former codes of renumbered objects."""

from pipeline.db.migrate import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0030_along.sql")
