"""Agree: what contracts name of one another exists; ContractError names the file that errs."""

from __future__ import annotations

from graphlib import CycleError
from typing import TYPE_CHECKING

from pipeline.contracts.feed import SINCE, UNTIL, Feed
from pipeline.contracts.layer import LayerContract
from pipeline.errors import ContractError

if TYPE_CHECKING:
    from pipeline.contracts.process import Process
    from pipeline.contracts.registry import Schemas


def layers(schemas: Schemas) -> None:
    """What a layer names: layers before it, fields, styles, views, rules, lineage, writers."""
    folder = schemas.root / "layers"
    for layer in schemas.layers.values():
        where = str(folder / f"{layer.id}.toml")
        for other in layer.after:
            if other not in schemas.layers:
                raise ContractError(f"after names no layer: {other}", where=where)
        _check_theme(schemas, layer.theme, where)
        _check_fields(schemas, layer, where)
        _check_style(schemas, layer, where)
        if (layer.source == "view") != schemas.view_file(layer).is_file():
            file = schemas.view_file(layer).relative_to(schemas.root)
            raise ContractError(f"source is {layer.source}, and {file} says otherwise", where=where)
        _check_within(schemas, layer, where)
        _check_fabric(schemas, layer, where)
        _check_lineage(schemas, layer, where)
        _check_writable(schemas, layer, where)
    for raster in schemas.rasters.values():
        _check_theme(schemas, raster.theme, f"schemas/rasters/{raster.id}.toml")
    try:
        _ = schemas.load_order
    except CycleError as error:
        raise ContractError(f"after goes round in a circle: {error.args[1]}") from error


def _check_theme(schemas: Schemas, theme: str, where: str) -> None:
    if theme not in schemas.themes.entries:
        raise ContractError(f"no theme {theme} in codelists/{schemas.themes.id}.csv", where=where)


def _check_fields(schemas: Schemas, layer: LayerContract, where: str) -> None:
    """What fields name exists: code lists, and layers whose key is one field."""
    for field in layer.fields:
        name = schemas.city.codelists.get(field.codelist or "", field.codelist or "")
        if name and name not in schemas.codelists:
            raise ContractError(f"{field.name}: no code list {name}", where=where)
        if field.refers and len(schemas.layer(field.refers).key) != 1:
            raise ContractError(f"{field.name} refers to what has no single key", where=where)


def _check_within(schemas: Schemas, layer: LayerContract, where: str) -> None:
    within = layer.publish.within
    fits = layer.source == "view" and layer.geometry and within in schemas.layers
    if within is not None and not fits:
        raise ContractError("within is of a view with a geometry, and names a layer", where=where)


def _check_style(schemas: Schemas, layer: LayerContract, where: str) -> None:
    """Every class draws a code that exists in some city's list; the city's own list must be drawn
    whole, unless the style has a class for the rest."""
    if layer.style.field is None:
        return
    found = schemas.codes(layer.field(layer.style.field))
    drawn = {style_class.code for style_class in layer.style.classes}
    if found and None not in drawn:
        missing = [code for code in found.codes if code not in drawn]
        if missing:
            raise ContractError(f"no style class for {', '.join(missing)}", where=where)


def _check_writable(schemas: Schemas, layer: LayerContract, where: str) -> None:
    """Who writes sees what is written; what the database fills has its query."""
    for name in layer.writable:
        found = schemas.audiences.get(name)
        if found is None or found.writer is None or not found.sees(layer):
            raise ContractError(f"writable: {name} is no audience that can write it", where=where)
    filled = any(field.filled in ("create", "place") for field in layer.fields)
    if filled != schemas.fill_file(layer).is_file():
        file = schemas.fill_file(layer).relative_to(schemas.root)
        raise ContractError(f"filled fields and {file} go together", where=where)


def facts(schemas: Schemas) -> None:
    """Facts are made of facts and of fields that there are."""
    for fact in schemas.facts.values():
        where = str(schemas.root / "facts" / f"{fact.id}.toml")
        for name in fact.builds_on:
            if name not in schemas.facts:
                raise ContractError(f"no fact {name}", where=where)
        for layer, names in fact.uses(schemas.facts).items():
            if layer not in schemas.layers:
                raise ContractError(f"no layer {layer}", where=where)
            known = {field.name for field in schemas.layers[layer].fields}
            if names - known:
                raise ContractError(
                    f"{layer} has no field {', '.join(sorted(names - known))}", where=where
                )


