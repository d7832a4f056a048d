"""The schemas of audiences: one plain view a layer, the fields they see by published name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import Field, LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import DERIVED, GEOMETRY, ID, KEY_ENDING, home

#: The view that says which load each layer of an audience is at; no layer has this name.
VERSION = "makan_version"
#: The view of the keys that open an audience's server; no layer has this name.
ACCESS = "makan_access"


def published_fields(
    schemas: Schemas, layer: LayerContract, audience: Audience
) -> dict[str, Field]:
    """Fields that ``audience`` sees by the name clients see, in the contract's order."""
    return {schemas.city.published(field.name): field for field in audience.fields(layer)}


def search_keys(schemas: Schemas, layer: LayerContract, audience: Audience) -> dict[str, str]:
    """The columns of folded texts in the view, and those of the table; no collection shows them."""
    return {
        name + KEY_ENDING: field.name + KEY_ENDING
        for name, field in published_fields(schemas, layer, audience).items()
        if field.search
    }


def own_view(schemas: Schemas, layer: LayerContract) -> sql.Composed:
    """``CREATE VIEW derived.<layer>`` for a layer whose source is a view; its file is the query."""
    query = schemas.view_file(layer).read_text(encoding="utf-8")
    return sql.SQL("CREATE VIEW {} AS {}").format(
        sql.Identifier(DERIVED, layer.id), _trusted(query)
    )


def _trusted(query: str) -> sql.SQL:
    """SQL of schemas/, which is ours: braces in it mean nothing."""
    return sql.SQL(query.strip().rstrip(";") + ";")


def view(schemas: Schemas, layer: LayerContract, audience: Audience) -> sql.Composed:
    """``CREATE VIEW api.<layer>`` with its comments, as statements ending in semicolons."""
    columns: list[sql.Composable] = [sql.Identifier(ID)]
    shown = published_fields(schemas, layer, audience)
    for name, field in shown.items():
        columns.append(sql.SQL("{} AS {}").format(sql.Identifier(field.name), sql.Identifier(name)))
    for name, column in search_keys(schemas, layer, audience).items():
        columns.append(sql.SQL("{} AS {}").format(sql.Identifier(column), sql.Identifier(name)))
    if layer.geometry:
        columns.append(sql.Identifier(GEOMETRY))
    relation = sql.Identifier(audience.schema_name, layer.id)
    made: list[sql.Composable] = [
        sql.SQL("CREATE VIEW {} AS SELECT {} FROM {};").format(
            relation, sql.SQL(", ").join(columns), sql.Identifier(home(layer), layer.id)
        )
    ]
    made.append(_comment(sql.SQL("VIEW {}").format(relation), layer.title.en, layer.title.fa))
    for column, field in shown.items():
        target = sql.SQL("COLUMN {}").format(sql.Identifier(audience.schema_name, layer.id, column))
        made.append(_comment(target, field.title.en, field.title.fa))
    return sql.Composed(made)


def version(
    template: LiteralString, layers: Iterable[LayerContract], audience: Audience
) -> sql.Composed:
    """``template`` (schemas/sql/serve.sql) for what ``audience`` sees: of no other is told."""
    seen = [layer for layer in layers if audience.sees(layer)]
    return sql.SQL(template).format(
        view=sql.Identifier(audience.schema_name, VERSION),
        layers=sql.Literal([layer.id for layer in seen if layer.source != "view"]),
        views=sql.Literal([layer.id for layer in seen if layer.source == "view"]),
    )


def access(template: LiteralString, audience: Audience) -> sql.Composed:
    """``template`` (schemas/sql/access.sql): the keys that open this audience's server."""
    return sql.SQL(template).format(
        view=sql.Identifier(audience.schema_name, ACCESS), audience=sql.Literal(audience.id)
    )


def _comment(target: sql.Composable, en: str, fa: str) -> sql.Composed:
    return sql.SQL("COMMENT ON {} IS {};").format(target, sql.Literal(f"{en} | {fa}"))
