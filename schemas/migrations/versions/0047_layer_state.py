"""How far layers are, found by an index."""

from pipeline.db.migrate import run_sql

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0047_layer_state.sql")
