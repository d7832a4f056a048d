"""Which unit gets a report, by the rule that edits and answers share; Jalali months; names that are
searched."""

from pipeline.db.migrate import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0035_reports.sql")
