"""A layer as clients see it: published names, types and what they may ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.contracts.city import City
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import generalised, views
from pipeline.derive.columns import GEOMETRY, ID
from pipeline.serve import crs
from pipeline.serve.crs import Crs
from pipeline.serve.errors import bad

Kind = Literal["text", "integer", "number", "boolean", "date", "datetime"]
GEOMETRY_NAMES = ("geometry", GEOMETRY)


def known_kind(kinds: Mapping[str, Kind], name: str, parameter: str) -> Kind:
    """The type of ``name`` among ``kinds``; 400 names the known ones."""
    try:
        return kinds[name]
    except KeyError:
        known = ", ".join(kinds)
        raise bad(f"{parameter}: there is no property {name!r}; known are {known}") from None


@dataclass(frozen=True, eq=False)
class Served:
    """One feature collection. Nothing here holds the name of a column that its audience must not
    see."""

    layer: LayerContract
    city: City
    audience: Audience
    fields: dict[str, Field]

    @property
    def id(self) -> str:
        """The collection's id."""
        return self.layer.publish.collection

    @cached_property
    def view(self) -> sql.Identifier:
        """The view that is read."""
        return sql.Identifier(self.audience.schema_name, self.layer.id)

    @cached_property
    def versions(self) -> sql.Identifier:
        """The view of all versions of features; only what feeds fill has them."""
        return sql.Identifier(self.audience.schema_name, views.versions_view(self.layer))

    @property
    def is_dated(self) -> bool:
        """Whether ``datetime`` asks for the features as they were at that time: so it is unless the
        features themselves are of a time."""
        return self.layer.source == "feed" and self.layer.publish.time is None

    @property
    def has_geometry(self) -> bool:
        """Whether features have a place."""
        return self.layer.geometry is not None

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The type of every property that can be asked for, the feature id among them."""
        found: dict[str, Kind] = {ID: "integer"}
        for name, field in self.fields.items():
            found[name] = "text" if field.type == "parcel_code" else field.type
        return found

    @cached_property
    def time(self) -> str | None:
        """The published name of the field that ``datetime`` selects by."""
        column = self.layer.publish.time
        name = self.city.published(column) if column else None
        return name if name in self.fields else None

    @cached_property
    def label(self) -> str | None:
        """The published name of the field that names a feature to people."""
        column = self.layer.publish.label
        name = self.city.published(column) if column else None
        return name if name in self.fields else None

    @cached_property
    def tile_fields(self) -> tuple[str, ...]:
        """Published names of what vector tiles carry."""
        names = (self.city.published(column) for column in self.layer.publish.tile_fields)
        return tuple(name for name in names if name in self.fields)

    @cached_property
    def class_fields(self) -> tuple[str, ...]:
        """The published name of the field that the style draws by; none for a plain style."""
        column = self.layer.style.field
        name = self.city.published(column) if column else None
        return (name,) if name in self.fields else ()

    @cached_property
    def references(self) -> dict[str, str]:
        """The properties that name a feature of another collection, and its layer."""
        return {name: field.refers for name, field in self.fields.items() if field.refers}

    def is_at(self, zoom: int) -> bool:
        """Whether tiles of this zoom level hold the layer."""
        return self.layer.publish.min_zoom <= zoom <= self.layer.publish.max_zoom

    @cached_property
    def levels(self) -> range:
        """Zoom levels that show the layer from afar, for this audience."""
        shown = generalised.shown(self.layer, self.audience)
        return self.layer.publish.levels if shown else range(0)

    @cached_property
    def far_view(self) -> sql.Identifier:
        """The view of what the layer looks like from afar."""
        return sql.Identifier(self.audience.schema_name, generalised.state_name(self.layer))

    def kind(self, name: str, parameter: str) -> Kind:
        """The type of the property ``name``; 400 names the known ones."""
        return known_kind(self.kinds, name, parameter)

    def collation(self, name: str) -> str | None:
        """The order in which people look for ``name``: of names that of the city's language."""
        field = self.fields.get(name)
        return f"{self.city.languages[0]}-x-icu" if field is not None and field.search else None

    def digits(self, wanted: Crs) -> int:
        """Decimals of coordinates in ``wanted``."""
        return wanted.digits(self.layer.publish.precision_m)

    @property
    def stored(self) -> Crs:
        """The CRS of the stored coordinates."""
        return crs.stored(self.city)


def catalog(schemas: Schemas, audience: Audience) -> dict[str, Served]:
    """Every layer that ``audience`` sees by its collection id, in the order they load in."""
    layers = (schemas.layers[name] for name in schemas.load_order)
    found = (
        Served(layer, schemas.city, audience, views.published_fields(schemas, layer, audience))
        for layer in layers
        if audience.sees(layer)
    )
    return {served.id: served for served in found}
