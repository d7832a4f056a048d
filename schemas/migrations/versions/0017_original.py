"""What rows were written as, before they were cleaned."""

from pipeline.db.migrate import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0017_original.sql")
