"""Aerial frames, strips, blocks, gaps, seams of orthophotos; terrain of parcels."""

from pipeline.db.migrate import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0018_imagery.sql")
