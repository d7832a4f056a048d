"""pygeoapi's configuration: server.yml, the city's profile, the contracts, and what is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import ValidationError  # type: ignore[import-untyped]
from pygeoapi.config import validate_config

from pipeline import paths
from pipeline.contracts.audience import Audience
from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.derive import collections
from pipeline.derive.collections import Extent, text
from pipeline.errors import ContractError
from pipeline.serve import crs
from pipeline.settings import Settings

#: The page about the licence.
LICENCE = "/licence"
_KEYS = {"server", "logging", "metadata", "makan"}


def hand_written(folder: Path | None = None) -> dict[str, Any]:
    """The content of server.yml; raises ContractError when it cannot be used."""
    path = (folder or paths.server_files()) / "server.yml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = str(error).splitlines()[0]
        raise ContractError(f"cannot be read: {said}", where=str(path)) from None
    if not isinstance(found, dict) or found.keys() != _KEYS:
        raise ContractError(f"must have exactly {', '.join(sorted(_KEYS))}", where=str(path))
    return found


def render(
    settings: Settings,
    schemas: Schemas,
    extents: dict[str, Extent],
    rasters: dict[str, ServedRaster],
) -> dict[str, Any]:
    """The whole configuration, checked by pygeoapi's own schema.

    ``extents`` are those of the feature layers, ``rasters`` what is loaded, both by layer id.
    """
    base = hand_written()
    city, audience = schemas.city, schemas.audience(settings.audience)
    templates = {
        "path": str(paths.server_files() / "templates"),
        "static": str(paths.server_files() / "static"),
    }
    made: dict[str, Any] = {
        "server": {
            **base["server"],
            "bind": {"host": settings.host, "port": settings.port},
            "url": settings.public_base,
            "languages": list(city.languages),
            "templates": templates,
        },
        # pygeoapi looks for the templates of tile grids here.
        "path": templates["path"],
        "logging": base["logging"],
        "metadata": _metadata(base["metadata"], city, audience, settings),
        "makan": {**base["makan"], "timezone": city.timezone},
        "resources": _by_theme(
            schemas,
            {**_features(schemas, audience, extents), **_rasters(settings, schemas, rasters)},
        ),
    }
    for resource in made["resources"].values():
        for link in resource["links"]:
            if link["rel"] == "license":
                link["href"] = made["metadata"]["license"]["url"]
    _check(made)
    return made


def _by_theme(schemas: Schemas, found: dict[str, Any]) -> dict[str, Any]:
    """What belongs together stands together, themes in the order of their code list."""
    order = [text(title, schemas.city) for title in schemas.themes.entries.values()]
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[1]["theme"])))


def _check(made: dict[str, Any]) -> None:
    try:
        validate_config(made)
    except ValidationError as error:
        said = str(error).splitlines()[0]
        raise ContractError(
            f"the configuration is not pygeoapi's: {said}",
            where=str(paths.server_files() / "server.yml"),
        ) from None


def _metadata(
    base: dict[str, Any], city: City, audience: Audience, settings: Settings
) -> dict[str, Any]:
    identity = dict(base["identification"])
    for key in ("title", "description"):
        identity[key] = {
            language: identity[key][language].format(city=city.title.of(language))
            for language in city.languages
        }
    if audience.needs_key:
        # Who sees more than everybody is to know on every page that this is not for everybody.
        for language in city.languages:
            identity["title"][language] += f" ({audience.title.of(language)})"
    identity["keywords"] = {language: identity["keywords"][language] for language in city.languages}
    return {
        "identification": {
            **identity,
            "terms_of_service": text(city.licence, city),
            "url": settings.public_base,
        },
        "license": {"name": text(city.licence, city), "url": _licence(city, settings)},
        "provider": {"name": text(city.provider, city), "url": city.provider_url},
        "contact": {
            "name": city.provider.of(city.languages[0]),
            "country": city.country,
            "email": city.contact_email,
        },
    }


def _licence(city: City, settings: Settings) -> str:
    """Where the licence is: a city without an address of its own has a page on its server."""
    return city.licence_url or f"{settings.public_base}{LICENCE}"


def _features(schemas: Schemas, audience: Audience, extents: dict[str, Extent]) -> dict[str, Any]:
    uris = list(crs.supported(schemas.city))
    layers = (schemas.layers[name] for name in schemas.load_order)
    return {
        layer.publish.collection: collections.resource(
            schemas, layer, audience, extents[layer.id], uris
        )
        for layer in layers
        if audience.sees(layer)
    }


def _rasters(
    settings: Settings, schemas: Schemas, rasters: dict[str, ServedRaster]
) -> dict[str, Any]:
    found = {}
    for name, served in rasters.items():
        contract = schemas.rasters[name]
        found[contract.collection] = collections.raster_resource(
            schemas, contract, served, settings.home.resolve(), settings.public_base
        )
    return found


def loaded_rasters(home: Path, contracts: dict[str, RasterContract]) -> dict[str, ServedRaster]:
    """What clients can get of each raster layer; layers that are not loaded are left out."""
    found = {}
    for name in contracts:
        pointer = ServedRaster.pointer(home, name)
        if pointer.is_file():
            found[name] = ServedRaster.model_validate_json(pointer.read_bytes())
    return found
