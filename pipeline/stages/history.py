"""History: a load is one version of its layer; it can be undone, compared and asked for."""

from __future__ import annotations

from collections.abc import Iterator
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

# By how much areas have changed, from hardly to much.
SIZES = (0.0001, 0.001, 0.01, 0.1)


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

    ``moved``: for areas what does not coincide, as a share of the former area; for others None.
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


def undo(
    database: Database, schemas: Schemas, run: int, *, with_later: bool = False
) -> list[Undone]:
    """Brings the layer back to what it was before ``run``, in one transaction.

    Loads that have changed the layer since are in the way: GuardError names them, unless they are
    to be undone as well (``with_later``), the latest first.
    """
    with database.connect("loader") as connection:
        found = ledger.run(connection, run)
        if found.kind not in ("load", "edit") or found.status != "done":
            raise GuardError(f"run {run} is a {found.kind} that is {found.status}: nothing to undo")
        ledger.lock(connection, found.layer)
        values = {"run": run, "layer": found.layer}
        query = queries.load("history")["changing_since"]
        if found.along is not None:
            raise GuardError(f"run {run} goes along with run {found.along}", todo="Undo that one.")
        later = [int(str(row[0])) for row in connection.execute(query, values).fetchall()]
        if later and not with_later and found.account.changes:
            named = ", ".join(map(str, later))
            raise GuardError(
                f"run {named} has changed {found.layer} since",
                todo="Undo that one first, or all of them with --with-later.",
            )
        steps = [*later, run] if with_later else [run]
        return [done for step in steps for done in _all_undone(connection, schemas, found, step)]


def _all_undone(
    connection: Connection, schemas: Schemas, found: ledger.Run, step: int
) -> Iterator[Undone]:
    """One run of the layer of ``found``, and first those that it has brought along."""
    named = queries.load("history")
    for run, name in connection.execute(named["along"], {"run": step}).fetchall():
        ledger.lock(connection, str(name))
        yield _undone(connection, schemas.layer(str(name)), int(str(run)))
    yield _undone(connection, schemas.layer(found.layer), step)


def _undone(connection: Connection, layer: LayerContract, run: int) -> Undone:
    named, parts = queries.load("history"), _parts(layer)
    undo = ledger.undo(connection, layer.id, f"undoes run {run}")
    ledger.publish(connection, None, undo)
    values = {"run": run, "undo": undo, "message": f"undone by run {undo}"}
    taken = connection.execute(sql.SQL(named["take_back"]).format(**parts), values).rowcount
    brought = connection.execute(sql.SQL(named["bring_back"]).format(**parts), values).rowcount
    if layer.personal:
        forget(connection, layer.id, run)
    connection.execute(sql.SQL(named["forget_originals"]).format(**parts), values)
    connection.execute(named["mark_undone"], values)
    return Undone(run, layer.id, taken, brought)


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


def by_size(found: list[Change]) -> list[tuple[float, int]]:
    """How many areas have changed by more than each of SIZES, as shares of the former area."""
    moved = [change.moved for change in found if change.moved is not None]
    return [(size, sum(share > size for share in moved)) for size in SIZES]


def _moved(layer: LayerContract) -> sql.Composable:
    """What the two versions do not have in common, as a share of the former area."""
    if layer.geometry is None or not layer.geometry.type.endswith("Polygon"):
        return sql.SQL("NULL::float8")
    return sql.SQL(
        "CASE WHEN one.{g} IS NOT NULL AND two.{g} IS NOT NULL AND NOT one.{g} = two.{g} THEN "
        "ST_Area(ST_SymDifference(one.{g}, two.{g})) / nullif(ST_Area(one.{g}), 0) END"
    ).format(g=sql.Identifier(tables.GEOMETRY))
