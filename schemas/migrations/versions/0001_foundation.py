"""Ledger, findings, quarantine, rasters and the layers of the first contracts."""

from pipeline.db.migrate import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0001_operations.sql")
    run_sql("0001_layers.sql")
