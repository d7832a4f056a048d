"""What rows were written as, before they were cleaned."""

from pipeline.db.migrate import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0016_original.sql")
