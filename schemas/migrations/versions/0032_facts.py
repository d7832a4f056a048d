"""Facts are written without their indexes where they are worked out as a whole."""

from pipeline.db.migrate import run_sql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0032_facts.sql")
