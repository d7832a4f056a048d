"""Fills the table of a layer that a process of ours makes: rows by key, and a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.db import ledger
from pipeline.db.arrival import Arrival
from pipeline.db.ledger import Account, Connection
from pipeline.derive.columns import home

GEOM, RUN = "geom", "run_id"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of ``layer`` in the order of ``values``: every field by its name, ``geom`` as WKB.

    What stands in the table with the same values in ``within`` and is not among them goes.
    """

    layer: LayerContract
    rows: Sequence[Mapping[str, Any]]
    within: Mapping[str, Any]


def replace(connection: Connection, batch: Batch, made_of: Arrival, srid: int) -> int:
    """Brings the table to ``batch`` within the caller's transaction; the number of its run.

    Rows keep their ids as long as their key is there.
    """
    layer = batch.layer
    run = ledger.start(connection, made_of, kind="derive", layer=layer.id, contract="")
    before = holds(connection, batch)
    if batch.rows:
        with connection.cursor() as cursor:
            rows = [{**row, RUN: run} for row in batch.rows]
            cursor.executemany(_upsert(layer, srid), rows)
    removed = connection.execute(_remove(batch), {**batch.within, RUN: run}).rowcount
    kept = before - removed
    account = Account(
        arrived=len(batch.rows), inserted=len(batch.rows) - kept, updated=kept, removed=removed
    )
    ledger.finish(connection, run, "done", account)
    return run


def follow(
    connection: Connection, batch: Batch, parent: LayerContract, made_of: Arrival, srid: int
) -> int:
    """Brings the rows of ``batch`` into the table, and takes out those whose key no row of
    ``parent`` has any more; others stay as they are. The number of its run."""
    layer = batch.layer
    run = ledger.start(connection, made_of, kind="derive", layer=layer.id, contract="")
    before = holds(connection, batch)
    if batch.rows:
        with connection.cursor() as cursor:
            cursor.executemany(_upsert(layer, srid), [{**row, RUN: run} for row in batch.rows])
    added = holds(connection, batch) - before
    removed = connection.execute(_orphans(layer, parent)).rowcount
    account = Account(
        arrived=len(batch.rows), inserted=added, updated=len(batch.rows) - added, removed=removed
    )
    ledger.finish(connection, run, "done", account)
    return run


def has_orphans(connection: Connection, layer: LayerContract, parent: LayerContract) -> bool:
    """Whether rows of ``layer`` have a key that no row of ``parent`` has any more."""
    query = sql.SQL("SELECT EXISTS (SELECT {})").format(_orphaned(layer, parent))
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def _orphans(layer: LayerContract, parent: LayerContract) -> sql.Composed:
    return sql.SQL("DELETE {}").format(_orphaned(layer, parent))


def _orphaned(layer: LayerContract, parent: LayerContract) -> sql.Composed:
    alike = [sql.SQL("p.{0} = t.{0}").format(sql.Identifier(name)) for name in layer.key]
    return sql.SQL("FROM {} t WHERE NOT EXISTS (SELECT FROM {} p WHERE {})").format(
        _table(layer), _table(parent), sql.SQL(" AND ").join(alike)
    )


def _upsert(layer: LayerContract, srid: int) -> sql.Composed:
    names = [field.name for field in layer.fields]
    values: list[sql.Composable] = [sql.Placeholder(name) for name in names]
    if layer.geometry:
        names.append(GEOM)
        shape = sql.SQL("ST_SetSRID(ST_GeomFromWKB({}), {})")
        values.append(shape.format(sql.Placeholder(GEOM), sql.Literal(srid)))
    names.append(RUN)
    values.append(sql.Placeholder(RUN))
    changed = [name for name in names if name not in layer.key]
    return sql.SQL(
        "INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {sets}"
    ).format(
        table=_table(layer),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(values),
        key=sql.SQL(", ").join(map(sql.Identifier, layer.key)),
        sets=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changed
        ),
    )


def _table(layer: LayerContract) -> sql.Identifier:
    return sql.Identifier(home(layer), layer.id)


def _where(batch: Batch) -> sql.Composed:
    parts: list[sql.Composable] = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name in batch.within
    ]
    return sql.SQL(" AND ").join(parts or [sql.SQL("true")])


def _remove(batch: Batch) -> sql.Composed:
    return sql.SQL("DELETE FROM {} WHERE {} AND run_id <> {}").format(
        _table(batch.layer), _where(batch), sql.Placeholder(RUN)
    )


def holds(connection: Connection, batch: Batch) -> int:
    """How many rows the table holds of what ``batch`` is about."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(_table(batch.layer), _where(batch))
    row = connection.execute(query, dict(batch.within)).fetchone()
    return int(str(row[0])) if row else 0
