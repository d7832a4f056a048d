"""The property audit with its personal columns apart, and the rest of the detailed plan."""

from pipeline.db.migrate import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0010_audit.sql")
