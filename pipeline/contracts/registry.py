"""All of schemas/ for one city: the one object that the rest of the house asks for contracts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import paths
from pipeline.contracts import agree, audience, codelist, group, toml
from pipeline.contracts.audience import Audience
from pipeline.contracts.city import City
from pipeline.contracts.codelist import Codelist
from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.fact import FactContract
from pipeline.contracts.feed import Feed
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
        agree.processes(self, found)
        return {name: _with_codes(self, process) for name, process in found.items()}

    def process_file(self, process: Process, ending: str) -> Path:
        """A file of the process: its queries (``sql``) or the schema of its answer."""
        return self.root / "processes" / f"{process.id}.{ending}"

    @property
    def themes(self) -> Codelist:
        """What layers are about, in the order of the pages."""
        return self.codelists["theme"]

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
        city = self.city.model_dump_json(exclude={"payee"})
        parts = [contract.model_dump_json(exclude={"fabric"}), city]
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
    agree.layers(schemas)
    agree.feeds(schemas)
    agree.facts(schemas)
    agree.groups(schemas)
    return schemas
