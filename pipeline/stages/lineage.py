"""Lineage: objects keep their id when their code changes, and do not vanish unexplained.

A delivery that renumbers is told by its feed, or by whoever loads it: then what lies exactly where
an object lay is that object, and its former code is kept.
"""

from __future__ import annotations

from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.db import ledger, queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, GEOMETRY, HISTORY
from pipeline.derive.facts import FACTS
from pipeline.errors import GuardError
from pipeline.stages.batch import Found
from pipeline.stages.context import Context

LOST = "lineage.missing"
_PAIRS = sql.Identifier("renumbered")
_SHOWN = 5


def renumber(
    connection: Connection, context: Context, parts: dict[str, sql.Composable], run: int
) -> tuple[int, int]:
    """Gives objects that lie where they lay their new keys; how many they are, and how many others
    are gone because their key is another's now.

    ``parts`` are those of the merge. The rows they came in are then as they are published.
    """
    lineage = context.layer.lineage
    if not context.renumber or lineage is None or context.layer.geometry is None:
        return 0, 0
    named = queries.load("merge")
    parts = {**parts, "renumbered": _PAIRS, "geom": sql.Identifier(GEOMETRY)}
    values = {"run": run, "feed": context.feed.id}

    def do(name: str) -> int:
        return connection.execute(sql.SQL(named[name]).format(**parts), values).rowcount

    do("moved_keys")
    do("take_moved")
    displaced = do("displaced") if context.feed.delivery == "full" else 0
    moved = do("put_moved")
    if moved:
        _keep_codes(connection, context, parts, run)
    return moved, displaced


def _keep_codes(
    connection: Connection, context: Context, parts: dict[str, sql.Composable], run: int
) -> None:
    """The former codes, as a run of their own layer that goes along with ``run``."""
    lineage = context.layer.lineage
    if lineage is None:
        return
    codes = lineage.codes
    along = ledger.along(connection, codes.layer, run)
    ledger.publish(connection, context.valid_from, along)
    fields = {
        "former": codes.former, "now": codes.now, "from": codes.since, "to": codes.until,
        "reason": codes.reason, "object": codes.object, "field": lineage.field,
    }  # fmt: skip
    query = sql.SQL(queries.load("merge")["former_codes"]).format(
        **parts,
        **{name: sql.Identifier(field) for name, field in fields.items()},
        codes=sql.Identifier(DATA, codes.layer),
    )
    values = {"run": run, "codes_run": along, "zone": context.city.timezone}
    rows = connection.execute(query, values).rowcount
    if rows:
        ledger.finish(connection, along, "done", ledger.Account(arrived=rows, inserted=rows))
    else:
        ledger.unpublish(connection, along)


def lost(connection: Connection, context: Context, run: int, where: str) -> Found:
    """What is told of objects that ``run`` has removed and that must not just vanish.

    GuardError, unless that is accepted by name; the caller's transaction then ends.
    """
    found, codes = Found(), vanishing(connection, context.layer, run)
    if not codes:
        return found
    shown = ", ".join(codes[:_SHOWN]) + (" …" if len(codes) > _SHOWN else "")
    if LOST not in context.accept:
        raise GuardError(
            f"{len(codes)} objects with records of their own would vanish, and nothing says what "
            f"they became: {shown}",
            where=where,
            todo="Nothing was published. Load their lineage first "
            f"({context.layer.lineage.parents.layer if context.layer.lineage else ''}), or load "
            f"with --accept {LOST}.",
        )
    found.whole(LOST, value=len(codes), detail=f"{shown}, accepted by name")
    return found


def vanishing(connection: Connection, layer: LayerContract, run: int) -> list[str]:
    """The codes of objects that ``run`` has removed, on which a fact of other rows hangs, and of
    which no lineage says what they became."""
    lineage = layer.lineage
    if lineage is None:
        return []
    codes = []
    for fact in lineage.protects:
        query = sql.SQL(queries.load("merge")["lost_objects"]).format(
            field=sql.Identifier(lineage.field),
            history=sql.Identifier(HISTORY, layer.id),
            target=sql.Identifier(DATA, layer.id),
            fact=sql.Identifier(FACTS, fact),
            parents=sql.Identifier(DATA, lineage.parents.layer),
            parent=sql.Identifier(lineage.parents.field),
        )
        rows = connection.execute(query, {"run": run}).fetchall()
        codes += [str(row[0]) for row in rows]
    return codes
