"""The OpenAPI 3.0 document: self-contained, with limits as they are and every queryable named.

QGIS reads its page size from ``components/parameters/limit`` and sends equality filters for the
query parameters that each ``/items`` names.
"""

from __future__ import annotations

from typing import Any

from pipeline import __version__
from pipeline.contracts.audience import Audience
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import (
    jsonschema,
    openapi_components,
    openapi_maps,
    openapi_parts,
    openapi_processes,
    openapi_records,
    openapi_writing,
    raster_collections,
    views,
)
from pipeline.derive.openapi_parts import get, json_of, ref

Paths = dict[str, Any]
_ENGLISH = "en"


def document(schemas: Schemas, audience: Audience, config: dict[str, Any]) -> dict[str, Any]:
    """The document for what ``config`` (pygeoapi's) publishes; it is for programmers, in English
    where the city has English texts."""
    language = _language(schemas)
    identity, licence = config["metadata"]["identification"], config["metadata"]["license"]
    contact = config["metadata"]["contact"]
    paths: Paths = (
        _service() | openapi_records.catalogue() | openapi_maps.dataset(schemas, audience)
    )
    tags = [{"name": "service", "description": identity["description"][language]}]
    for name, resource in config["resources"].items():
        tags.append({"name": name, "description": resource["title"][language]})
        paths |= _collection(schemas, audience, name, resource)
        if {"feature", "tile"} <= {provider["type"] for provider in resource["providers"]}:
            paths |= openapi_maps.collection(name, resource["title"][language])
    process_tags, process_paths = openapi_processes.paths(schemas, audience, language)
    tags, paths = tags + process_tags, paths | process_paths
    return {
        "openapi": "3.0.3",
        "info": {
            "title": identity["title"][language],
            "description": identity["description"][language],
            "version": __version__,
            "contact": {
                "name": schemas.city.provider.of(language),
                "email": contact["email"],
            },
            "license": {"name": licence["name"][language], "url": licence["url"]},
        },
        "servers": [{"url": config["server"]["url"]}],
        "tags": tags,
        "paths": paths,
        "components": _components(schemas, audience, config, language),
        **openapi_parts.security(audience),
    }


def _components(
    schemas: Schemas, audience: Audience, config: dict[str, Any], language: str
) -> dict[str, Any]:
    made = openapi_components.components(schemas, config)
    writing = openapi_writing.components(
        schemas, audience, language, openapi_components.crs_uris(config)
    )
    return {**made, **{part: {**made[part], **found} for part, found in writing.items()}}


def _language(schemas: Schemas) -> str:
    languages = schemas.city.languages
    return _ENGLISH if _ENGLISH in languages else languages[0]


def _service() -> Paths:
    page, any_json = [ref("f"), ref("lang")], json_of("anything")
    return {
        "/": get("service", "landing", "Landing page", page, json_of("landingPage")),
        "/conformance": get(
            "service", "conformance", "Conformance classes", page, json_of("confClasses")
        ),
        "/openapi": get("service", "openapi", "This document", page, json_of("anything")),
        "/collections": get("service", "collections", "Collections", page, json_of("collections")),
        "/TileMatrixSets": get("service", "grids", "Tile grids", page, json_of("anything")),
        "/TileMatrixSets/{tileMatrixSetId}": get(
            "service",
            "grid",
            "One tile grid",
            [ref("tileMatrixSetId"), *page],
            json_of("anything"),
        ),
        **_stac(),
        "/licence": get("service", "licence", "Under what data may be used", page, any_json),
        "/health/live": get("service", "live", "Whether the server answers", [], any_json),
        "/health/ready": get("service", "ready", "Whether the database does too", [], any_json),
    }


def _stac() -> Paths:
    """The STAC tree and its search."""
    page, any_json = [ref("f"), ref("lang")], json_of("anything")
    items = json_of("featureCollection", "application/geo+json")
    here = "/stac/collections"
    one = [openapi_parts.place("collectionId"), *page]
    asked = [ref("bbox"), ref("datetime"), ref("limit"), ref("offset")]
    named = [openapi_parts.text(name) for name in ("ids", "collections", "intersects")]
    single = [openapi_parts.place("itemId"), *one]
    feature = json_of("feature", "application/geo+json")
    table = {
        "/stac": ("stac", "STAC catalog", page, any_json),
        here: ("stac.collections", "STAC collections", page, any_json),
        f"{here}/{{collectionId}}": ("stac.collection", "A STAC collection", one, any_json),
        f"{here}/{{collectionId}}/items": ("stac.items", "Its items", [*one, *asked], items),
        f"{here}/{{collectionId}}/items/{{itemId}}": ("stac.item", "An item", single, feature),
        "/stac/search": ("stac.search", "Search STAC items", [*asked, *named], items),
    }
    return {path: get("service", *told) for path, told in table.items()}


def _collection(schemas: Schemas, audience: Audience, name: str, resource: dict[str, Any]) -> Paths:
    here = f"/collections/{name}"
    title = resource["title"][_language(schemas)]
    page = [ref("f"), ref("lang")]
    paths: Paths = {
        here: get(name, f"{name}.describe", title, page, json_of("collection")),
        f"{here}/quality": get(
            name, f"{name}.quality", f"{title}: quality", page, json_of("anything")
        ),
    }
    kinds = {provider["type"]: provider for provider in resource["providers"]}
    if "feature" in kinds:
        paths |= _features(schemas, audience, name, kinds["feature"]["data"])
    if "feature" in kinds or "coverage" in kinds:
        paths |= _told(schemas, name, title, kinds)
    if "tile" in kinds:
        paths |= openapi_parts.tiles(name, title, kinds["tile"])
    for kind in ("coverage", "map", "edr"):
        if kind in kinds:
            paths |= openapi_parts.raster(name, title, kinds[kind])
    if any(link["rel"] == "enclosure" for link in resource["links"]):
        content = openapi_parts.binary(raster_collections.COG)
        told = f"{title}: the COG itself, also in parts (Range)"
        paths[f"/files/{name}.tif"] = get(name, f"{name}.file", told, [], content)
    return paths


