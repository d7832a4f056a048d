"""What the contracts tell the views of quality: kinds of findings, layers, fields, feeds.

They are views of constants in the schema ``derived``, made again with everything that derives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from pipeline.contracts.base import Text
from pipeline.contracts.field import Field, Privacy
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import DERIVED
from pipeline.findings import Catalog

# Findings are P1: values of what is above it are left out of them.
_SEEN: tuple[Privacy, ...] = ("P0", "P1")
Row = tuple[object, ...]


def statements(schemas: Schemas, named: Mapping[str, LiteralString]) -> Iterator[sql.Composed]:
    """The helping views, by the templates of schemas/sql/quality.sql."""
    kinds = [
        (kind.code, kind.quality, kind.quotes, kind.en, kind.fa)
        for kind in Catalog.load(schemas.root / "findings.toml").kinds.values()
    ]
    yield _values(named, "finding_kind", ("code", "element", "quotes", "en", "fa"), kinds)
    layers = [layer for layer in schemas.layers.values() if layer.privacy in _SEEN]
    known: list[Row] = [(layer.id, _key_hidden(layer)) for layer in layers]
    known += [(raster, False) for raster in schemas.rasters]
    yield _values(named, "layer", ("layer", "key_hidden"), known)
    fields = [row for layer in layers for row in _fields(layer)]
    yield _values(named, "field", ("layer", "field", "en", "fa", "hidden"), fields)
    partial = [feed.id for feed in schemas.feeds.values() if feed.delivery == "partial"]
    yield sql.SQL(named["runs_in_force"]).format(
        view=sql.Identifier(DERIVED, "makan_run"), partial=sql.Literal(partial)
    )


def _values(
    named: Mapping[str, LiteralString], name: str, columns: Sequence[str], rows: Sequence[Row]
) -> sql.Composed:
    lines = [
        sql.SQL("({})").format(sql.SQL(", ").join(sql.Literal(cell) for cell in row))
        for row in rows
    ]
    return sql.SQL(named["values_view"]).format(
        view=sql.Identifier(DERIVED, f"makan_{name}"),
        rows=sql.SQL(", ").join(lines),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
    )


def _hidden(*fields: Field) -> bool:
    return any(field.privacy not in _SEEN for field in fields)


def _key_hidden(layer: LayerContract) -> bool:
    return _hidden(*(layer.field(name) for name in layer.key))


def _fields(layer: LayerContract) -> Iterator[Row]:
    """What findings name as their field: fields, keys of several, and rules; each name once."""
    known = {field.name: (field.title, _hidden(field)) for field in layer.fields}
    if len(layer.key) > 1:
        parts = [layer.field(name) for name in layer.key]
        en, fa = (" + ".join(part.title.of(lang) for part in parts) for lang in ("en", "fa"))
        known[" ".join(layer.key)] = (Text(en=en, fa=fa), _hidden(*parts))
    for rule in layer.rules:
        hidden = _hidden(layer.field(rule.left), layer.field(rule.right))
        known.setdefault(rule.id, (rule.title, hidden))
    for check in layer.fabric:
        known.setdefault(check.id, (check.title, False))
    for name, (title, hidden) in known.items():
        yield layer.id, name, title.en, title.fa, hidden
