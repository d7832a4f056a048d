"""The queries of a process for one audience, over the contracts' own names.

``{parcel}`` stands for the layer as the audience sees it: a field that it does not see is NULL, a
layer that it does not see has no rows. ``{fact.parcel_zone}`` is the fact in the same way,
``{part.zones}`` a query that processes share (``part_zones`` of schemas/sql/answers.sql),
``{place}`` all that has a name, ``{name}`` every name once, ``{source}`` the loads,
``{codes.LIST}`` a code list, ``{collection}`` the collections by their titles, ``{imagery}`` the
raster sheets in force, ``{receipt}`` what documents said, ``{srid}`` the city's CRS, ``{unit}`` the
metres in its unit. PostgreSQL sees through the subqueries, so indexes serve as without them.
"""

from __future__ import annotations

import string
from typing import LiteralString

from psycopg import sql

from pipeline import fold
from pipeline.contracts.audience import Audience
from pipeline.contracts.fact import FactContract
from pipeline.contracts.field import FieldType
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.process import Named
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.derive import views
from pipeline.derive.columns import GEOMETRY, ID, KEY_ENDING, RUN
from pipeline.derive.facts import COLUMNS
from pipeline.derive.names import NAME, PLACE

_TYPES: dict[FieldType, LiteralString] = {
    "text": "text",
    "parcel_code": "text",
    "integer": "bigint",
    "number": "float8",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamptz",
}
_FACT, _PART, _CODES = "fact.", "part.", "codes."
_OWN = {
    "place": PLACE,
    "name": NAME,
    "source": views.SOURCE,
    "freshness": views.FRESHNESS,
    "imagery": views.IMAGERY,
    "receipt": views.RECEIPT,
}


def names(template: str) -> tuple[str, ...]:
    """What stands in braces in ``template``, each once."""
    found = (name for _, name, _, _ in string.Formatter().parse(template) if name)
    return tuple(dict.fromkeys(found))


def facts(template: str) -> set[str]:
    """The facts that ``template`` reads, by itself or in its parts."""
    found = set()
    for name in names(template):
        if name.startswith(_FACT):
            found.add(name.removeprefix(_FACT))
        if name.startswith(_PART):
            found |= facts(queries.load("answers")[f"part_{name.removeprefix(_PART)}"])
    return found


def over(template: LiteralString, named: Named) -> LiteralString:
    """``template`` with the layer and the field of ``named`` for ``{layer}`` and ``{field}``."""
    return template.replace("{layer}", f"{{{named.layer}}}").replace("{field}", named.field)


def compose(template: LiteralString, schemas: Schemas, audience: Audience) -> bytes:
    """``template`` with everything in braces as ``audience`` sees it."""
    return _composed(_bare(template), schemas, audience).as_bytes(None)


def _composed(template: LiteralString, schemas: Schemas, audience: Audience) -> sql.Composed:
    parts = {name: _part(name, schemas, audience) for name in names(template)}
    return sql.SQL(template).format(**parts)


def _bare(template: LiteralString) -> LiteralString:
    """Without comments, which may hold braces of their own."""
    lines = (line for line in template.splitlines() if not line.startswith("--"))
    return "\n".join(lines)


def _part(name: str, schemas: Schemas, audience: Audience) -> sql.Composable:
    if name in _OWN:
        return sql.Identifier(audience.schema_name, _OWN[name])
    if name == "collection":
        return _collections(schemas, audience)
    if name == "srid":
        return sql.Literal(schemas.city.srid)
    if name == "unit":
        return sql.SQL("({}::float8)").format(sql.Literal(schemas.city.metres_per_unit))
    if name.startswith(_PART):
        part = queries.load("answers")[f"part_{name.removeprefix(_PART)}"]
        return sql.SQL("({})").format(_composed(_bare(part), schemas, audience))
    if name.startswith(_CODES):
        return _codes(name.removeprefix(_CODES), schemas)
    if name.startswith(_FACT):
        return _fact(schemas.fact(name.removeprefix(_FACT)), schemas, audience)
    return _layer(schemas.layer(name), schemas, audience)


def _collections(schemas: Schemas, audience: Audience) -> sql.Composable:
    """Every collection of the audience: id, titles, and the words it is found by, folded."""
    rows = []
    for layer in schemas.layers.values():
        if audience.sees(layer):
            words = (layer.title.fa, layer.title.en, *layer.publish.keywords)
            key = " ".join(fold.one(word) for word in words)
            told = (layer.publish.collection, layer.title.fa, layer.title.en, key)
            rows.append(sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, told))))
    listed = sql.SQL(", ").join(rows)
    return sql.SQL("(SELECT * FROM (VALUES {}) AS c (id, name_fa, name_en, key))").format(listed)


def _codes(name: str, schemas: Schemas) -> sql.Composable:
    """A code list of the city with its words: code, fa, en."""
    listed = schemas.codelists[schemas.city.codelists.get(name, name)]
    rows = [
        sql.SQL("({}, {}, {})").format(*map(sql.Literal, (code, text.fa, text.en)))
        for code, text in listed.entries.items()
    ]
    return sql.SQL("(SELECT * FROM (VALUES {}) AS c (code, fa, en))").format(
        sql.SQL(", ").join(rows)
    )


def _nothing(kind: LiteralString, name: str) -> sql.Composed:
    return sql.SQL("NULL::{} AS {}").format(sql.SQL(kind), sql.Identifier(name))


def _fact(fact: FactContract, schemas: Schemas, audience: Audience) -> sql.Composed:
    if fact in views.facts_of(schemas, audience):
        view = sql.Identifier(audience.schema_name, views.fact_view(fact))
        return sql.SQL("(SELECT * FROM {})").format(view)
    columns = [_nothing(one.type, one.name) for one in COLUMNS[fact.kind]]
    return sql.SQL("(SELECT {} WHERE false)").format(sql.SQL(", ").join(columns))


def _layer(layer: LayerContract, schemas: Schemas, audience: Audience) -> sql.Composed:
    shown_as = views.published_fields(schemas, layer, audience)
    shown = {field.name: name for name, field in shown_as.items()}
    columns: list[sql.Composable] = []
    for field in layer.fields:
        columns.append(_column(shown.get(field.name), field.name, _TYPES[field.type]))
        if field.search:
            seen = shown[field.name] + KEY_ENDING if field.name in shown else None
            columns.append(_column(seen, field.name + KEY_ENDING, "text"))
    sees = audience.sees(layer)
    columns.append(_column(ID if sees else None, ID, "bigint"))
    columns.append(
        _column(RUN if sees and layer.source in ("feed", "process") else None, RUN, "bigint")
    )
    if layer.geometry:
        columns.append(_column(GEOMETRY if sees else None, GEOMETRY, "geometry"))
    listed = sql.SQL(", ").join(columns)
    if not sees:
        return sql.SQL("(SELECT {} WHERE false)").format(listed)
    view = sql.Identifier(audience.schema_name, layer.id)
    return sql.SQL("(SELECT {} FROM {})").format(listed, view)


def _column(seen: str | None, name: str, kind: LiteralString) -> sql.Composable:
    if seen is None:
        return _nothing(kind, name)
    return sql.SQL("{} AS {}").format(sql.Identifier(seen), sql.Identifier(name))
