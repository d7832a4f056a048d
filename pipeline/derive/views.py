"""The ``api`` schema: one plain view a public layer, its public fields by published name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from psycopg import sql

from pipeline.contracts.layer import Field, LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import DATA, GEOMETRY, ID

API = "api"
#: The view that says which load each public layer is at; no layer has this name.
VERSION = "makan_version"


def published_fields(schemas: Schemas, layer: LayerContract) -> dict[str, Field]:
    """Public fields by the name clients see, in the contract's order."""
    return {schemas.city.published(field.name): field for field in layer.public_fields}


def view(schemas: Schemas, layer: LayerContract) -> sql.Composed:
    """``CREATE VIEW api.<layer>`` with its comments, as statements ending in semicolons."""
    columns: list[sql.Composable] = [sql.Identifier(ID)]
    for name, field in published_fields(schemas, layer).items():
        columns.append(sql.SQL("{} AS {}").format(sql.Identifier(field.name), sql.Identifier(name)))
    if layer.geometry:
        columns.append(sql.Identifier(GEOMETRY))
    relation = sql.Identifier(API, layer.id)
    made: list[sql.Composable] = [
        sql.SQL("CREATE VIEW {} AS SELECT {} FROM {};").format(
            relation, sql.SQL(", ").join(columns), sql.Identifier(DATA, layer.id)
        )
    ]
    made.append(_comment(sql.SQL("VIEW {}").format(relation), layer.title.en, layer.title.fa))
    for column, field in published_fields(schemas, layer).items():
        target = sql.SQL("COLUMN {}").format(sql.Identifier(API, layer.id, column))
        made.append(_comment(target, field.title.en, field.title.fa))
    return sql.Composed(made)


def version(template: LiteralString, layers: Iterable[LayerContract]) -> sql.Composed:
    """``template`` (schemas/sql/serve.sql) for the public ``layers``: of no other is told."""
    public = [sql.Literal(layer.id) for layer in layers if layer.is_public]
    return sql.SQL(template).format(
        view=sql.Identifier(API, VERSION), layers=sql.SQL(", ").join(public)
    )


def _comment(target: sql.Composable, en: str, fa: str) -> sql.Composed:
    return sql.SQL("COMMENT ON {} IS {};").format(target, sql.Literal(f"{en} | {fa}"))
