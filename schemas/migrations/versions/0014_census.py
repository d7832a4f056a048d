"""Points of plans, and the population of any area."""

from pipeline.db.migrate import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0014_census.sql")
