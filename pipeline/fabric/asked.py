"""Asked: rules about all rows of a layer at once; most of them the database answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from psycopg import sql

from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.layer import LayerContract
from pipeline.db import queries
from pipeline.derive.keys import key_text
from pipeline.fabric import between
from pipeline.fabric.faults import Faults
from pipeline.fabric.part import Shapes
from pipeline.fabric.source import Reader, Source, table


def ask(source: Source, layer: LayerContract, rule: FabricRule) -> Faults:
    """What a rule that is not tiled finds."""
    kinds = {"query": answered, "refers_to": orphans, "between": levels}
    return kinds[rule.kind](source, layer, rule)


def levels(source: Source, layer: LayerContract, rule: FabricRule) -> Faults:
    """Rows of ``layer`` that do not lie between the rows of the other layer that they see."""
    reader = Reader(source.connection, source.schemas)
    part = reader.part(layer.id, rule.own_fields)
    return between.not_between(rule, part, reader.part(rule.other or "", rule.other_fields))


def orphans(source: Source, layer: LayerContract, rule: FabricRule) -> Faults:
    """All rows of ``layer`` whose link leads nowhere; rows that give no link are none."""
    pairs = [(sql.Identifier("t", a), sql.Identifier("o", b)) for a, b in rule.link.items()]
    both = sql.SQL(" AND ")
    chosen = [
        sql.SQL("{} = ANY({})").format(sql.Identifier("t", name), sql.Literal(list(values)))
        for name, values in rule.where.items()
    ]
    query = sql.SQL(queries.load("fabric")["orphans"]).format(
        key=key_text(layer, "t"),
        named=sql.SQL(" || ' ' || ").join(sql.SQL("{}::text").format(a) for a, _ in pairs),
        table=table(layer.id),
        given=both.join(sql.SQL("{} IS NOT NULL").format(a) for a, _ in pairs),
        chosen=both.join(chosen) if chosen else sql.SQL("true"),
        other=table(rule.other or layer.id),
        match=both.join(sql.SQL("{} = {}").format(a, b) for a, b in pairs),
    )
    rows = source.connection.execute(query).fetchall()
    found = [(row[0], row[1], rule.other or "", row[2]) for row in rows]
    return _faults("fabric.orphan", found)


def answered(source: Source, layer: LayerContract, rule: FabricRule) -> Faults:
    """What the rule's own query (schemas/fabric/) finds: key, value, detail and shape of each."""
    path = source.schemas.rule_file(layer, rule)
    values = {"tolerance": rule.tolerance, "unit": source.schemas.city.metres_per_unit}
    rows = source.connection.execute(path.read_bytes(), values).fetchall()
    return _faults(rule.finding or "", rows)


def _faults(code: str, rows: Sequence[tuple[Any, ...]]) -> Faults:
    raw = np.array([row[3] for row in rows], dtype=object)
    shapes: Shapes = np.asarray(shapely.from_wkb(raw), dtype=object)
    made = Faults()
    values = [None if row[1] is None else str(row[1]) for row in rows]
    details = [str(row[2]) for row in rows]
    made.add(code, [str(row[0]) for row in rows], shapes, values=values, details=details)
    return made
