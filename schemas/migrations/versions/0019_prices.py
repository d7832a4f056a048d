"""Book values of land and buildings, for the levy."""

from pipeline.db.migrate import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0019_prices.sql")
