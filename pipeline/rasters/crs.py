"""CRSs of rasters: the horizontal part, its name, and the way to the city's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import rasterio.crs
from pyproj import CRS
from pyproj.enums import WktVersion
from pyproj.exceptions import ProjError
from pyproj.transformer import AreaOfInterest, TransformerGroup

from pipeline import geo

Bounds = tuple[float, float, float, float]
_CRS84 = CRS.from_authority("OGC", "CRS84")


@dataclass(frozen=True, slots=True)
class Operation:
    """The way from one CRS to another; ``accuracy_m`` is None where nobody states it.

    ``missing`` names the grid file that a better way would need and that is not on this machine.
    """

    name: str
    accuracy_m: float | None
    missing: str | None = None

    def __str__(self) -> str:
        accuracy = "accuracy not stated" if self.accuracy_m is None else f"{self.accuracy_m:g} m"
        better = f"; a better one needs the grid {self.missing}" if self.missing else ""
        return f"{self.name} ({accuracy}{better})"


def horizontal(crs: CRS) -> CRS | None:
    """The horizontal part, or None if it cannot be tied to the Earth (a local or vertical CRS)."""
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if not (crs.is_projected or crs.is_geographic):
        return None
    return crs.to_2d() if len(crs.axis_info) > 2 else crs


def vertical(crs: CRS) -> CRS | None:
    """The vertical part of a compound CRS, or None."""
    return crs.sub_crs_list[1] if crs.is_compound else None


def name(crs: CRS) -> str:
    """``EPSG:n`` where there is one, else the name it gives itself."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.name


def same(one: CRS, other: CRS) -> bool:
    """Whether coordinates mean the same in both, in east, north order."""
    return geo.same_crs(one, other)


def from_text(text: str) -> CRS | None:
    """The CRS of a .prj, .wkt or EPSG:n, None if it is none."""
    return geo.parse_crs(text.lstrip("\ufeff").strip())


def for_gdal(crs: CRS) -> rasterio.crs.CRS:
    """The same CRS for rasterio."""
    code = crs.to_epsg(min_confidence=100)
    if code:
        return rasterio.crs.CRS.from_epsg(code)
    return rasterio.crs.CRS.from_wkt(crs.to_wkt(WktVersion.WKT2_2019))


def to_lonlat(crs: CRS, bounds: Bounds) -> Bounds | None:
    """``bounds`` in degrees (west, south, east, north), None where the CRS does not reach."""
    try:
        transformer = geo.transformer(crs, _CRS84)
        west, south, east, north = transformer.transform_bounds(*bounds, errcheck=True)
    except ProjError:
        return None
    return (west, south, east, north)


def operation(source: CRS, target: CRS, bounds: Bounds) -> Operation:
    """The best operation PROJ has here for ``bounds`` (in ``source``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the missing grid, which we tell ourselves
        group = TransformerGroup(
            source, target, always_xy=True, area_of_interest=_area(source, bounds)
        )
        if not group.transformers:
            group = TransformerGroup(source, target, always_xy=True)
    if not group.transformers:
        return Operation("no known operation", None)
    best = group.transformers[0]
    accuracy = best.accuracy if best.accuracy >= 0 else None
    return Operation(best.description, accuracy, None if group.best_available else _grid(group))


def _area(crs: CRS, bounds: Bounds) -> AreaOfInterest | None:
    """``bounds`` for PROJ; None where they are on no globe."""
    lonlat = to_lonlat(crs, bounds)
    if lonlat is None or not (-180 <= lonlat[0] <= 180 and -90 <= lonlat[1] <= lonlat[3] <= 90):
        return None
    return AreaOfInterest(*lonlat)


def _grid(group: TransformerGroup) -> str:
    grids = [grid for way in group.unavailable_operations for grid in way.grids]
    absent = [grid.short_name for grid in grids if not grid.available]
    return absent[0] if absent else "of a better operation"
