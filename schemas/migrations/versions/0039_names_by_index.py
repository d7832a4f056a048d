"""The names of an edit are found by index, not by reading all names of the city."""

from pipeline.db.migrate import run_sql

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0039_names_by_index.sql")
