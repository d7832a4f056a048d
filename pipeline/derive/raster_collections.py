"""The pygeoapi providers of a raster: what stands in the rendered configuration about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.derive import grids

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
_ROOM = "pipeline.serve"
#: What EDR calls the format of values at places; ``json`` means it too.
COVERAGE_JSON = "CoverageJSON"
_PNG = {"name": "png", "mimetype": "image/png"}
_GEOTIFF = {"name": "GTiff", "mimetype": "image/tiff; application=geotiff"}
#: The media type of a Cloud Optimized GeoTIFF (OGC 21-026).
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
#: Media types of accuracy reports.
REPORT_FORMS = {"html": "text/html", "pdf": "application/pdf", "json": "application/json"}
_FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
# Heights as colours, for terrain in three dimensions.
_CODED = {"terrain-rgb": "image/png", "terrarium": "image/png"}
_MAP_FORMATS = {name: _FORMATS[name] for name in ("png", "jpeg")}
# A value takes about 10 bytes of JSON and 60 of memory while it is written.
_VALUES_A_PIXEL = 16


def providers(contract: RasterContract, city: City, home: Path) -> list[dict[str, Any]]:
    """The providers of ``contract.serve``, coverage first: pygeoapi describes a collection by it.

    ``home`` is MAKAN_HOME; the modules that are named say what each option means.
    """
    makers = {
        "coverage": _coverage,
        "position": _position,
        "tiles": _tiles,
        "map": _map,
    }
    return [make(contract, city, home) for kind, make in makers.items() if kind in contract.serve]


def extent(home: Path, contract: RasterContract) -> tuple[float, float, float, float] | None:
    """West, south, east, north of what is served now, None before the first load."""
    pointer = ServedRaster.pointer(home, contract.id)
    if not pointer.is_file():
        return None
    return ServedRaster.model_validate_json(pointer.read_bytes()).lonlat


def file_path(contract: RasterContract) -> str:
    """Where the server has the COG itself, for clients that read files by ranges."""
    return f"/files/{contract.collection}.tif"


def report_path(contract: RasterContract, name: str, form: str) -> str:
    """Where the server tells the accuracy of the file ``name``, in one of REPORT_FORMS."""
    return f"/files/{contract.collection}/{name}/accuracy.{form}"


def _bands(contract: RasterContract, city: City) -> list[dict[str, Any]]:
    return [
        {
            "name": band,
            "title": {lang: contract.label(band).of(lang) for lang in city.languages},
            "unit": contract.unit,
        }
        for band in contract.bands
    ]


def _offered(city: City) -> list[str]:
    """The CRSs that heights are given in."""
    return [CRS84, f"{_EPSG}4326", city.crs_uri, f"{_EPSG}3857"]


def _coverage(contract: RasterContract, city: City, home: Path) -> dict[str, Any]:
    return {
        "type": "coverage",
        "name": f"{_ROOM}.coverage.RasterCoverage",
        "data": contract.id,
        "storage_crs": city.crs_uri,
        "options": {
            "home": str(home),
            "max_pixels": contract.max_request_pixels,
            "max_values": contract.max_request_pixels // _VALUES_A_PIXEL,
            "crs": _offered(city),
            "bands": _bands(contract, city),
        },
        "format": dict(_GEOTIFF),
    }


def _position(contract: RasterContract, city: City, home: Path) -> dict[str, Any]:
    return {
        "type": "edr",
        "name": f"{_ROOM}.position.RasterPosition",
        "data": contract.id,
        "crs": _offered(city),
        "options": {
            "home": str(home),
            "storage_crs": city.crs_uri,
            "bands": _bands(contract, city),
        },
    }


def _tiles(contract: RasterContract, city: City, home: Path) -> dict[str, Any]:
    coded = _CODED if contract.is_terrain else {}
    return {
        "type": "tile",
        "name": f"{_ROOM}.raster_tiles.RasterTiles",
        "data": contract.id,
        "options": {
            "home": str(home),
            "zoom": {"min": contract.min_zoom, "max": contract.max_zoom},
            "schemes": list(grids.of(city)),
            "city": {"srid": city.srid, "extent": list(city.extent.bounds)},
            "heights": _believable(contract, city),
            "formats": {**_FORMATS, **coded},
            "attribution": {lang: city.provider.of(lang) for lang in city.languages},
        },
        "format": dict(_PNG),
    }


def _believable(contract: RasterContract, city: City) -> list[float] | None:
    """The range of heights that is drawn, None for colours."""
    return [city.heights.min, city.heights.max] if contract.is_terrain else None


def _map(contract: RasterContract, city: City, home: Path) -> dict[str, Any]:
    return {
        "type": "map",
        "name": f"{_ROOM}.raster_map.RasterMap",
        "data": contract.id,
        "storage_crs": city.crs_uri,
        "options": {
            "home": str(home),
            "max_pixels": contract.max_request_pixels,
            "heights": _believable(contract, city),
            "formats": dict(_MAP_FORMATS),
        },
        "format": dict(_PNG),
    }
