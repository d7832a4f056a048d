"""What a database makes of the contracts anew: city checks, views, what may be written."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.derive import conditions, generalised, names, quality, tables, views
from pipeline.derive.ddl import DIALECT


def remade(schemas: Schemas) -> list[str]:
    """All statements that make the city's checks and the views, in order."""
    layers = [schemas.layers[name] for name in schemas.load_order]
    found = list(_city_checks(schemas))
    found += [made.as_string(None) for made in quality.statements(schemas, queries.load("quality"))]
    found += [
        views.own_view(schemas, layer).as_string(None) for layer in layers if layer.source == "view"
    ]
    found += [
        views.filling(schemas, layer).as_string(None)
        for layer in layers
        if any(field.filled for field in layer.fields)
    ]
    kept = names.kept_names(queries.load("answers")["keep_names"], schemas)
    found += [made.as_string(None) for made in kept]
    for audience in schemas.audiences.values():
        found += [
            views.view(schemas, layer, audience).as_string(None)
            for layer in layers
            if audience.sees(layer) and layer.source != "log"
        ]
        found += [made.as_string(None) for made in _tiling(layers, audience)]
        found += [made.as_string(None) for made in _answering(schemas, layers, audience)]
        found += [made.as_string(None) for made in _dated(schemas, layers, audience)]
        made = views.version(queries.load("serve")["version_view"], schemas, layers, audience)
        found.append(made.as_string(None))
        made_of = views.jobs(queries.load("jobs"), audience)
        found += [made.as_string(None) for made in made_of]
        if audience.needs_key:
            made = views.access(queries.load("access")["view"], audience)
            found.append(made.as_string(None))
    return found


def writing(schemas: Schemas) -> list[str]:
    """What the roles that write single rows may do, layer by layer."""
    named = queries.load("bootstrap")
    found = []
    for audience in schemas.audiences.values():
        if not audience.writer_login:
            continue
        role = {"role": sql.Identifier(audience.writer_login)}
        schema = sql.Identifier(audience.schema_name)
        found.append(sql.SQL(named["grant_writer"]).format(schema=schema, **role))
        for layer in schemas.layers.values():
            if audience.may(layer):
                found += views.writable(named, layer, audience, role)
    return [made.as_string(None) for made in found]


def _tiling(layers: list[LayerContract], audience: Audience) -> Iterator[sql.Composed]:
    """What tiles read beside layers: their look from afar, and where loads have changed them."""
    for layer in layers:
        if generalised.shown(layer, audience):
            yield generalised.view(layer, audience)
        if audience.sees(layer) and generalised.has_moved(layer):
            yield generalised.moved(layer, audience)


def _answering(
    schemas: Schemas, layers: list[LayerContract], audience: Audience
) -> Iterator[sql.Composed]:
    """What processes read beside layers: facts, names, loads."""
    named = queries.load("answers")
    for fact in views.facts_of(schemas, audience):
        yield views.fact(fact, audience)
    yield names.places(named["place_branch"], schemas, layers, audience)
    yield names.names(named, schemas, audience)
    yield from views.told(named, schemas, audience)
    yield from views.receipts(queries.load("receipts"), schemas, audience)


def _dated(
    schemas: Schemas, layers: list[LayerContract], audience: Audience
) -> Iterator[sql.Composed]:
    """What was, and what has changed."""
    named = queries.load("history")
    for layer in layers:
        if audience.sees(layer) and layer.source == "feed":
            yield views.versions(named["versions_view"], schemas, layer, audience)
    yield views.publications(named["publication_view"], layers, audience)


def _city_checks(schemas: Schemas) -> Iterator[str]:
    made = tables.metadata(schemas)
    for name in schemas.load_order:
        layer = schemas.layers[name]
        table = made.tables.get(f"{tables.home(layer)}.{name}")
        if table is None:
            continue
        for constraint, condition in conditions.city_checks(schemas, layer, table).items():
            text = condition.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
            head = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ").format(
                sql.Identifier(tables.home(layer), name), sql.Identifier(constraint)
            )
            yield f"{head.as_string(None)}({str(text).replace('%%', '%')})"
