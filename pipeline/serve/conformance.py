"""Conformance classes, by what makes them hold. QGIS sends filters only where it reads these."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_SPEC = "http://www.opengis.net/spec"

ALWAYS = (
    "ogcapi-common-1/1.0/conf/core",
    "ogcapi-common-1/1.0/conf/landing-page",
    "ogcapi-common-1/1.0/conf/json",
    "ogcapi-common-1/1.0/conf/html",
    "ogcapi-common-1/1.0/conf/oas30",
    "ogcapi-common-2/1.0/conf/collections",
    "ogcapi-records-1/1.0/conf/record-core",
    "ogcapi-records-1/1.0/conf/record-collection",
    # The text of the standard says records, servers that were there before it say record.
    "ogcapi-records-1/1.0/conf/record-api",
    "ogcapi-records-1/1.0/conf/records-api",
    "ogcapi-records-1/1.0/conf/record-core-query-parameters",
    "ogcapi-records-1/1.0/conf/searchable-catalog",
    "ogcapi-records-1/1.0/conf/sorting",
    "ogcapi-records-1/1.0/conf/json",
    "ogcapi-records-1/1.0/conf/html",
    "ogcapi-records-1/1.0/conf/oas30",
)
FEATURES = (
    "ogcapi-features-1/1.0/conf/core",
    "ogcapi-features-1/1.0/conf/oas30",
    "ogcapi-features-1/1.0/conf/html",
    "ogcapi-features-1/1.0/conf/geojson",
    "ogcapi-features-2/1.0/conf/crs",
    "ogcapi-features-3/1.0/conf/queryables",
    "ogcapi-features-3/1.0/conf/queryables-query-parameters",
    "ogcapi-features-3/1.0/conf/filter",
    "ogcapi-features-3/1.0/conf/features-filter",
    "json-fg-1/1.0/conf/core",
    "json-fg-1/1.0/conf/types-schemas",
    "ogcapi-features-5/1.0/conf/schemas",
    "ogcapi-features-5/1.0/conf/core-roles-features",
    "ogcapi-features-5/1.0/conf/queryables",
    "ogcapi-common-3/1.0/conf/schemas",
    "cql2/1.0/conf/cql2-text",
    "cql2/1.0/conf/cql2-json",
    "cql2/1.0/conf/basic-cql2",
    "cql2/1.0/conf/advanced-comparison-operators",
    "cql2/1.0/conf/case-insensitive-comparison",
    "cql2/1.0/conf/accent-insensitive-comparison",
    # The final standard says functions; QGIS up to 3.42 looks for the word of its draft.
    "cql2/1.0/conf/basic-spatial-functions",
    "cql2/1.0/conf/basic-spatial-operators",
    "cql2/1.0/conf/basic-spatial-functions-plus",
    "cql2/1.0/conf/spatial-functions",
    "cql2/1.0/conf/temporal-functions",
    "cql2/1.0/conf/property-property",
    "cql2/1.0/conf/arithmetic",
    # Of the catalogue; it needs what stands above.
    "ogcapi-records-1/1.0/conf/filtering",
)
TILES = (
    "ogcapi-tiles-1/1.0/conf/core",
    "ogcapi-tiles-1/1.0/conf/tileset",
    "ogcapi-tiles-1/1.0/conf/tilesets-list",
    "ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    "ogcapi-tiles-1/1.0/conf/dataset-tilesets",
    "ogcapi-tiles-1/1.0/conf/collections-selection",
    "ogcapi-tiles-1/1.0/conf/oas30",
)
MAPS = (
    "ogcapi-maps-1/1.0/conf/core",
    "ogcapi-maps-1/1.0/conf/collection-map",
    "ogcapi-maps-1/1.0/conf/dataset-map",
    "ogcapi-maps-1/1.0/conf/collections-selection",
    "ogcapi-maps-1/1.0/conf/spatial-subsetting",
    "ogcapi-maps-1/1.0/conf/scaling",
    "ogcapi-maps-1/1.0/conf/crs",
    "ogcapi-maps-1/1.0/conf/png",
    "ogcapi-maps-1/1.0/conf/jpeg",
)
STYLES = (
    "ogcapi-styles-1/1.0/conf/core",
    "ogcapi-styles-1/1.0/conf/mapbox-styles",
    "ogcapi-styles-1/1.0/conf/sld-10",
)
PROCESSES = (
    "ogcapi-processes-1/1.0/conf/core",
    "ogcapi-processes-1/1.0/conf/ogc-process-description",
    "ogcapi-processes-1/1.0/conf/json",
    "ogcapi-processes-1/1.0/conf/html",
    "ogcapi-processes-1/1.0/conf/oas30",
    "ogcapi-processes-1/1.0/conf/dismiss",
)
# Where no key is needed, a list would show everybody what others ask.
LISTED_JOBS = "ogcapi-processes-1/1.0/conf/job-list"
#: Where a property holds several values.
ARRAYS = "cql2/1.0/conf/array-functions"
#: Part 4 is a draft (OGC 20-002r1); these are its names.
WRITING = (
    "ogcapi-features-4/1.0/conf/create-replace-delete",
    "ogcapi-features-4/1.0/conf/update",
    "ogcapi-features-4/1.0/conf/optimistic-locking-etags",
    "ogcapi-features-4/1.0/conf/features",
)
_VECTOR = "application/vnd.mapbox-vector-tile"
_TILE_FORMATS = {
    _VECTOR: "ogcapi-tiles-1/1.0/conf/mvt",
    "image/png": "ogcapi-tiles-1/1.0/conf/png",
    "image/jpeg": "ogcapi-tiles-1/1.0/conf/jpeg",
}
_BY_PROVIDER = {
    "feature": FEATURES,
    "tile": TILES,
    "map": ("ogcapi-maps-1/1.0/conf/core",),
    "coverage": (
        "ogcapi-coverages-1/1.0/conf/core",
        "ogcapi-coverages-1/1.0/conf/geodata-coverage",
        "ogcapi-coverages-1/1.0/conf/coverage-subset",
        "ogcapi-coverages-1/1.0/conf/coverage-bbox",
        "ogcapi-coverages-1/1.0/conf/oas30",
    ),
    "edr": ("ogcapi-edr-1/1.0/conf/core",),
}


def classes(
    config: dict[str, Any],
    processes: Collection[str] = (),
    *,
    lists_jobs: bool = False,
    writes: bool = False,
    arrays: bool = False,
) -> list[str]:
    """The classes that hold for what ``config`` publishes, for ``processes`` if any, for rows that
    can be written, and for properties that are ``arrays``."""
    found = set(ALWAYS) | set(PROCESSES if processes else ())
    if processes and lists_jobs:
        found.add(LISTED_JOBS)
    found |= set(WRITING if writes else ()) | ({ARRAYS} if arrays else set())
    for resource in config["resources"].values():
        for provider in resource["providers"]:
            found |= set(_BY_PROVIDER[provider["type"]])
            kind = provider.get("format", {}).get("mimetype")
            if provider["type"] == "tile" and kind == _VECTOR:
                found |= {*MAPS, *STYLES}
            if provider["type"] == "tile" and kind in _TILE_FORMATS:
                found.add(_TILE_FORMATS[kind])
    return sorted(f"{_SPEC}/{name}" for name in found)