def processes(schemas: Schemas, found: dict[str, Process]) -> None:
    """Each process has its queries and the schema of its answer."""
    for process in found.values():
        for ending in ("sql", "schema.json"):
            path = schemas.process_file(process, ending)
            if not path.is_file():
                raise ContractError("the process lacks this file", where=str(path))


def groups(schemas: Schemas) -> None:
    """Groups are of layers."""
    for found in schemas.groups.values():
        for name in found.layers:
            if name not in schemas.layers:
                where = str(schemas.root / "groups.toml")
                raise ContractError(f"{found.id}: no layer {name}", where=where)


def _check_fabric(schemas: Schemas, layer: LayerContract, where: str) -> None:
    """Other layers exist, with the fields that rules name; both have geometry."""
    for rule in layer.fabric:
        for name in filter(None, (rule.other, rule.without)):
            if name not in schemas.layers:
                raise ContractError(f"{rule.id}: no layer {name}", where=where)
        other = schemas.layers[rule.other] if rule.other else layer
        names = {field.name for field in other.fields}
        unknown = [name for name in rule.other_fields if name not in names]
        if unknown:
            raise ContractError(
                f"{rule.id}: {other.id} has no field {', '.join(unknown)}", where=where
            )
        drawn = layer.geometry is not None and other.geometry is not None
        if not drawn and rule.kind != "query" and not (rule.kind == "refers_to" and layer.geometry):
            raise ContractError(f"{rule.id}: a layer without geometry", where=where)
        if (rule.kind == "query") != schemas.rule_file(layer, rule).is_file():
            file = schemas.rule_file(layer, rule).relative_to(schemas.root)
            raise ContractError(f"{rule.id} is {rule.kind}, and {file} says otherwise", where=where)
        unknown = [name for name in rule.facts if name not in schemas.facts]
        if unknown:
            raise ContractError(f"{rule.id}: no fact {', '.join(unknown)}", where=where)


def _check_lineage(schemas: Schemas, layer: LayerContract, where: str) -> None:
    """The layers that keep codes and parents exist, with the fields that are named."""
    if layer.lineage is None:
        return
    codes, parents = layer.lineage.codes, layer.lineage.parents
    named = {codes.layer: set(codes.model_dump(exclude={"layer"}).values())}
    named.setdefault(parents.layer, set()).add(parents.field)
    for name, fields in named.items():
        known = (
            {field.name for field in schemas.layers[name].fields} if name in schemas.layers else ()
        )
        if fields - set(known):
            raise ContractError(
                f"lineage: {name} has no field {', '.join(sorted(fields - set(known)))}",
                where=where,
            )
    for fact in layer.lineage.protects:
        if fact not in schemas.facts or schemas.facts[fact].object != layer.id:
            raise ContractError(f"lineage: no fact {fact} tells of {layer.id}", where=where)


def _check_renumber(feed: Feed, layer: LayerContract, where: str) -> None:
    """Only a layer that keeps former codes can be renumbered."""
    if feed.renumber and layer.lineage is None:
        raise ContractError(f"{layer.id} keeps no former codes", where=where)


def feeds(schemas: Schemas) -> None:
    """A feed fills what its layer has, all that is required, and nothing that is made."""
    for feed in schemas.feeds.values():
        where = str(schemas.root / "feeds" / schemas.city.id / f"{feed.id}.toml")
        layer = schemas.layers.get(feed.layer)
        if layer is None:
            raise ContractError(f"no layer {feed.layer}", where=where)
        if layer.source != "feed":
            raise ContractError(f"{layer.id} takes no deliveries", where=where)
        names = {field.name: field for field in layer.fields}
        filled = {column.to for column in feed.columns}
        personal = {one.name for one in layer.personal}
        unknown = filled - names.keys() - personal - {SINCE, UNTIL}
        if unknown:
            raise ContractError(
                f"{layer.id} has no field {', '.join(sorted(unknown))}", where=where
            )
        _check_renumber(feed, layer, where)
        if personal & filled and feed.source.encoding is None and feed.source.driver != "XLSX":
            raise ContractError(
                "holds personal columns: declare its encoding, so that it is not guessed at",
                where=where,
            )
        made = {name for name in filled & names.keys() if names[name].numbers_of}
        if made:
            raise ContractError(f"maps what is made: {', '.join(sorted(made))}", where=where)
        needed = {f.name for f in layer.fields if f.required and not f.derive}
        if needed - filled:
            raise ContractError(
                f"nothing fills the required {', '.join(sorted(needed - filled))}", where=where
            )
