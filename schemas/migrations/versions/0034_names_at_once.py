"""Names are gathered once after a fill, not after each of its statements."""

from pipeline.db.migrate import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0034_names_at_once.sql")
