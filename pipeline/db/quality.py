"""Quality as data: ISO 19157 results of a load, findings accepted by name, what a release needs."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from pipeline.contracts.layer import LayerContract
from pipeline.db import ledger, queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import GEOMETRY, home
from pipeline.derive.keys import key_text
from pipeline.errors import GuardError, SettingsError


@dataclass(frozen=True, slots=True)
class Fault:
    """How many findings of one element and severity a run in force has, and their states."""

    layer_id: str
    feed_id: str | None
    run_number: int
    quality_element: str | None
    finding_severity: str
    findings: int
    open: int
    accepted: int
    fixed: int


def measure(connection: Connection, run: int, layer: LayerContract) -> None:
    """Writes the results of ``run``, in the transaction that publishes it in ``layer``."""
    spatial = layer.geometry is not None
    named, values = queries.load("quality"), {"run": run, "spatial": spatial}
    if spatial:
        connection.execute(named["place_of_rows"], values)
        placed = sql.SQL(named["place_of_published"]).format(
            target=sql.Identifier(home(layer), layer.id),
            geom=sql.Identifier("t", GEOMETRY),
            key_text=key_text(layer, "t"),
        )
        connection.execute(placed, values)
    connection.execute(named["measure"], values)


def measure_sheet(connection: Connection, run: int) -> None:
    """The same of a run that brought a sheet of a raster, in what rasters are looked at for."""
    connection.execute(queries.load("quality")["measure"], {"run": run, "spatial": True})


def faults(connection: Connection, layer: str | None = None) -> list[Fault]:
    """Findings of the runs in force, counted."""
    with connection.cursor(row_factory=class_row(Fault)) as cursor:
        query = queries.load("quality")["release"]
        return cursor.execute(query, {"layer": layer}).fetchall()


def results(connection: Connection, layer: str | None = None) -> list[dict[str, Any]]:
    """ISO 19157 results of the loads in force."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(queries.load("quality")["results"], {"layer": layer}).fetchall()


def accept(connection: Connection, run: int, code: str, reason: str) -> int:
    """Accepts what ``run`` has found of ``code``; how many findings that is.

    Raises SettingsError when there is nothing to accept, GuardError when it is accepted already.
    """
    if not reason.strip():
        raise SettingsError("acceptance needs a reason", todo="Say why: --reason '…'.")
    known = _codes(connection, run)
    if code not in known:
        raise SettingsError(
            f"run {run} has no finding {code} in force",
            todo=f"It has: {', '.join(known) or 'none'}.",
        )
    values = {"run": run, "code": code, "reason": reason.strip(), "who": getpass.getuser()}
    try:
        connection.execute(queries.load("quality")["accept"], values)
    except psycopg.errors.UniqueViolation:
        raise GuardError(
            f"{code} of run {run} is accepted already", todo="Withdraw that first (--withdraw)."
        ) from None
    return known[code]


def withdraw(connection: Connection, run: int, code: str) -> None:
    """Takes an acceptance back; raises SettingsError when there is none."""
    values = {"run": run, "code": code, "who": getpass.getuser()}
    if not connection.execute(queries.load("quality")["withdraw"], values).rowcount:
        raise SettingsError(f"{code} of run {run} is not accepted")


def _codes(connection: Connection, run: int) -> dict[str, int]:
    ledger.run(connection, run)
    rows: list[tuple[Any, ...]] = connection.execute(
        queries.load("quality")["codes"], {"run": run}
    ).fetchall()
    return {str(code): int(count) for code, count, _ in rows}
