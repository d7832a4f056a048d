"""Records of deliveries as what differs from those before; filling without a copy of each row."""

from pipeline.db.migrate import run_sql

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0041_carried.sql")
