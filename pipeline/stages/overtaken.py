"""Overtaken: edits of single rows that a delivery has replaced. Its office decides, and is told."""

from __future__ import annotations

from collections import Counter

from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import GEOMETRY, HISTORY
from pipeline.derive.keys import key_text
from pipeline.stages.context import Context

_CODE = "edit.overtaken"


def tell(transaction: Connection, run: int, context: Context) -> Counter[tuple[str, str | None]]:
    """Enters a finding for each edit whose version ``run`` has ended; how many, by code and field.

    The edit itself is kept: `makan history` shows it, `makan undo` of the load brings it back.
    """
    layer = context.layer
    place: sql.Composable = sql.SQL("NULL::geometry")
    if layer.geometry:
        shape = sql.Identifier("h", GEOMETRY)
        place = sql.SQL("ST_PointOnSurface({})").format(shape)
    query = sql.SQL(queries.load("edits")["overtaken"]).format(
        history=sql.Identifier(HISTORY, layer.id), key=key_text(layer, "h"), place=place
    )
    values = {
        "run": run,
        "layer": layer.id,
        "code": _CODE,
        "severity": context.catalog.severity(_CODE),
    }
    count = transaction.execute(query, values).rowcount
    return Counter({(_CODE, None): count} if count else {})
