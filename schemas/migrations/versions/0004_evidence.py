"""What shows that the coordinates of a run are right."""

from pipeline.db.migrate import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0004_evidence.sql")
