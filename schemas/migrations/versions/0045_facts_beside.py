"""Facts are views, so that what is made anew can be made beside and shown in a moment."""

from pipeline.db.migrate import run_sql

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0045_facts_beside.sql")
