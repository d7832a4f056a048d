"""Merge: one transaction turns the staging table into the published layer, or changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, HISTORY
from pipeline.stages.batch import Context
from pipeline.stages.stage import Staging


@dataclass(frozen=True)
class Merged:
    """What the merge did to the published layer, in rows."""

    inserted: int
    updated: int
    removed: int


def _composed(context: Context, staging: Staging) -> dict[str, sql.Composable]:
    """The identifiers that the queries of schemas/sql/merge.sql leave open."""
    names = staging.columns
    key = context.layer.key
    return {
        "target": sql.Identifier(DATA, context.layer.id),
        "history": sql.Identifier(HISTORY, context.layer.id),
        "stage": staging.table,
        "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
        "staged": sql.SQL(", ").join(sql.Identifier("s", name) for name in names),
        "current": sql.SQL(", ").join(sql.Identifier("t", name) for name in names),
        "key": sql.SQL(", ").join(map(sql.Identifier, key)),
        "match": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", name), sql.Identifier("s", name))
            for name in key
        ),
        "key_text": sql.SQL(" || ' ' || ").join(
            sql.SQL("{}::text").format(sql.Identifier("t", name)) for name in key
        ),
    }


def merge(
    connection: Connection, context: Context, staging: Staging, run: int, kept: list[str]
) -> Merged:
    """Updates, removes and inserts inside the caller's transaction.

    ``kept`` are keys of quarantined rows: their published predecessors stay. The order matters: a
    removed row may free what a new one needs.
    """
    named = queries.load("merge")
    parts = _composed(context, staging)
    values = {"run": run, "layer": context.layer.id, "feed": context.feed.id, "kept": kept}

    def run_query(name: str) -> int:
        return connection.execute(sql.SQL(named[name]).format(**parts), values).rowcount

    row = connection.execute(sql.SQL(named["is_empty"]).format(**parts)).fetchone()
    if row and row[0]:
        run_query("before_bulk")
        inserted = run_query("fill")
        run_query("after_bulk")
        return Merged(inserted, 0, 0)
    run_query("analyze_stage")
    updated = run_query("update")
    removed = run_query("remove") if context.feed.delivery == "full" else 0
    inserted = run_query("insert")
    run_query("analyze")
    return Merged(inserted, updated, removed)
