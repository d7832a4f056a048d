"""The names of an edit are found by index, not by reading all names of the city."""

from pipeline.db.migrate import run_sql

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0037_names_by_index.sql")
