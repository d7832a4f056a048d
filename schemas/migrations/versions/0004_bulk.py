"""What a bulk load costs the server: fewer checks, a smaller index, keys made afterwards."""

from pipeline.db.migrate import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0004_bulk.sql")
