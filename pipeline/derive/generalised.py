"""The table of a layer as it looks from afar: shapes of classes, one set for each zoom level.

Like facts they can be worked out again, so no migration makes the table and a changed contract
empties it.
"""

from __future__ import annotations

import hashlib

from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import DATA, GEOMETRY, HISTORY, ID

GENERALISED = "generalised"
ZOOM, CODE = "zoom", "code"
#: Raised when shapes come out otherwise than before from the same rows.
_METHOD = 1


def layers(schemas: Schemas) -> tuple[LayerContract, ...]:
    """Layers that are generalised."""
    return tuple(layer for layer in schemas.layers.values() if layer.publish.levels)


def state_name(layer: LayerContract) -> str:
    """What the state of the layer's generalised shapes is called; no layer is called so."""
    return f"{GENERALISED}_{layer.id}"


def digest(schemas: Schemas, layer: LayerContract) -> str:
    """SHA-256 of everything that decides what the shapes are."""
    parts = [
        str(_METHOD),
        repr(layer.publish.levels),
        layer.style.model_dump_json(include={"field"}),
        repr([(one.code, one.min_zoom) for one in layer.style.classes]),
        repr(layer.geometry),
        str(schemas.city.srid),
        repr(schemas.city.extent),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def table(schemas: Schemas, layer: LayerContract) -> sql.Composed:
    """``CREATE TABLE generalised.<layer>``: one spatial index a level."""
    name = sql.Identifier(GENERALISED, layer.id)
    made: list[sql.Composable] = [
        sql.SQL(
            "CREATE TABLE {} ({} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {} smallint NOT "
            "NULL, across integer NOT NULL, down integer NOT NULL, {} text, "
            "{} geometry(Geometry, {}) NOT NULL);"
        ).format(
            name,
            *(sql.Identifier(one) for one in (ID, ZOOM, CODE, GEOMETRY)),
            sql.Literal(schemas.city.srid),
        ),
        sql.SQL("COMMENT ON TABLE {} IS {};").format(
            name, sql.Literal(f"{layer.title.en}, from afar | {layer.title.fa}، از دور")
        ),
        sql.SQL("CREATE INDEX {} ON {} ({}, across, down);").format(
            sql.Identifier(f"ix_{layer.id}_chunk"), name, sql.Identifier(ZOOM)
        ),
    ]
    made += [
        sql.SQL("CREATE INDEX {} ON {} USING gist ({}) WHERE {} = {};").format(
            sql.Identifier(f"ix_{layer.id}_{zoom}"),
            name,
            sql.Identifier(GEOMETRY),
            sql.Identifier(ZOOM),
            sql.Literal(zoom),
        )
        for zoom in layer.publish.levels
    ]
    return sql.Composed(made)


def shown(layer: LayerContract, audience: Audience) -> bool:
    """Whether ``audience`` sees it: shapes of classes tell the class, so it must see that field."""
    if not layer.publish.levels or not audience.sees(layer):
        return False
    field = layer.style.field
    return field is None or field in {one.name for one in audience.fields(layer)}


def view(layer: LayerContract, audience: Audience) -> sql.Composed:
    """``CREATE VIEW api.generalised_<layer>``."""
    columns = sql.SQL(", ").join(sql.Identifier(one) for one in (ID, ZOOM, CODE, GEOMETRY))
    return sql.SQL("CREATE VIEW {} AS SELECT {} FROM {};").format(
        sql.Identifier(audience.schema_name, state_name(layer)),
        columns,
        sql.Identifier(GENERALISED, layer.id),
    )


def moved_name(layer: LayerContract) -> str:
    """The view of where loads have changed the layer; no layer is called so."""
    return f"moved_{layer.id}"


def moved(layer: LayerContract, audience: Audience) -> sql.Composed:
    """``CREATE VIEW api.moved_<layer>``: the place of each row by the load that brought it, and of
    each former one by the load that ended it. Tiles are thrown away by it: all of them after an
    undo, so what an undo has withdrawn tells nothing of later loads."""
    geom = sql.Identifier(GEOMETRY)
    return sql.SQL(
        "CREATE VIEW {} AS SELECT run_id AS run, {} FROM {} "
        "UNION ALL SELECT ended_by, {} FROM {} WHERE withdrawn_by IS NULL;"
    ).format(
        sql.Identifier(audience.schema_name, moved_name(layer)),
        geom,
        sql.Identifier(DATA, layer.id),
        geom,
        sql.Identifier(HISTORY, layer.id),
    )


def has_moved(layer: LayerContract) -> bool:
    """Whether it is known where loads have changed the layer."""
    return layer.source == "feed" and layer.geometry is not None and layer.publish.tiles
