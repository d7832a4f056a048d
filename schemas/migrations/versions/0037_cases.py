"""Cases, visits, documents, units, registration plates and shares of rights."""

from pipeline.db.migrate import run_sql

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0037_cases.sql")
