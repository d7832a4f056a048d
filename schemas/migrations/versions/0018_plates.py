"""A cheaper way to the numbers of a registration plate."""

from pipeline.db.migrate import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0018_plates.sql")
