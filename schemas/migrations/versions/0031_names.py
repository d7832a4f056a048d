"""Names, each once, kept by triggers: what a search looks through."""

from pipeline.db.migrate import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0031_names.sql")
