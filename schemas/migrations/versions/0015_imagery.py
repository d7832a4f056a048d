"""Aerial frames, strips, blocks, gaps, seams of orthophotos; terrain of parcels."""

from pipeline.db.migrate import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0015_imagery.sql")
