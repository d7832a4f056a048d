"""The pygeoapi resource of a layer: what stands in the rendered configuration about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.contracts.audience import Audience
from pipeline.contracts.base import Text
from pipeline.contracts.city import City
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.derive import grids, raster_collections, views
from pipeline.derive.columns import ID
from pipeline.derive.raster_collections import CRS84

FEATURES_PLUGIN = "pipeline.serve.provider.PostgisProvider"
TILES_PLUGIN = "pipeline.serve.vector_tiles.VectorTiles"
#: What a report of accuracy is called.
ACCURACY = {"en": "Accuracy", "fa": "گزارش دقت"}
MVT = {"name": "mvt", "mimetype": "application/vnd.mapbox-vector-tile"}


@dataclass(frozen=True, slots=True)
class Extent:
    """Where (degrees, longitude first) and when the features of a collection are."""

    bbox: tuple[float, float, float, float]
    begin: datetime | None = None
    end: datetime | None = None

    def as_config(self) -> dict[str, Any]:
        """The ``extents`` of a resource."""
        found: dict[str, Any] = {"spatial": {"bbox": list(self.bbox), "crs": CRS84}}
        if self.begin or self.end:
            found["temporal"] = {"begin": self.begin, "end": self.end}
        return found


def text(found: Text, city: City) -> dict[str, str]:
    """A text in the city's languages, its first language first."""
    return {language: found.of(language) for language in city.languages}


def _field(schemas: Schemas, field: Field) -> dict[str, Any]:
    """What the pages say of a field: its title, unit and the labels of its codes."""
    made: dict[str, Any] = {"title": text(field.title, schemas.city)}
    if field.description:
        made["description"] = text(field.description, schemas.city)
    if field.unit:
        made["unit"] = field.unit
    codes = schemas.codes(field)
    if codes:
        made["codes"] = {code: text(label, schemas.city) for code, label in codes.entries.items()}
    return made


def head(city: City, title: Text, description: Text, keywords: list[str]) -> dict[str, Any]:
    """What every collection has: title, description, keywords and the licence."""
    return {
        "type": "collection",
        "title": text(title, city),
        "description": text(description, city),
        "keywords": dict.fromkeys(city.languages, keywords),
        "links": [
            {
                "type": "text/html",
                "rel": "license",
                # In one language, as pygeoapi demands of links; the server puts the reader's.
                "title": city.licence.of(city.languages[0]),
                "href": city.licence_url or "",
            }
        ],
    }


def _features(
    schemas: Schemas, layer: LayerContract, audience: Audience, crs_uris: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "feature",
        "name": FEATURES_PLUGIN,
        "data": layer.id,
        "id_field": ID,
        "crs": list(crs_uris),
        "storage_crs": schemas.city.crs_uri,
    }
    names = views.published_fields(schemas, layer, audience)
    for key, column in (("time_field", layer.publish.time), ("title_field", layer.publish.label)):
        name = schemas.city.published(column) if column else None
        if name in names:
            found[key] = name
    return found


def _tiles(city: City, layer: LayerContract) -> dict[str, Any]:
    return {
        "type": "tile",
        "name": TILES_PLUGIN,
        "data": layer.id,
        "options": {
            "zoom": {"min": layer.publish.min_zoom, "max": layer.publish.max_zoom},
            "schemes": list(grids.of(city)),
        },
        "format": dict(MVT),
    }


def has_form(layer: LayerContract, audience: Audience) -> bool:
    """Whether there is a page with a form for new rows: of points, where the audience may."""
    shape = layer.geometry
    return "create" in audience.may(layer) and shape is not None and shape.type == "Point"


def resource(
    schemas: Schemas,
    layer: LayerContract,
    audience: Audience,
    extent: Extent,
    crs_uris: list[str],
) -> dict[str, Any]:
    """The resource of ``layer`` for ``audience``; its key is ``publish.collection``."""
    keywords = list(dict.fromkeys([layer.theme, *layer.publish.keywords]))
    made = head(schemas.city, layer.title, layer.description, keywords)
    providers = [_features(schemas, layer, audience, crs_uris)]
    if has_tiles(layer):
        providers.append(_tiles(schemas.city, layer))
    names = views.published_fields(schemas, layer, audience)
    return {
        **made,
        "theme": text(schemas.themes.entries[layer.theme], schemas.city),
        **({"has_form": True} if has_form(layer, audience) else {}),
        "extents": extent.as_config(),
        "limits": {
            "default_items": layer.publish.default_limit,
            "max_items": layer.publish.max_limit,
            "on_exceed": "throttle",
        },
        "fields": {name: _field(schemas, field) for name, field in names.items()},
        "providers": providers,
    }


def has_tiles(layer: LayerContract) -> bool:
    """Whether the layer is served as vector tiles."""
    return layer.publish.tiles and layer.geometry is not None


def raster_resource(
    schemas: Schemas, contract: RasterContract, served: ServedRaster, home: Path, base: str
) -> dict[str, Any]:
    """The resource of a raster layer that is loaded below ``home`` (MAKAN_HOME) and served at
    the address ``base``."""
    city, theme = schemas.city, schemas.themes.entries[contract.theme]
    made = head(city, contract.title, contract.description, [contract.theme])
    made["links"] += _file(city, contract, home / served.path, base)
    made["links"] += _reports(city, contract, served, home, base)
    providers = raster_collections.providers(contract, city, home)
    days = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in served.taken or ()]
    extent = Extent(served.lonlat, *days)
    told = {"theme": text(theme, city), "extents": extent.as_config()}
    return {**made, **told, "providers": providers}


def _file(city: City, contract: RasterContract, file: Path, base: str) -> list[dict[str, Any]]:
    """The link to the COG itself; pygeoapi would ask the server for a length that is not told."""
    if not file.is_file():
        return []
    title = text(contract.title, city)[city.languages[0]]
    href = base + raster_collections.file_path(contract)
    link = {"type": raster_collections.COG, "rel": "enclosure", "title": title, "href": href}
    return [{**link, "length": file.stat().st_size}]


def _reports(
    city: City, contract: RasterContract, served: ServedRaster, home: Path, base: str
) -> list[dict[str, Any]]:
    """Links to what is told of the accuracy: of the whole, and of its sheets."""
    told = ServedRaster.reports(home, contract.id)
    names = {served.name: "", **{part.name: part.sheet for part in served.parts}}
    title = ACCURACY[city.languages[0]]
    return [
        {
            "rel": "describedby",
            "type": kind,
            "title": f"{title} {sheet}".strip(),
            "href": base + raster_collections.report_path(contract, name, form),
        }
        for name, sheet in names.items()
        if name in told
        for form, kind in raster_collections.REPORT_FORMS.items()
    ]
