"""${message}."""

from pipeline.db.migrate import run_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("${up_revision}_what.sql")
