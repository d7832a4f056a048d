"""Composed: the identifiers that the queries about a match leave open (schemas/sql/facts.sql)."""

from __future__ import annotations

from psycopg import sql

from pipeline.contracts.fact import Compare, FactContract
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.derive.columns import DATA, GEOMETRY
from pipeline.joins.beside import Beside

Parts = dict[str, sql.Composable]


def key_of(layer: LayerContract, alias: str) -> sql.Composed:
    """The key of a row as people read it, its parts joined by a blank."""
    names = [sql.SQL("{}::text").format(sql.Identifier(alias, name)) for name in layer.key]
    return sql.SQL(" || ' ' || ").join(names)


def parts(schemas: Schemas, fact: FactContract, beside: Beside) -> Parts:
    """Tables of the fact, its subjects and objects; what a subject says of its object, its key
    and its shape."""
    subject, other = schemas.layer(fact.subject), schemas.layer(fact.object)
    first = said_field(fact)
    return {
        "table": beside.table(fact.id),
        "subjects": sql.Identifier(DATA, subject.id),
        "objects": sql.Identifier(DATA, other.id),
        "key": key_of(subject, "s"),
        "said": sql.SQL("{}::text").format(sql.Identifier("s", first)) if first else sql.NULL,
        "geom": sql.Identifier("s", GEOMETRY) if subject.geometry else sql.NULL,
    }


def said_field(fact: FactContract) -> str | None:
    """The field by which subjects name their object: that of the first rung that compares texts."""
    return next((rung.equal[0].subject for rung in fact.rungs if rung.equal), None)


def comparison(schemas: Schemas, fact: FactContract, compare: Compare, beside: Beside) -> Parts:
    """``said`` and ``measured`` of one comparison, as queries over object ids."""
    named = queries.load("facts")
    measure: sql.Composable = sql.Identifier("o", compare.object)
    if compare.times:
        measure = sql.SQL("{} * {}").format(measure, sql.Identifier("o", compare.times))
    if compare.via:
        via = schemas.facts[compare.via]
        measured = sql.SQL(named["laid_measure"]).format(
            gather=sql.SQL("sum" if compare.how == "sum" else "max"),
            measure=measure,
            table=beside.table(fact.id),
            via=beside.table(via.id),
            laid=sql.Identifier(DATA, via.subject),
        )
    else:
        measured = sql.SQL(named["plain_measure"]).format(
            measure=measure,
            table=beside.table(fact.id),
            objects=sql.Identifier(DATA, fact.object),
        )
    said = named["said_together" if compare.how == "sum" else "said_each"]
    return {
        **parts(schemas, fact, beside),
        "measured": measured,
        "said": sql.SQL(said).format(
            table=beside.table(fact.id),
            subjects=sql.Identifier(DATA, fact.subject),
            said=sql.Identifier(compare.subject),
        ),
    }
