"""Rasters that are made of layers know how far these were known then."""

from pipeline.db.migrate import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0038_models.sql")
