"""The schemas of audiences: one plain view a layer, the fields they see by published name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import LiteralString

from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.fact import FactContract
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import (
    DATA,
    DERIVED,
    GEOMETRY,
    HISTORY,
    ID,
    KEY_ENDING,
    OWN,
    PRIVATE,
    RUN,
    UNTIL,
    home,
)
from pipeline.derive.facts import COLUMNS, FACTS

#: The view that says which load each layer of an audience is at; no layer has this name.
VERSION = "makan_version"
#: The view of the keys that open an audience's server; no layer has this name.
ACCESS = "makan_access"
#: The view of the jobs of an audience; no layer has this name.
JOB = "makan_job"
#: The view of the loads that rows come from, and that of how fresh facts are.
SOURCE, FRESHNESS = "makan_source", "makan_fact"
#: The view of rasters that are made of layers; no layer has this name.
MODEL = "makan_model"
#: What the functions that fill new rows are called, before the layer's id.
FILLING = "fill_"
#: The view of loads and undos in their order; that of a layer's versions begins so.
PUBLICATION, VERSIONS = "makan_publication", "makan_versions"
#: The view of the raster sheets in force, and that of what documents said when they were made.
IMAGERY, RECEIPT = "makan_imagery", "makan_receipt"
#: The view of what was measured of the data in force.
QUALITY = "makan_quality"


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


def hidden_columns(schemas: Schemas, layer: LayerContract, audience: Audience) -> dict[str, str]:
    """Columns of the view that no collection shows, and those of the table: what texts are searched
    by, and the load that each row is of."""
    run = {RUN: RUN} if layer.source in ("feed", "process") else {}
    return search_keys(schemas, layer, audience) | run


def fact_view(fact: FactContract) -> str:
    """The name of the view of a fact; no layer is called so."""
    return f"fact_{fact.id}"


def facts_of(schemas: Schemas, audience: Audience) -> tuple[FactContract, ...]:
    """The facts that ``audience`` is told: those whose both layers it sees."""
    return tuple(
        fact
        for fact in schemas.fact_order
        if audience.knows(fact)
        and audience.sees(schemas.layers[fact.subject])
        and audience.sees(schemas.layers[fact.object])
    )


def fact(found: FactContract, audience: Audience) -> sql.Composed:
    """``CREATE VIEW api.fact_<id>``: every column of the fact."""
    columns = [sql.Identifier(ID), *(sql.Identifier(one.name) for one in COLUMNS[found.kind])]
    relation = sql.Identifier(audience.schema_name, fact_view(found))
    made = sql.SQL("CREATE VIEW {} AS SELECT {} FROM {};").format(
        relation, sql.SQL(", ").join(columns), sql.Identifier(FACTS, found.id)
    )
    return made + _comment(sql.SQL("VIEW {}").format(relation), found.title.en, found.title.fa)


def told(
    templates: dict[str, LiteralString], schemas: Schemas, audience: Audience
) -> Iterator[sql.Composed]:
    """The views of loads, raster sheets, fresh facts and quality (schemas/sql/answers.sql),
    of what it sees alone."""
    layers = [layer.id for layer in schemas.layers.values() if audience.sees(layer)]
    facts = [fact.id for fact in facts_of(schemas, audience)]
    for name, template, listed in (
        (SOURCE, templates["source_view"], [*layers, *schemas.rasters]),
        (IMAGERY, templates["imagery_view"], list(schemas.rasters)),
        (FRESHNESS, templates["freshness_view"], facts),
        (MODEL, templates["model_view"], layers),
    ):
        relation = sql.Identifier(audience.schema_name, name)
        yield sql.SQL(template).format(view=relation, listed=sql.Literal(listed))
    shown = [schemas.layers[name] for name in layers]
    fields = [f"{one.id}.{field.name}" for one in shown for field in audience.fields(one)]
    yield sql.SQL(templates["quality_view"]).format(
        view=sql.Identifier(audience.schema_name, QUALITY),
        listed=sql.Literal([*layers, *schemas.rasters]),
        fields=sql.Literal(fields),
    )


def versions_view(layer: LayerContract) -> str:
    """The name of the view of a layer's versions; no layer is called so."""
    return f"{VERSIONS}_{layer.id}"


