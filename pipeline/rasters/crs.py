"""CRSs of rasters: the horizontal part, its name, and how GDAL is told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import rasterio.crs
import rasterio.warp
from pyproj import CRS
from pyproj.crs import BoundCRS, CoordinateOperation  # type: ignore[attr-defined]
from pyproj.enums import WktVersion
from pyproj.exceptions import ProjError

from pipeline import geo
from pipeline.errors import GuardError
from pipeline.operations import Operation

Bounds = tuple[float, float, float, float]
_CRS84 = CRS.from_authority("OGC", "CRS84")


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


def bound(
    crs: CRS, target: CRS, operation: Operation | None, at: tuple[float, float]
) -> rasterio.crs.CRS:
    """``crs`` for rasterio so that GDAL leaves its datum by ``operation`` and by no other.

    Its EPSG codes are left out: by them GDAL would know a way of its own. Raises GuardError where
    GDAL takes another way all the same, seen by the point ``at`` (in ``crs``).
    """
    if operation is None or operation.code is None:
        return for_gdal(crs)
    shift = CoordinateOperation.from_authority(*operation.code.split(":"))
    bare = CRS.from_json_dict(_without_codes(crs.to_json_dict()))
    held = BoundCRS(bare, target.geodetic_crs, shift)
    made = rasterio.crs.CRS.from_wkt(held.to_wkt(WktVersion.WKT2_2019))
    east, north = rasterio.warp.transform(made, for_gdal(target), [at[0]], [at[1]])
    if not np.allclose([east[0], north[0]], operation.points(np.array([at]))[0], atol=1e-3, rtol=0):
        raise GuardError(
            f"the raster cannot be resampled by {operation}",
            todo=f"Ask for it in {name(target)}, or pin an operation from {name(crs)}.",
        )
    return made


def _without_codes(part: Any) -> Any:
    if isinstance(part, dict):
        kept = {name: one for name, one in part.items() if name not in ("id", "ids")}
        return {name: _without_codes(one) for name, one in kept.items()}
    return [_without_codes(one) for one in part] if isinstance(part, list) else part


def to_lonlat(crs: CRS, bounds: Bounds) -> Bounds | None:
    """``bounds`` in degrees (west, south, east, north), None where the CRS does not reach."""
    try:
        transformer = geo.transformer(crs, _CRS84)
        west, south, east, north = transformer.transform_bounds(*bounds, errcheck=True)
    except ProjError:
        return None
    return (west, south, east, north)
