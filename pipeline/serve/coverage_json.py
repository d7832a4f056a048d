"""CoverageJSON: fields, grids and points, with the axes, CRS and units as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from pipeline.serve.raster_source import crs_uri, is_north_first

_UCUM = "http://www.opengis.net/def/uom/UCUM/"
_DECIMALS = 3  # millimetres, for heights in metres

Band = dict[str, Any]


def fields(bands: Iterable[Band]) -> dict[str, Any]:
    """The bands as pygeoapi's fields: type, title in the first language, unit."""
    found: dict[str, Any] = {}
    for band in bands:
        field = {"type": "number", "title": next(iter(band["title"].values()))}
        if band.get("unit"):
            field["x-ogc-unit"] = band["unit"]
        found[band["name"]] = field
    return found


def parameters(bands: Iterable[Band]) -> dict[str, Any]:
    """The bands as CoverageJSON parameters, named in every language of the city."""
    found: dict[str, Any] = {}
    for band in bands:
        parameter: dict[str, Any] = {
            "type": "Parameter",
            "description": band["title"],
            "observedProperty": {"label": band["title"]},
        }
        if band.get("unit"):
            parameter["unit"] = {"symbol": {"value": band["unit"], "type": _UCUM}}
        found[band["name"]] = parameter
    return found


def _referencing(crs: CRS) -> list[dict[str, Any]]:
    """Names the axes in the order of the CRS, as CoverageJSON wants."""
    kind = "GeographicCRS" if crs.is_geographic else "ProjectedCRS"
    order = ["y", "x"] if is_north_first(crs) else ["x", "y"]
    return [{"coordinates": order, "system": {"type": kind, "id": crs_uri(crs)}}]


def grid(
    bands: Sequence[Band], values: NDArray[Any], valid: NDArray[Any], transform: Affine, crs: CRS
) -> dict[str, Any]:
    """A grid of ``values`` (bands, rows, columns), null where not ``valid``.

    ``transform`` is of pixel corners; the axes name pixel centres, y from north to south.
    """
    rows, columns = values.shape[1:]
    west, north = transform @ (0.5, 0.5)
    east, south = transform @ (columns - 0.5, rows - 0.5)
    axes = {
        "x": {"start": west, "stop": east, "num": columns},
        "y": {"start": north, "stop": south, "num": rows},
    }
    ranges = {
        band["name"]: {
            "type": "NdArray",
            "dataType": "float",
            "axisNames": ["y", "x"],
            "shape": [rows, columns],
            "values": _numbers(layer, valid),
        }
        for band, layer in zip(bands, values, strict=True)
    }
    domain = {
        "type": "Domain",
        "domainType": "Grid",
        "axes": axes,
        "referencing": _referencing(crs),
    }
    return _coverage(domain, bands, ranges)


def _numbers(layer: NDArray[Any], valid: NDArray[Any]) -> list[float | None]:
    numbers = np.round(layer.astype(np.float64), _DECIMALS).astype(object)
    numbers[~valid] = None
    found: list[float | None] = numbers.ravel().tolist()
    return found


def points(
    bands: Sequence[Band],
    places: Sequence[tuple[float, float]],
    values: Sequence[Sequence[float | None]],
    crs: CRS,
    *,
    single: bool,
) -> dict[str, Any]:
    """Values at ``places`` (x before y); ``values`` has one row a place, one column a band."""
    axes: dict[str, Any]
    if single:
        ((x, y),) = places
        axes = {"x": {"values": [x]}, "y": {"values": [y]}}
        shape: dict[str, Any] = {}
    else:
        tuples = {"dataType": "tuple", "coordinates": ["x", "y"], "values": list(map(list, places))}
        axes = {"composite": tuples}
        shape = {"axisNames": ["composite"], "shape": [len(places)]}
    ranges = {
        band["name"]: {
            "type": "NdArray",
            "dataType": "float",
            **shape,
            "values": [row[number] for row in values],
        }
        for number, band in enumerate(bands)
    }
    domain = {
        "type": "Domain",
        "domainType": "Point" if single else "MultiPoint",
        "axes": axes,
        "referencing": _referencing(crs),
    }
    return _coverage(domain, bands, ranges)


def _coverage(
    domain: dict[str, Any], bands: Sequence[Band], ranges: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "Coverage",
        "domain": domain,
        "parameters": parameters(bands),
        "ranges": ranges,
    }
