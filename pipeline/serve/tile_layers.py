"""Which layers tiles show: a ``Drawn`` is one collection, or several together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.contracts.registry import Schemas
from pipeline.derive import grids
from pipeline.derive.grids import Grid
from pipeline.serve.errors import bad, missing
from pipeline.serve.served import Served

#: Where the place of a tile stands in its address.
PLACE = "{tileMatrix}/{tileRow}/{tileCol}"


class Offers(Protocol):
    """What is known of a published service, whether it runs or not."""

    @property
    def base(self) -> str:
        """The public address."""

    @property
    def config(self) -> dict[str, Any]:
        """The published configuration."""

    @property
    def schemas(self) -> Schemas:
        """The contracts."""

    @property
    def served(self) -> dict[str, Served]:
        """Feature collections by id."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of titles."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn together, and the address of its tile sets (``query``: what chooses)."""

    site: Offers
    layers: tuple[Served, ...]
    path: str
    query: str
    title: dict[str, str]
    description: dict[str, str]

    @property
    def zooms(self) -> tuple[int, int]:
        """The first and the last zoom level."""
        found = [one.layer.publish for one in self.layers]
        return min(one.min_zoom for one in found), max(one.max_zoom for one in found)

    def address(self, grid: str, form: str) -> str:
        """The address of the document about a tile set."""
        return f"{self.site.base}{self.path}/{grid}?{self.query}f={form}"

    def tiles(self, grid: str) -> str:
        """The template of its tiles' addresses."""
        return f"{self.site.base}{self.path}/{grid}/{PLACE}?{self.query}f=mvt"

    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all its layers, in degrees."""
        boxes = np.array([extent(self.site, one.id) for one in self.layers])
        west, south = boxes[:, :2].min(axis=0).tolist()
        east, north = boxes[:, 2:].max(axis=0).tolist()
        return west, south, east, north


def extent(site: Offers, name: str) -> tuple[float, ...]:
    """West, south, east, north of a collection, in degrees."""
    return tuple(site.config["resources"][name]["extents"]["spatial"]["bbox"])


def of_collection(site: Offers, name: str) -> Drawn:
    """The tile sets of one feature collection; 404 if it has none."""
    served = site.served.get(name)
    if served is None or not _tiled(served):
        raise missing(f"the collection {name!r} has no tiles")
    resource = site.config["resources"][name]
    path = f"/collections/{name}/tiles"
    return Drawn(site, (served,), path, "", resource["title"], resource["description"])


def _tiled(served: Served) -> bool:
    return served.has_geometry and served.layer.publish.tiles


def groups(site: Offers) -> dict[str, Drawn]:
    """The groups of layers by id, as far as the audience sees them."""
    found = {}
    for group in site.schemas.groups.values():
        names = [site.schemas.layers[one].publish.collection for one in group.layers]
        layers = [site.served[name] for name in names if name in site.served]
        layers = [one for one in layers if _tiled(one)]
        if layers:
            title, description = (
                {language: text.of(language) for language in site.languages}
                for text in (group.title, group.description)
            )
            found[group.id] = _together(site, layers, title, description)
    return found


def _together(
    site: Offers, layers: list[Served], title: dict[str, str], description: dict[str, str]
) -> Drawn:
    query = f"collections={','.join(one.id for one in layers)}&"
    return Drawn(site, tuple(layers), "/tiles", query, title, description)


def chosen(site: Offers, given: dict[str, str]) -> Drawn:
    """What ``collections`` names; the first group where it is not given."""
    known = groups(site)
    if "collections" not in given:
        if not known:
            raise missing("there are no groups of layers")
        return next(iter(known.values()))
    names = [name for name in given["collections"].split(",") if name]
    layers = [site.served[name] for name in names if name in site.served]
    if len(layers) != len(names) or not layers or not all(_tiled(one) for one in layers):
        raise bad("collections: name collections with vector tiles, with commas between them")
    for one in known.values():
        if one.layers == tuple(layers):
            return one
    titles = [site.config["resources"][name]["title"] for name in names]
    title = {language: " + ".join(one[language] for one in titles) for language in site.languages}
    return _together(site, layers, title, title)


def grid_of(site: Offers, name: str) -> Grid:
    """The grid called ``name``; 404 names the ones there are."""
    offered = grids.of(site.schemas.city)
    if name not in offered:
        told = ", ".join(offered)
        raise missing(f"there is no tile grid {name!r} here; there is {told}")
    return offered[name]


def city_map(site: Offers) -> dict[str, Any]:
    """The city's own map as a page shows it: its tiles, and the box they are in."""
    name, drawn = next(iter(groups(site).items()))
    first, last = drawn.zooms
    address = f"{site.base}/wmts/{name}/default/{grids.WEB}/{{z}}/{{y}}/{{x}}.png"
    tiles = {
        "kind": "map", "grid": grids.WEB, "url": address, "zoom": {"min": first, "max": last},
    }  # fmt: skip
    return {"tiles": tiles, "extent": list(drawn.bounds())}