def versions(
    template: LiteralString, schemas: Schemas, layer: LayerContract, audience: Audience
) -> sql.Composed:
    """``template`` (schemas/sql/history.sql): what ``audience`` sees of the layer, over time."""
    now: list[sql.Composable] = []
    former: list[sql.Composable] = []
    for name, field in published_fields(schemas, layer, audience).items():
        now.append(_as("t", field.name, name))
        former.append(_as("h", field.name, name))
    for name, column in search_keys(schemas, layer, audience).items():
        now.append(_as("t", column, name))
        # Former versions are not kept in the form for search: few are looked for.
        folded = sql.Identifier("h", column.removesuffix(KEY_ENDING))
        former.append(sql.SQL("makan.fold({}) AS {}").format(folded, sql.Identifier(name)))
    if layer.geometry:
        now.append(_as("t", GEOMETRY, GEOMETRY))
        former.append(_as("h", GEOMETRY, GEOMETRY))
    return sql.SQL(template).format(
        view=sql.Identifier(audience.schema_name, versions_view(layer)),
        columns=sql.SQL(", ").join(now),
        former=sql.SQL(", ").join(former),
        target=sql.Identifier(home(layer), layer.id),
        history=sql.Identifier(HISTORY, layer.id),
        comment=sql.Literal(f"Versions: {layer.title.en} | نسخه‌ها: {layer.title.fa}"),
    )


def _as(table: str, column: str, name: str) -> sql.Composed:
    return sql.SQL("{} AS {}").format(sql.Identifier(table, column), sql.Identifier(name))


def publications(
    template: LiteralString, layers: Iterable[LayerContract], audience: Audience
) -> sql.Composed:
    """``template`` (schemas/sql/history.sql) for what ``audience`` sees: of no other is told."""
    seen = [layer.id for layer in layers if audience.sees(layer) and layer.source == "feed"]
    return sql.SQL(template).format(
        view=sql.Identifier(audience.schema_name, PUBLICATION), layers=sql.Literal(seen)
    )


def own_view(schemas: Schemas, layer: LayerContract) -> sql.Composed:
    """``CREATE VIEW derived.<layer>`` for a layer whose source is a view; its file is the query."""
    query = _of_city(schemas, schemas.view_file(layer))
    return sql.SQL("CREATE VIEW {} AS {}").format(
        sql.Identifier(DERIVED, layer.id), _trusted(query)
    )


def _of_city(schemas: Schemas, file: Path) -> str:
    """The text of ``file`` with what it leaves open of the city."""
    city, text = schemas.city, file.read_text(encoding="utf-8")
    for name, value in (
        (":srid", city.srid),
        (":metres", city.metres_per_unit),
        (":timezone", city.timezone),
    ):
        text = text.replace(name, str(value))
    return text


def filling(schemas: Schemas, layer: LayerContract) -> sql.Composed:
    """``CREATE FUNCTION makan.fill_<layer>``: fields of a new row that the database fills, as one
    object. Its query (schemas/edits/) has what is ``given``, an object by field, and ``place``."""
    query = _of_city(schemas, schemas.fill_file(layer))
    return sql.SQL(
        "CREATE FUNCTION {}(given jsonb, place geometry) RETURNS jsonb LANGUAGE sql VOLATILE "
        "SECURITY DEFINER SET search_path = pg_catalog, public AS {};"
    ).format(sql.Identifier(OWN, f"{FILLING}{layer.id}"), sql.Literal(query))


def writable(
    named: dict[str, LiteralString],
    layer: LayerContract,
    audience: Audience,
    role: dict[str, sql.Identifier],
) -> list[sql.Composed]:
    """Grants (schemas/sql/bootstrap.sql) by which ``role`` writes rows of ``layer``."""
    table, history = sql.Identifier(DATA, layer.id), sql.Identifier(HISTORY, layer.id)
    view = sql.Identifier(audience.schema_name, layer.id)
    parts = {"table": table, "history": history, "view": view, **role}
    found = [sql.SQL(named["grant_writable"]).format(**parts)]
    if layer.personal:
        private = sql.Identifier(PRIVATE, layer.id)
        found.append(sql.SQL(named["grant_personal"]).format(table=private, **role))
    return found


def _trusted(query: str) -> sql.SQL:
    """SQL of schemas/, which is ours: braces in it mean nothing."""
    return sql.SQL(query.strip().rstrip(";") + ";")


