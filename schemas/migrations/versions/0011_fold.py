"""Texts are searched by a folded form that the database keeps."""

from pipeline.db.migrate import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("0011_fold.sql")