def _told(schemas: Schemas, name: str, title: str, kinds: dict[str, Any]) -> Paths:
    """Schema and queryables; changes take no filter, and shapes have a schema as GML too."""
    log = "feature" in kinds and schemas.layer(kinds["feature"]["data"]).source == "log"
    shaped = {"feature", "tile"} <= kinds.keys()
    xml = {"application/xml": {"schema": {"type": "string"}}} if shaped else {}
    forms = {"schema": "f-schema" if shaped else "f", "queryables": "f"}
    found = {}
    for part in ("schema",) if log else ("schema", "queryables"):
        answer = {
            **json_of("anything", "application/schema+json"),
            **(xml if part == "schema" else {}),
        }
        asked = [ref(forms[part]), ref("lang")]
        found[f"/collections/{name}/{part}"] = get(
            name, f"{name}.{part}", f"{title}: {part}", asked, answer
        )
    return found


def _features(schemas: Schemas, audience: Audience, name: str, layer_id: str) -> Paths:
    layer = schemas.layer(layer_id)
    if layer.source == "log":
        return _changes(schemas, name, layer)
    shown = views.published_fields(schemas, layer, audience)
    here = f"/collections/{name}"
    title = layer.title.of(_language(schemas))
    limit = openapi_parts.limit(layer.publish.default_limit, layer.publish.max_limit)
    asked = [
        *(ref(part) for part in ("f-items", "lang", "offset", "cursor", "bbox", "bbox-crs")),
        limit,
        *(ref(part) for part in ("datetime", "crs", "skipGeometry", "resulttype", "count")),
        *(ref(part) for part in ("filter", "filter-lang", "filter-crs")),
        *_names(shown),
    ]
    items = get(name, f"{name}.items", title, [*asked, *_equal(schemas, shown)], _geojson())
    # A moment is asked for where features have a past and are of no time themselves.
    past = layer.source == "feed" and layer.publish.time is None
    of_one = ("featureId", "f-item", "lang", *(["datetime"] if past else []), "crs", "skipGeometry")
    one = get(
        name,
        f"{name}.item",
        f"{title}: one feature",
        [ref(part) for part in of_one],
        {
            **json_of("feature", "application/geo+json"),
            **json_of("anything", "application/vnd.ogc.fg+json"),
        },
    )
    items |= openapi_writing.operations(layer, audience, title, one=False)
    one |= openapi_writing.operations(layer, audience, title, one=True)
    without = ("filter", "filter-lang")
    rest = [part for part in asked if part.get("$ref", "").rsplit("/", 1)[-1] not in without]
    return {
        f"{here}/items": items,
        f"{here}/items/{{featureId}}": one,
        f"{here}/search": openapi_parts.search(name, title, rest, _geojson()),
    }


def _changes(schemas: Schemas, name: str, layer: LayerContract) -> Paths:
    publish = layer.publish
    parts = (
        *("f-change", "lang", "cursor", "since", "collection", "bbox", "bbox-crs", "datetime"),
        *("crs", "skipGeometry"),
    )
    asked = [
        *(ref(part) for part in parts),
        openapi_parts.limit(publish.default_limit, publish.max_limit),
    ]
    content = {
        **json_of("anything", "application/geo+json"),
        "text/html": {"schema": {"type": "string"}},
    }
    title = layer.title.of(_language(schemas))
    here = f"/collections/{name}/items"
    of_one = [ref(part) for part in ("featureId", "f-change", "lang", "crs", "skipGeometry")]
    return {
        here: get(name, f"{name}.items", title, asked, content),
        f"{here}/{{featureId}}": get(
            name, f"{name}.item", f"{title}: one change", of_one,
            json_of("feature", "application/geo+json"),
        ),
    }  # fmt: skip


def _geojson() -> dict[str, Any]:
    return {
        **json_of("featureCollection", "application/geo+json"),
        **json_of("anything", "application/vnd.ogc.fg+json"),
        "text/html": {"schema": {"type": "string"}},
        "text/csv": {"schema": {"type": "string"}},
        **openapi_parts.binary("application/flatgeobuf"),
        **openapi_parts.binary("application/vnd.apache.parquet"),
        "application/gml+xml": {"schema": {"type": "string"}},
    }


def _names(shown: dict[str, Field]) -> list[dict[str, Any]]:
    """``properties`` and ``sortby``, which name the collection's own properties."""
    names = list(shown)
    sorts = [f"{sign}{name}" for name in ("id", *names) for sign in ("", "-", "+")]
    return [
        openapi_parts.listing("properties", "Properties to be sent", names),
        openapi_parts.listing("sortby", "Properties to sort by; a minus sorts downwards", sorts),
    ]


def _equal(schemas: Schemas, shown: dict[str, Field]) -> list[dict[str, Any]]:
    """One query parameter for each queryable property."""
    language = _language(schemas)
    found = []
    for name, field in shown.items():
        if name in openapi_parts.RESERVED:
            continue
        full = jsonschema.field_schema(schemas, field, language)
        # A client may ask for a value that no feature has: only the type is binding.
        kept = {key: full[key] for key in ("type", "format") if key in full}
        kept = {"type": "string"} if field.several else kept
        found.append(
            {
                "name": name,
                "in": "query",
                "description": full["title"],
                "required": False,
                "schema": kept,
                "style": "form",
                "explode": False,
            }
        )
    return found
