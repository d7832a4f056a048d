"""Names: what can be found by its name, and the views that show it to each audience."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import LiteralString

from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import KEY_ENDING
from pipeline.derive.views import published_fields

#: The view of every name once.
NAME = "makan_name"
#: The view of everything that can be found by its name.
PLACE = "makan_place"


def places(
    template: LiteralString, schemas: Schemas, layers: Iterable[LayerContract], audience: Audience
) -> sql.Composed:
    """The view of names: ``template`` (schemas/sql/answers.sql) once for every searched text that
    ``audience`` sees of a layer with places."""
    branches = [
        sql.SQL(template).format(
            layer=sql.Literal(layer.id),
            name=sql.Identifier(name),
            key=sql.Identifier(name + KEY_ENDING),
            view=sql.Identifier(audience.schema_name, layer.id),
        )
        for layer in layers
        if layer.geometry and layer.source in ("feed", "process")
        for name, field in published_fields(schemas, layer, audience).items()
        if field.search
    ]
    relation = sql.Identifier(audience.schema_name, PLACE)
    return sql.SQL("CREATE VIEW {} AS {};").format(relation, sql.SQL(" UNION ALL ").join(branches))


def searched(schemas: Schemas) -> Iterator[tuple[LayerContract, tuple[Field, ...]]]:
    """Layers with places that feeds load, and their texts that are searched."""
    for name in schemas.load_order:
        layer = schemas.layers[name]
        fields = tuple(field for field in layer.fields if field.search)
        if layer.geometry and layer.source == "feed" and fields:
            yield layer, fields


def names(
    templates: dict[str, LiteralString], schemas: Schemas, audience: Audience
) -> sql.Composed:
    """The view of every name once (schemas/sql/answers.sql), of the texts that it sees."""
    shown = [
        f"{layer.id}.{field.name}"
        for layer, fields in searched(schemas)
        for field in fields
        if field in audience.fields(layer)
    ]
    view = sql.Identifier(audience.schema_name, NAME)
    return sql.SQL(templates["name_view"]).format(view=view, shown=sql.Literal(shown))


def kept_names(template: LiteralString, schemas: Schemas) -> Iterator[sql.Composed]:
    """What makes the triggers that keep the names of each searched layer."""
    for layer, fields in searched(schemas):
        listed = sql.SQL(", ").join(sql.Literal(field.name) for field in fields)
        yield sql.SQL(template).format(layer=sql.Literal(layer.id), fields=listed)
