"""Jobs: questions that are answered in the background."""

from pipeline.db.migrate import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0020_jobs.sql")
