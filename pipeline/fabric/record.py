"""Record: a check is a run of the ledger; its findings replace what stood before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from psycopg import sql
from psycopg.rows import class_row

from pipeline.db import ledger, quality, queries
from pipeline.db.arrival import Arrival
from pipeline.db.engine import Connection, Database
from pipeline.db.ledger import Account
from pipeline.derive.keys import key_text
from pipeline.fabric.faults import Faults
from pipeline.fabric.plan import Work
from pipeline.fabric.source import Source, table
from pipeline.fabric.tiles import Asked


@dataclass(frozen=True)
class Stood:
    """What stands after a check, by rule and code."""

    rule: str
    code: str
    severity: str
    count: int


@dataclass(frozen=True)
class Former:
    """The latest check of a layer: ``seen`` names the latest run that it knew."""

    id: int
    seen: str
    file_sha256: str
    contract_sha256: str


def _latest(source: Source) -> int:
    row = source.connection.execute(queries.load("fabric")["latest"]).fetchone()
    return int(str(row[0])) if row else 0


def _standing(source: Source, work: Work, latest: int) -> str:
    """A digest of the loads up to ``latest`` that made what the layers are."""
    values = {"layers": work.involved, "latest": latest}
    row = source.connection.execute(queries.load("fabric")["standing"], values).fetchone()
    return hashlib.sha256(str(row[0] if row else "").encode()).hexdigest()


def _former(source: Source, work: Work) -> Former | None:
    with source.connection.cursor(row_factory=class_row(Former)) as cursor:
        query = queries.load("fabric")["former"]
        return cursor.execute(query, {"layer": work.layer.id}).fetchone()


def _rules(source: Source, work: Work) -> str:
    """A digest of the rules that are checked, and of what the city says about them."""
    parts = [rule.model_dump_json() for rule in work.rules] + [source.schemas.city.id]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def since(source: Source, work: Work) -> int | None:
    """The latest run that the last check of the layer has seen; None if all must be checked.

    So it is where there was none, rules have changed, or a load that it saw has been undone.
    """
    former = _former(source, work)
    if former is None or former.contract_sha256 != _rules(source, work):
        return None
    seen = int(former.seen)
    return seen if former.file_sha256 == _standing(source, work, seen) else None


def record(
    database: Database,
    source: Source,
    work: Work,
    asked: Asked,
    found: dict[tuple[str, str], Faults],
) -> tuple[int | None, list[Stood]]:
    """Writes the run and its findings in one transaction; returns its number and what stands.

    There is no run where no rule could be checked, and none was before.
    """
    if not work.rules and _former(source, work) is None:
        return None, []
    latest = _latest(source)
    arrival = Arrival(Path(str(latest)), _standing(source, work, latest), 0)
    with database.connect("loader") as connection:
        run = ledger.start(
            connection, arrival, kind="fabric", layer=work.layer.id, contract=_rules(source, work)
        )
        _replace(connection, work, asked, run)
        for rule in work.rules:
            faults = found.get((work.layer.id, rule.id), Faults())
            head = (run, work.layer.id, rule.id, rule.severity)
            _put(connection, faults, source.schemas.city.srid, head)
        rows = len(asked.ids)
        account = Account(arrived=rows, unchanged=rows)
        what = f"{'all' if work.since is None else 'changed'} rows, {len(work.rules)} rules"
        ledger.finish(connection, run, "done", account, message=what)
        quality.measure(connection, run, work.layer)
        counted = connection.execute(queries.load("fabric")["counted"], {"run": run}).fetchall()
    stands = [Stood(str(r), str(c), str(s), int(str(n))) for r, c, s, n in counted]
    return run, stands


def _replace(connection: Connection, work: Work, asked: Asked, run: int) -> None:
    """What former checks found goes, or becomes this run's where nobody has looked again."""
    named = queries.load("fabric")
    values: dict[str, object] = {"layer": work.layer.id, "run": run}
    if work.since is None:
        connection.execute(named["replace_all"], values)
        return
    own = table(work.layer.id)
    keys = sql.SQL(named["keys"]).format(key=key_text(work.layer), table=own)
    rows = connection.execute(keys, {"ids": asked.ids.tolist()}).fetchall()
    values["keys"] = [row[0] for row in rows]
    values["whole"] = [rule.id for rule in work.rules if not rule.tiled]
    query = sql.SQL(named["replace_some"]).format(key=key_text(work.layer, "t"), table=own)
    connection.execute(query, values)
    connection.execute(named["take_over"], values)


def _put(
    connection: Connection, faults: Faults, srid: int, head: tuple[int, str, str, str]
) -> None:
    """Findings by COPY; ``head``: run, layer, rule, severity."""
    if not len(faults):
        return
    run, layer, rule, severity = head
    shapes = np.array(faults.shape, dtype=object)
    texts, points = (
        shapely.to_wkb(shapely.set_srid(made, srid), hex=True, include_srid=True)
        for made in (shapes, shapely.point_on_surface(shapes))
    )
    with connection.cursor() as cursor, cursor.copy(queries.load("fabric")["put"]) as copy:
        for code, key, value, *rest in zip(
            faults.code, faults.key, faults.value, faults.detail, texts, points, strict=True
        ):
            copy.write_row((run, code, severity, layer, key, rule, value, *rest))
