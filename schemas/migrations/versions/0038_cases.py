"""Cases, visits, documents, units, registration plates and shares of rights."""

from pipeline.db.migrate import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0038_cases.sql")
