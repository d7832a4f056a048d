"""Facts: what the database works out itself, and how fresh it is."""

from pipeline.db.migrate import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0005_facts.sql")
