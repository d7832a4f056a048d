"""Radio masts and the links between them."""

from pipeline.db.migrate import run_sql

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0046_radio.sql")
