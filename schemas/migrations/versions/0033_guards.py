"""Guards of layers can be asked at the end of a bulk load."""

from pipeline.db.migrate import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0033_guards.sql")
