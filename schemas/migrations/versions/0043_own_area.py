"""The area that who has a key works in."""

from pipeline.db.migrate import run_sql

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0043_own_area.sql")