def view(schemas: Schemas, layer: LayerContract, audience: Audience) -> sql.Composed:
    """``CREATE VIEW api.<layer>`` with its comments, as statements ending in semicolons."""
    columns: list[sql.Composable] = [sql.Identifier(ID)]
    shown = published_fields(schemas, layer, audience)
    for name, field in shown.items():
        columns.append(sql.SQL("{} AS {}").format(sql.Identifier(field.name), sql.Identifier(name)))
    for name, column in hidden_columns(schemas, layer, audience).items():
        columns.append(sql.SQL("{} AS {}").format(sql.Identifier(column), sql.Identifier(name)))
    if layer.geometry:
        columns.append(sql.Identifier(GEOMETRY))
    relation = sql.Identifier(audience.schema_name, layer.id)
    ending = any(feed.layer == layer.id and feed.tells(UNTIL) for feed in schemas.feeds.values())
    now = sql.SQL(" WHERE {0} IS NULL OR {0} > now()").format(sql.Identifier(UNTIL))
    made: list[sql.Composable] = [
        sql.SQL("CREATE VIEW {} AS SELECT {} FROM {}{};").format(
            relation,
            sql.SQL(", ").join(columns),
            sql.Identifier(home(layer), layer.id),
            # Where no data say that rows end, none is asked.
            now if ending else sql.SQL(""),
        )
    ]
    made.append(_comment(sql.SQL("VIEW {}").format(relation), layer.title.en, layer.title.fa))
    for column, field in shown.items():
        target = sql.SQL("COLUMN {}").format(sql.Identifier(audience.schema_name, layer.id, column))
        made.append(_comment(target, field.title.en, field.title.fa))
    return sql.Composed(made)


def version(
    template: LiteralString, schemas: Schemas, layers: Iterable[LayerContract], audience: Audience
) -> sql.Composed:
    """``template`` (schemas/sql/serve.sql) for what ``audience`` sees: of no other is told."""
    seen = [layer for layer in layers if audience.sees(layer)]
    return sql.SQL(template).format(
        view=sql.Identifier(audience.schema_name, VERSION),
        zone=sql.Literal(schemas.city.timezone),
        layers=sql.Literal([layer.id for layer in seen if layer.source in ("feed", "process")]),
        views=sql.Literal([layer.id for layer in seen if layer.source in ("view", "log")]),
        model=sql.Literal(MODEL),
    )


def below(schemas: Schemas, audience: Audience) -> list[str]:
    """The audiences that see no more than ``audience`` does, itself among them."""
    shown = set(audience.privacy)
    return [one.id for one in schemas.audiences.values() if set(one.privacy) <= shown]


def receipts(
    templates: dict[str, LiteralString], schemas: Schemas, audience: Audience
) -> Iterator[sql.Composed]:
    """The view of receipts (schemas/sql/receipts.sql): its own, which its role may add to, and
    those of audiences that see no more than it does."""
    view = sql.Identifier(audience.schema_name, RECEIPT)
    yield sql.SQL(templates["view"]).format(
        view=view,
        audience=sql.Literal(audience.id),
        audiences=sql.Literal(below(schemas, audience)),
    )
    yield sql.SQL(templates["grant"]).format(view=view, role=sql.Identifier(audience.login))


def access(template: LiteralString, audience: Audience) -> sql.Composed:
    """``template`` (schemas/sql/access.sql): the keys that open this audience's server."""
    return sql.SQL(template).format(
        view=sql.Identifier(audience.schema_name, ACCESS), audience=sql.Literal(audience.id)
    )


def jobs(templates: dict[str, LiteralString], audience: Audience) -> Iterator[sql.Composed]:
    """The view of an audience's jobs (schemas/sql/jobs.sql), and what its role may do to them."""
    view = sql.Identifier(audience.schema_name, JOB)
    yield sql.SQL(templates["view"]).format(view=view, audience=sql.Literal(audience.id))
    yield sql.SQL(templates["grant"]).format(view=view, role=sql.Identifier(audience.login))


def _comment(target: sql.Composable, en: str, fa: str) -> sql.Composed:
    return sql.SQL("COMMENT ON {} IS {};").format(target, sql.Literal(f"{en} | {fa}"))
