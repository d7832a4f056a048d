"""All of schemas/ for one city: the one object that the rest of the house asks for contracts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.contracts import audience, codelist, group, toml
from pipeline.contracts.audience import Audience
from pipeline.contracts.city import City
from pipeline.contracts.codelist import Codelist
from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.fact import FactContract
from pipeline.contracts.feed import SINCE, UNTIL, Feed
from pipeline.contracts.field import Field
from pipeline.contracts.group import Group
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.raster import RasterContract
from pipeline.errors import ContractError, SettingsError

if TYPE_CHECKING:
    from pipeline.contracts.process import Process

#: The code list that nobody writes: the layers themselves.
LAYERS = "layer"


@dataclass(frozen=True)
class Schemas:
    """Contracts, feeds, rasters and code lists as they hold for ``city``."""

    root: Path
    city: City
    layers: dict[str, LayerContract]
    feeds: dict[str, Feed]
    rasters: dict[str, RasterContract]
    facts: dict[str, FactContract]
    codelists: dict[str, Codelist]
    audiences: dict[str, Audience]
    groups: dict[str, Group]

    def layer(self, name: str) -> LayerContract:
        """The contract called ``name``; SettingsError lists the known ones otherwise."""
        try:
            return self.layers[name]
        except KeyError:
            raise SettingsError(
                f"unknown layer {name}", todo=f"Known are: {', '.join(self.layers)}."
            ) from None

    def feed(self, name: str) -> Feed:
        """The feed called ``name``; SettingsError lists the known ones otherwise."""
        try:
            return self.feeds[name]
        except KeyError:
            raise SettingsError(
                f"unknown feed {name} for the city {self.city.id}",
                todo=f"Known are: {', '.join(self.feeds)}; `makan feed draft` proposes a new one.",
            ) from None

    def raster(self, name: str) -> RasterContract:
        """The raster contract called ``name``; SettingsError lists the known ones otherwise."""
        try:
            return self.rasters[name]
        except KeyError:
            raise SettingsError(
                f"unknown raster {name}", todo=f"Known are: {', '.join(self.rasters)}."
            ) from None

    def audience(self, name: str) -> Audience:
        """The audience called ``name``; SettingsError lists the known ones otherwise."""
        try:
            return self.audiences[name]
        except KeyError:
            raise SettingsError(
                f"unknown audience {name}", todo=f"Known are: {', '.join(self.audiences)}."
            ) from None

    def view_file(self, layer: LayerContract) -> Path:
        """Where the SQL of a layer that is a view stands."""
        return self.root / "views" / f"{layer.id}.sql"

    def fill_file(self, layer: LayerContract) -> Path:
        """Where the SQL stands that fills fields of a new row of ``layer``."""
        return self.root / "edits" / f"{layer.id}.sql"

    def rule_file(self, layer: LayerContract, rule: FabricRule) -> Path:
        """Where the SQL of a fabric rule that is a query stands."""
        return self.root / "fabric" / f"{layer.id}.{rule.id}.sql"

    def fact(self, name: str) -> FactContract:
        """The fact contract called ``name``; SettingsError lists the known ones otherwise."""
        try:
            return self.facts[name]
        except KeyError:
            raise SettingsError(
                f"unknown fact {name}", todo=f"Known are: {', '.join(self.facts)}."
            ) from None

    @cached_property
    def processes(self) -> dict[str, Process]:
        """The processes, read when they are asked for: their JSON Schemas need a library that takes
        as long to import as all else here takes to read. Raises ContractError."""
        from pipeline.contracts.process import Process

        found = _read_all(self.root / "processes", Process)
        _check_processes(self, found)
        return {name: _with_codes(self, process) for name, process in found.items()}

    def process_file(self, process: Process, ending: str) -> Path:
        """A file of the process: its queries (``sql``) or the schema of its answer."""
        return self.root / "processes" / f"{process.id}.{ending}"

    def codes(self, field: Field) -> Codelist | None:
        """The code list of a field as this city uses it, or None."""
        if field.codelist is None:
            return None
        return self.codelists[self.city.codelists.get(field.codelist, field.codelist)]

    def pattern(self, field: Field) -> str | None:
        """The pattern a field's text must match; a parcel code's comes from the city."""
        if field.type == "parcel_code":
            return self.city.parcel_code.pattern
        return field.pattern

    def limits(self, layer: LayerContract, field: Field) -> tuple[float | None, float | None]:
        """The least and the most that a number of ``layer`` may be: of the ground's height what
        the city says."""
        heights = self.city.heights
        if layer.relief is None or layer.relief.height != field.name:
            return field.min, field.max
        least = heights.min if field.min is None else max(field.min, heights.min)
        return least, heights.max if field.max is None else min(field.max, heights.max)

    @cached_property
    def fact_order(self) -> tuple[FactContract, ...]:
        """Facts so that each comes after those that it builds on."""
        graph = {fact.id: set(fact.builds_on) for fact in self.facts.values()}
        return tuple(self.facts[name] for name in TopologicalSorter(graph).static_order())

    @cached_property
    def load_order(self) -> tuple[str, ...]:
        """Layer ids so that each comes after those it names in ``after``."""
        graph = {layer.id: set(layer.after) for layer in self.layers.values()}
        return tuple(TopologicalSorter(graph).static_order())

    def digest(self, layer: str) -> str:
        """SHA-256 over everything that decides how rows of ``layer`` are judged."""
        contract = self.layer(layer)
        lists = [self.codes(field) for field in contract.fields if field.codelist]
        parts = [contract.model_dump_json(exclude={"fabric"}), self.city.model_dump_json()]
        parts += [repr(found.entries) for found in lists if found]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read_all[Item: (LayerContract, Feed, RasterContract, FactContract, Process)](
    folder: Path, model: type[Item]
) -> dict[str, Item]:
    items: dict[str, Item] = {}
    for path in sorted(folder.glob("*.toml")):
        item = toml.read(path, model)
        if item.id != path.stem:
            raise ContractError(f"id {item.id} is not the file's name", where=str(path))
        items[item.id] = item
    return items


def cities(root: Path | None = None) -> tuple[str, ...]:
    """Ids of the city profiles there are."""
    return tuple(sorted(p.stem for p in ((root or paths.schemas()) / "cities").glob("*.toml")))


def _check_layers(schemas: Schemas) -> None:
    folder = schemas.root / "layers"
    for layer in schemas.layers.values():
        where = str(folder / f"{layer.id}.toml")
        for other in layer.after:
            if other not in schemas.layers:
                raise ContractError(f"after names no layer: {other}", where=where)
        _check_fields(schemas, layer, where)
        _check_style(schemas, layer, where)
        if (layer.source == "view") != schemas.view_file(layer).is_file():
            file = schemas.view_file(layer).relative_to(schemas.root)
            raise ContractError(f"source is {layer.source}, and {file} says otherwise", where=where)
        _check_within(schemas, layer, where)
        _check_fabric(schemas, layer, where)
        _check_lineage(schemas, layer, where)
        _check_writable(schemas, layer, where)
    try:
        _ = schemas.load_order
    except CycleError as error:
        raise ContractError(f"after goes round in a circle: {error.args[1]}") from error


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


def _check_facts(schemas: Schemas) -> None:
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


def _check_processes(schemas: Schemas, processes: dict[str, Process]) -> None:
    for process in processes.values():
        for ending in ("sql", "schema.json"):
            path = schemas.process_file(process, ending)
            if not path.is_file():
                raise ContractError("the process lacks this file", where=str(path))


def _with_codes(schemas: Schemas, process: Process) -> Process:
    """The process with the city's codes for each input that names a code list."""
    if not any(one.codelist for one in process.inputs):
        return process
    made = []
    for one in process.inputs:
        name = schemas.city.codelists.get(one.codelist or "", one.codelist or "")
        if name and name not in schemas.codelists:
            where = str(schemas.root / "processes" / f"{process.id}.toml")
            raise ContractError(f"{one.name}: no code list {name}", where=where)
        made.append(one.with_codes(schemas.codelists[name].entries) if name else one)
    return process.model_copy(update={"inputs": tuple(made)})


