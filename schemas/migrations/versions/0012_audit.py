"""The property audit with its personal columns apart, and the rest of the detailed plan."""

from pipeline.db.migrate import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0012_audit.sql")
