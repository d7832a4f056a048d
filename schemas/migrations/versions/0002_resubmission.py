"""Which run corrects which, and which quarantined rows that has closed."""

from pipeline.db.migrate import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0002_resubmission.sql")
