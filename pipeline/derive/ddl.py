"""The SQL a migration needs: what the contracts' tables are in PostgreSQL's own words."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import (
    CreateIndex,
    CreateTable,
    ExecutableDDLElement,
    SetColumnComment,
    SetTableComment,
)

from pipeline.contracts.registry import Schemas
from pipeline.derive import tables

PLACEHOLDER = ":srid"
_MARK = 999_999
DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def _text(element: ExecutableDDLElement) -> str:
    compiled = str(element.compile(dialect=DIALECT)).strip()
    return compiled.replace("%%", "%").replace(str(_MARK), PLACEHOLDER) + ";"


def _statements(table: Table) -> Iterator[str]:
    yield _text(CreateTable(table))
    yield _text(SetTableComment(table))
    for column in table.columns:
        yield _text(SetColumnComment(column))
    for index in sorted(table.indexes, key=lambda found: str(found.name)):
        yield _text(CreateIndex(index))
    if tables.AFTERWARDS in table.info:
        yield f"{table.info[tables.AFTERWARDS]};"


def create_statements(schemas: Schemas, *layers: str) -> list[str]:
    """Statements that create the tables of ``layers`` (all when none is named), SRID left open."""
    found = MetaData()
    names = layers or schemas.load_order
    made = [
        make(schemas.layer(name), _MARK, found)
        for name in names
        for make in tables.makers(schemas.layer(name))
    ]
    return [statement for table in made for statement in _statements(table)]
