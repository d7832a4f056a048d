"""A row's key as one text, as findings, quarantine and ledger write it."""

from __future__ import annotations

from psycopg import sql

from pipeline.contracts.layer import LayerContract


def key_text(layer: LayerContract, alias: str | None = None) -> sql.Composed:
    """SQL for the key of a row of ``layer``: its parts joined by a blank."""
    parts = [
        sql.SQL("{}::text").format(sql.Identifier(alias, name) if alias else sql.Identifier(name))
        for name in layer.key
    ]
    return sql.SQL(" || ' ' || ").join(parts)
