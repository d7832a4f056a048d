"""Changes of layers counted as they happen."""

from pipeline.db.migrate import run_sql

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0048_tally.sql")