def _check_groups(schemas: Schemas) -> None:
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


def _check_feeds(schemas: Schemas) -> None:
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


def _names(layers: dict[str, LayerContract], rasters: dict[str, RasterContract]) -> Codelist:
    """The layers as a code list, for layers that tell of layers; no restricted one is named."""
    named = {layer.id: layer.title for layer in layers.values() if layer.privacy in ("P0", "P1")}
    return Codelist(LAYERS, named | {raster.id: raster.title for raster in rasters.values()})


def load(city: str, root: Path | None = None) -> Schemas:
    """Everything for ``city``; ContractError (file, line) or SettingsError (no such city)."""
    root = root or paths.schemas()
    if city not in cities(root):
        raise SettingsError(
            f"unknown city {city}", todo=f"Known are: {', '.join(cities(root))} (MAKAN_CITY)."
        )
    lists = {path.stem: codelist.read(path) for path in sorted((root / "codelists").glob("*.csv"))}
    layers = _read_all(root / "layers", LayerContract)
    rasters = _read_all(root / "rasters", RasterContract)
    lists[LAYERS] = _names(layers, rasters)
    schemas = Schemas(
        root=root,
        city=toml.read(root / "cities" / f"{city}.toml", City),
        layers=layers,
        feeds=_read_all(root / "feeds" / city, Feed),
        rasters=rasters,
        facts=_read_all(root / "facts", FactContract),
        codelists=lists,
        audiences=audience.table(root),
        groups=group.table(root),
    )
    _check_layers(schemas)
    _check_feeds(schemas)
    _check_facts(schemas)
    _check_groups(schemas)
    return schemas
