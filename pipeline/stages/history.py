"""History: a load is one version of its layer; it can be undone, compared and asked for."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import dict_row

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger, queries
from pipeline.db.engine import Connection, Database
from pipeline.derive import tables
from pipeline.derive.keys import key_text
from pipeline.errors import GuardError
from pipeline.stages.personal import forget


@dataclass(frozen=True)
class Undone:
    """What an undo did: rows taken back, and former versions in force again."""

    run: int
    layer: str
    taken_back: int
    brought_back: int


@dataclass(frozen=True)
class Change:
    """One object that differs between two states; ``columns`` those that changed.

    ``moved_share``: for areas the share that does not coincide, for others NULL.
    """

    change: str
    key: str
    columns: list[str] | None
    moved: float | None


def _columns(layer: LayerContract) -> list[str]:
    names = [field.name for field in layer.fields]
    return [*names, tables.GEOMETRY] if layer.geometry else names


def _parts(layer: LayerContract) -> dict[str, sql.Composable]:
    return {
        "target": sql.Identifier(tables.DATA, layer.id),
        "history": sql.Identifier(tables.HISTORY, layer.id),
        "columns": sql.SQL(", ").join(map(sql.Identifier, _columns(layer))),
        "key_text": key_text(layer),
    }


def undo(database: Database, schemas: Schemas, run: int) -> Undone:
    """Brings the layer back to what it was before ``run``, in one transaction.

    Only the latest standing load of a layer can be undone: GuardError names it otherwise.
    """
    named = queries.load("history")
    with database.connect("loader") as connection:
        found = ledger.run(connection, run)
        if found.kind != "load" or found.status != "done":
            raise GuardError(f"run {run} is a {found.kind} that is {found.status}: nothing to undo")
        ledger.lock(connection, found.layer)
        values = {"run": run, "layer": found.layer, "message": "undone"}
        latest = connection.execute(named["latest_changing"], values).fetchone()
        changed = found.inserted + found.updated + found.removed > 0
        if changed and latest is not None and latest[0] != run:
            raise GuardError(
                f"run {latest[0]} has changed {found.layer} since", todo="Undo that one first."
            )
        parts = _parts(schemas.layer(found.layer))
        taken = connection.execute(sql.SQL(named["take_back"]).format(**parts), values).rowcount
        brought = connection.execute(sql.SQL(named["bring_back"]).format(**parts), values).rowcount
        if schemas.layer(found.layer).personal:
            forget(connection, found.layer, run)
        connection.execute(named["mark_undone"], values)
    return Undone(run, found.layer, taken, brought)


def versions(connection: Connection, layer: LayerContract, key: str) -> list[dict[str, object]]:
    """Every version of the object with ``key``, oldest first, with file, line and runs."""
    named = [sql.Identifier(field.name) for field in layer.fields]
    parts = {**_parts(layer), "columns": sql.SQL(", ").join(named)}
    query = sql.SQL(queries.load("history")["versions"]).format(**parts)
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"key": key}).fetchall()


def difference(connection: Connection, layer: LayerContract, one: int, two: int) -> list[Change]:
    """What changed in ``layer`` between the states after the runs ``one`` and ``two``."""
    names = _columns(layer)
    differs = [
        sql.SQL("{} IS DISTINCT FROM {}").format(
            sql.Identifier("one", name), sql.Identifier("two", name)
        )
        for name in names
    ]
    query = sql.SQL(queries.load("history")["difference"]).format(
        **_parts(layer),
        key_one=key_text(layer, "one"),
        key_two=key_text(layer, "two"),
        names=sql.Literal(names),
        differs=sql.SQL(", ").join(differs),
        moved=_moved(layer),
    )
    rows = connection.execute(query, {"one": one, "two": two}).fetchall()
    return [Change(*row) for row in rows]  # type: ignore[arg-type]


def _moved(layer: LayerContract) -> sql.Composable:
    """The share of the larger area that the two versions do not have in common."""
    if layer.geometry is None or not layer.geometry.type.endswith("Polygon"):
        return sql.SQL("NULL::float8")
    return sql.SQL(
        "CASE WHEN one.{g} IS NOT NULL AND two.{g} IS NOT NULL AND NOT one.{g} = two.{g} THEN "
        "ST_Area(ST_SymDifference(one.{g}, two.{g})) "
        "/ nullif(greatest(ST_Area(one.{g}), ST_Area(two.{g})), 0) END"
    ).format(g=sql.Identifier(tables.GEOMETRY))
