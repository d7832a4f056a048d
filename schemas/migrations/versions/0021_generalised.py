"""What layers look like from afar, for maps and tiles of small scale."""

from pipeline.db.migrate import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0021_generalised.sql")
