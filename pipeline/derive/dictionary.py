"""The data dictionary: what every layer and column means, for people, in both languages."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.contracts.fact import FactContract
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import facts
from pipeline.findings import Catalog

_HEAD = """\
# Data dictionary

Made by `makan schema generate` from `schemas/layers/*.toml`; change it there. A column is called
the same in every city's tables; where a city's clients see another name (`nosazi` for `parcel_code`
in Qom), it stands in brackets. Privacy: P0 public, P1 staff, P2 restricted, P3 personal. Which
audience sees which class stands in `schemas/audiences.toml`; P3 is shown to nobody.
"""


_FACTS_HEAD = """\
# Facts

What the database works out itself (`schemas/facts/*.toml`), in the schema `facts`; `makan facts`
tells how fresh each is. Subjects and objects are rows of layers by their `id`.
"""


def _fact(fact: FactContract) -> Iterator[str]:
    yield f"## facts.{fact.id}: {fact.title.en} | {fact.title.fa}\n"
    yield f"{fact.description.en}  \n{fact.description.fa}\n"
    yield f"{fact.kind} of `{fact.subject}` with `{fact.object}`.\n"
    yield "| column | type | unit | must | meaning | معنی |"
    yield "|---|---|---|---|---|---|"
    for one in facts.COLUMNS[fact.kind]:
        must = "yes" if one.needed else ""
        cells = (f"`{one.name}`", one.type, one.unit or "", must, one.title.en, one.title.fa)
        yield f"| {' | '.join(cells)} |"
    for rung in fact.rungs:
        kind = f" (`{rung.quality}`)" if rung.quality else ""
        yield f"\nRung `{rung.method}`{kind}, {rung.score:g}: {rung.title.en} | {rung.title.fa}"
    yield ""


def markdown(schemas: Schemas) -> str:
    """The whole dictionary as Markdown, layers in load order."""
    pieces = [_HEAD]
    pieces += ["\n".join(_layer(schemas, schemas.layers[name])) for name in schemas.load_order]
    pieces.append(_FACTS_HEAD)
    pieces += ["\n".join(_fact(fact)) for fact in schemas.facts.values()]
    return "\n".join(pieces)


def _layer(schemas: Schemas, layer: LayerContract) -> Iterator[str]:
    shape = layer.geometry.gdal_type if layer.geometry else "no geometry"
    seen = ", ".join(one.id for one in schemas.audiences.values() if one.sees(layer))
    served = f"collection `{layer.publish.collection}` ({seen or 'nobody'})"
    yield f"## {layer.id}: {layer.title.en} | {layer.title.fa}\n"
    yield f"{layer.description.en}  \n{layer.description.fa}\n"
    yield f"{shape}; {_origin(layer)}; {served};"
    yield f"steward: {layer.steward.en} | {layer.steward.fa}.\n"
    yield "| column | type | unit | must | privacy | meaning | معنی | allowed |"
    yield "|---|---|---|---|---|---|---|---|"
    for field in layer.fields:
        yield _row(schemas, field)
    for one in layer.personal:
        yield f"\nPersonal (P3, `private.{layer.id}`): `{one.name}` {one.title.en} | {one.title.fa}"
    for rule in layer.rules:
        yield f"\nRule `{rule.id}` ({rule.severity}): {rule.title.en} | {rule.title.fa}"
    yield ""


def _origin(layer: LayerContract) -> str:
    if layer.source == "view":
        return f"a view (`schemas/views/{layer.id}.sql`)"
    if layer.source == "log":
        return "follows from the versions of all layers"
    key = ", ".join(f"`{name}`" for name in layer.key)
    return f"key {key}" if layer.source == "feed" else f"computed, key {key}"


def _row(schemas: Schemas, field: Field) -> str:
    published = schemas.city.published(field.name)
    name = f"`{field.name}`" + (f" (`{published}`)" if published != field.name else "")
    cells = [
        name,
        field.type,
        field.unit or "",
        "yes" if field.required else "",
        field.privacy,
        field.title.en,
        field.title.fa,
        _allowed(field),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed(field: Field) -> str:
    if field.codelist:
        return f"code list `{field.codelist}`"
    if field.type == "parcel_code":
        return "the city's parcel code"
    if field.pattern:
        return f"`{field.pattern}`"
    if field.min is None and field.max is None:
        return ""
    low = "" if field.min is None else f"{field.min:g}"
    high = "" if field.max is None else f"{field.max:g}"
    return f"{low} … {high}"


def findings_markdown(catalog: Catalog) -> str:
    """Every kind of finding as a table."""
    lines = [
        "# Findings\n",
        "Made by `makan schema generate` from `schemas/findings.toml`. An error sets the row aside",
        "in quarantine, a warning loads it and says so, an info only tells.\n",
        "| code | severity | ISO 19157 element | message | پیام |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{kind.code}` | {kind.severity} | {kind.quality} | {kind.en} | {kind.fa} |"
        for kind in catalog.kinds.values()
    ]
    return "\n".join(lines) + "\n"
