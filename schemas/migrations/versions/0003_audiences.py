"""Keys of audiences; places, acceptance and ISO 19157 results of findings."""

from pipeline.db.migrate import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0003_audiences.sql")
