"""Promote: a draft edition becomes the approved one and those in force become former, at once.

Both are rows of one change: one statement, so that no moment has two editions or none, one run of
the ledger and one publication, which ``makan undo`` takes back.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from pipeline import __version__, dates
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.lineage import Succession
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger, queries
from pipeline.db.city import check_city
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import LINE
from pipeline.errors import GuardError, SettingsError
from pipeline.fabric.asked import answered
from pipeline.fabric.source import Source
from pipeline.findings import Catalog, Finding
from pipeline.joins.plan import Edition, edition
from pipeline.stages.merge import composed
from pipeline.stages.stage import stored

#: What stands in the way of an edition, unless it is accepted by its name.
ACCEPTABLE = (
    *("plan.unzoned", "plan.overlap", "plan.beyond", "plan.uncovered", "plan.two_approved"),
    "plan.too_early",
)
_STAGE = sql.Identifier("succession")
_NOISE_SHARE = 0.001
"""Of a boundary or its blocks: so much is a matter of drawing (the acceptance of plan layers)."""
_NOISE_M2 = 0.01


@dataclass(frozen=True)
class Promoted:
    """How it went: ``run`` of the ledger, the editions that are former now, what was found."""

    run: int
    layer: str
    edition: str
    superseded: list[str]
    findings: list[Finding]


def promote(
    database: Database,
    schemas: Schemas,
    plan_id: str,
    *,
    accept: frozenset[str] = frozenset(),
    valid_from: datetime | None = None,
) -> Promoted:
    """The draft ``plan_id`` holds from ``valid_from`` on (None: now), where it lies it alone.

    Raises SettingsError where it is no draft, GuardError where findings stand in its way that
    ``accept`` does not name, DatabaseError where a load of its layers is under way; then nothing
    has changed.
    """
    layer, rule = _layer(schemas)
    if valid_from is not None:
        valid_from = dates.placed(valid_from, schemas.city.timezone)
    with database.connect("loader") as connection:
        check_city(connection, schemas)
        for name in (layer.id, *rule.judged_by):
            ledger.lock(connection, name)
        source = Source(database, schemas, connection, "")
        return _Succession(source, layer, rule, plan_id, accept, valid_from).carry_out()


def _layer(schemas: Schemas) -> tuple[LayerContract, Succession]:
    for layer in schemas.layers.values():
        if layer.succession is not None:
            return layer, layer.succession
    raise SettingsError("no layer has editions", todo="See [succession] in schemas/README.md.")


@dataclass
class _Succession:
    """One succession in its transaction, that of ``source``."""

    source: Source
    layer: LayerContract
    rule: Succession
    plan_id: str
    accept: frozenset[str]
    valid_from: datetime | None
    catalog: Catalog = field(default_factory=Catalog.load)

    @property
    def connection(self) -> Connection:
        """Its connection."""
        return self.source.connection

    @property
    def schemas(self) -> Schemas:
        """The contracts."""
        return self.source.schemas

    def carry_out(self) -> Promoted:
        """Judges, changes, judges again what only the change can show."""
        own, drafted = self._draft()
        in_the_way = self._rows("in_the_way")
        found = list(self._judged(drafted, in_the_way))
        self._refuse(found)
        doubled = self._doubled()
        former = [str(row[1]) for row in in_the_way]
        run = self._replace([own, *(int(row[0]) for row in in_the_way)], former)
        added = [one for one in self._doubled() if one not in doubled]
        self._refuse(added)
        self._tell(run, [*found, *added])
        return Promoted(run, self.layer.id, self.plan_id, former, [*found, *added])

    def _draft(self) -> tuple[int, Edition]:
        """The draft's row, kept from others, and what is known of it."""
        rows = self._rows("document")
        drafted = edition(self.connection, self.schemas, self.plan_id)
        if not rows or drafted is None:
            known = ", ".join(str(row[0]) for row in self._rows("drafts")) or "none"
            raise SettingsError(f"there is no edition {self.plan_id}", todo=f"Drafts are: {known}.")
        number, state, _ = rows[0]
        if state != self.rule.draft:
            raise SettingsError(
                f"{self.plan_id} is {state or 'of no state'}, not {self.rule.draft}",
                todo="Only a draft can be promoted; `makan plan` lists the editions.",
            )
        if not drafted.zones:
            raise GuardError("the edition has no zones", where=self.plan_id, todo="Load them.")
        return int(number), drafted

    def _judged(self, one: Edition, in_the_way: list[tuple[Any, ...]]) -> Iterator[Finding]:
        """What is found of the draft, whether it stands in its way or not."""
        square = self.schemas.city.metres_per_unit**2
        zoned = one.boundary_m2 or one.zones_m2
        blank = one.blocks_without_zone_m2 or 0.0
        if blank > _NOISE_SHARE * zoned or one.parcels_in_none:
            yield self._finding("plan.unzoned", f"{blank:.2f}", str(one.parcels_in_none))
        if one.doubled_m2 > _NOISE_M2:
            yield self._finding("plan.overlap", f"{one.doubled_m2:.2f}")
        if (one.beyond_m2 or 0.0) > _NOISE_SHARE * zoned:
            yield self._finding("plan.beyond", f"{one.beyond_m2:.2f}")
        if one.codes_without_rule:
            yield self._finding("plan.without_rule", ", ".join(one.codes_without_rule))
        for _, name, began, left, whole in in_the_way:
            if left > _NOISE_SHARE * whole:
                yield self._finding("plan.uncovered", f"{left * square:.2f}", str(name))
            if self.valid_from is not None and began is not None and began > self.valid_from:
                day = f"{self.valid_from:%Y-%m-%d}"
                yield self._finding("plan.too_early", day, f"{name}, {began:%Y-%m-%d}")

    def _doubled(self) -> list[Finding]:
        """What the layer's own queries say: editions in force at one place, told by zones."""
        found = []
        for rule in self.layer.fabric:
            if rule.kind == "query":
                faults = answered(self.source, self.layer, rule)
                found += [
                    Finding(code, self.layer.id, key=key, value=value, detail=detail)
                    for code, key, value, detail in zip(
                        faults.code, faults.key, faults.value, faults.detail, strict=True
                    )
                ]
        return found

    def _finding(self, code: str, value: str, detail: str | None = None) -> Finding:
        return Finding(code, self.layer.id, key=self.plan_id, value=value, detail=detail)

    def _refuse(self, found: list[Finding]) -> None:
        """GuardError for what stands in the way and is not accepted by its name."""
        stopping = [
            one
            for one in found
            if self.catalog.severity(one.code) == "error" and one.code not in self.accept
        ]
        if stopping:
            names = " ".join(f"--accept {code}" for code in dict.fromkeys(o.code for o in stopping))
            raise GuardError(
                "; ".join(self.catalog.message(one) for one in stopping),
                where=self.plan_id,
                todo=f"The edition in force stays. If it is meant, promote with {names}.",
            )

    def _replace(self, ids: list[int], former: list[str]) -> int:
        """The rows by the statement that merges a load: their former versions go to history."""
        named, parts = queries.load("plan"), composed(self.layer, _STAGE)
        run = self._begin(ids, parts)
        # From here on this run alone publishes, to the end of the transaction.
        ledger.publish(self.connection, self.valid_from, run)
        self._stage(ids, parts)
        update = sql.SQL(queries.load("merge")["update"]).format(**parts)
        self.connection.execute(update, {"run": run, "layer": self.layer.id})
        ended = f", {', '.join(former)} superseded" if former else ""
        told = {"message": f"{self.plan_id} is in force{ended}", "accepted": sorted(self.accept)}
        self.connection.execute(named["told"], {"run": run, **told})
        return run

    def _stage(self, ids: list[int], parts: dict[str, sql.Composable]) -> None:
        """The rows as they shall be, aside."""
        named, rule = queries.load("plan"), self.rule
        columns = [*stored(self.layer), LINE]
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        stage = sql.SQL(queries.load("edits")["stage"]).format(**parts, staged_columns=listed)
        self.connection.execute(stage)
        self.connection.execute(sql.SQL(named["stage_rows"]).format(**parts), {"ids": ids})
        key = sql.Identifier(self.layer.key[0])
        succeed = sql.SQL(named["succeed"]).format(
            stage=_STAGE,
            state=sql.Identifier(rule.state),
            dated=sql.Identifier(rule.dated),
            is_draft=sql.SQL("{} = {}").format(key, sql.Literal(self.plan_id)),
        )
        day = self.valid_from or datetime.now(ZoneInfo(self.schemas.city.timezone))
        values = {"held": rule.approved, "former": rule.former, "day": day.date()}
        self.connection.execute(succeed, values)

    def _begin(self, ids: list[int], parts: dict[str, sql.Composable]) -> int:
        words = f"makan plan promote {self.plan_id}"
        query = sql.SQL(queries.load("plan")["one_feed"]).format(**parts)
        feed = self.connection.execute(query, {"ids": ids}).fetchone()
        values = {
            "feed": feed[0] if feed else None,
            "layer": self.layer.id,
            "asked": words,
            "sha256": hashlib.sha256(words.encode()).hexdigest(),
            "size": 0,
            "contract": self.schemas.digest(self.layer.id),
            "code": __version__,
            "operation": None,
            "who": getpass.getuser(),
            "arrived": len(ids),
            "inserted": 0,
            "updated": len(ids),
            "removed": 0,
        }
        row = self.connection.execute(queries.load("edits")["begin"], values).fetchone()
        return int(str(row[0])) if row else 0

    def _tell(self, run: int, found: list[Finding]) -> None:
        """The ledger keeps what was found, what was accepted among it too."""
        rows = [
            {
                "run": run, "layer": self.layer.id, "code": one.code, "key": one.key,
                "severity": self.catalog.severity(one.code), "line": None, "field": None,
                "value": one.value, "detail": one.detail, "place": None,
                "srid": self.schemas.city.srid,
            }
            for one in found
        ]  # fmt: skip
        with self.connection.cursor() as cursor:
            cursor.executemany(queries.load("edits")["tell"], rows)

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        query = queries.load("plan")[name]
        return self.connection.execute(query, {"plan": self.plan_id}).fetchall()
