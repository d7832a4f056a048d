"""What is kept of each feed's latest file, so that the next one is judged only where it differs."""

from pipeline.db.migrate import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0007_delivery.sql")
