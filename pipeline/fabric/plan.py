"""Plan: which rules are to be checked over which rows, and what each needs to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from psycopg import sql

from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.fabric.source import Reader, Source, history, table
from pipeline.fabric.tiles import Asked

# How far a line may lie from its axis (m): half of the widest road a contract takes.
_WIDEST_M = 100.0
_CLOSE_M = 0.1


Chosen = Callable[[LayerContract, FabricRule], bool]


@dataclass
class Work:
    """One layer's check: its rules that can be checked, and why others cannot.

    ``since``: the run after which changes are looked at, None for all rows.
    """

    layer: LayerContract
    rules: list[FabricRule] = field(default_factory=list)
    unchecked: dict[str, str] = field(default_factory=dict)
    since: int | None = None

    @property
    def involved(self) -> list[str]:
        """All layers whose rows have a say."""
        named = [rule.other for rule in self.layer.fabric if rule.other]
        return list(dict.fromkeys([self.layer.id, *named]))

    @property
    def tiled(self) -> list[FabricRule]:
        """The rules that look at shapes, tile by tile."""
        return [rule for rule in self.rules if rule.tiled]

    @property
    def reach(self) -> float:
        """How far (m) from a row what it is judged by can lie."""
        return max((reach(rule) for rule in self.rules), default=0.0)


def reach(rule: FabricRule) -> float:
    """How far (m) from its box a row's neighbours matter."""
    if rule.kind == "parallel":
        return _WIDEST_M
    return rule.tolerance + _CLOSE_M if rule.measure == "m" else _CLOSE_M


def plan(source: Source, layers: tuple[str, ...], chosen: Chosen | None = None) -> list[Work]:
    """The work on ``layers`` and on those that are judged by them; on all if none is named.
    ``chosen``: whether a rule of a layer is to be checked at all."""
    schemas = source.schemas
    made = []
    for name in schemas.load_order:
        layer = schemas.layers[name]
        others = {rule.other for rule in layer.fabric}
        wanted = not layers or name in layers or others & set(layers)
        if layer.fabric and wanted:
            made.append(_work(source, layer, chosen))
    return made


def _work(source: Source, layer: LayerContract, chosen: Chosen | None) -> Work:
    work = Work(layer)
    for rule in layer.fabric:
        if chosen and not chosen(layer, rule):
            continue
        reason = _hindrance(source, layer, rule)
        if reason is None:
            work.rules.append(rule)
        else:
            work.unchecked[rule.id] = reason
    return work


def _hindrance(source: Source, layer: LayerContract, rule: FabricRule) -> str | None:
    if f"{layer.id}.{rule.id}" in source.schemas.city.fabric_off:
        return "does not hold in this city"
    if not source.has_rows(layer.id):
        return f"{layer.id} has no rows"
    if rule.other and not source.has_rows(rule.other):
        return f"{rule.other} has no rows"
    if rule.without and source.has_rows(rule.without):
        return f"{rule.without} has rows"
    for fact in rule.facts:
        if fact in source.never_derived:
            return f"{fact} was never derived"
    return None


def asked(work: Work, reader: Reader, schemas: Schemas) -> Asked:
    """The rows to be checked: all, or those in or near a place where something has changed."""
    named = queries.load("fabric")
    own = table(work.layer.id)
    if not work.tiled:
        return Asked(work.layer.id, np.zeros(0, np.int64), np.zeros((0, 4)))
    if work.since is None:
        return reader.asked(work.layer.id, sql.SQL(named["asked"]).format(table=own))
    since = sql.Literal(work.since)
    changes = [
        sql.SQL(named["changes"]).format(table=table(name), history=history(name), since=since)
        for name in work.involved
        if schemas.layer(name).geometry
    ]
    return _touched(work, reader, schemas, changes)


def near(
    work: Work, reader: Reader, schemas: Schemas, boxes: list[tuple[float, float, float, float]]
) -> Asked:
    """The rows that lie in or near one of ``boxes`` (the city's CRS)."""
    box = sql.SQL(queries.load("fabric")["box"])
    srid = sql.Literal(schemas.city.srid)
    named = ("x0", "y0", "x1", "y1")
    changes = [
        box.format(srid=srid, **dict(zip(named, map(sql.Literal, one), strict=True)))
        for one in boxes
    ]
    return _touched(work, reader, schemas, changes)


def _touched(work: Work, reader: Reader, schemas: Schemas, changes: list[sql.Composed]) -> Asked:
    query = sql.SQL(queries.load("fabric")["touched"]).format(
        table=table(work.layer.id),
        changes=sql.SQL(" UNION ALL ").join(changes),
        reach=sql.Literal(work.reach / schemas.city.metres_per_unit),
    )
    return reader.asked(work.layer.id, query)
