"""The raster contract: what an orthophoto or a DEM must be, and how it is stored and served."""

from __future__ import annotations

from typing import Literal

from pydantic import Field as Setting

from pipeline.contracts.base import CollectionId, Frozen, Identifier, Text


class Encoding(Frozen):
    """How the Cloud Optimized GeoTIFF is written (GDAL's names)."""

    compress: Literal["JPEG", "WEBP", "DEFLATE", "ZSTD", "LERC"]
    quality: int | None = None
    predictor: Literal[1, 2, 3] = 1
    blocksize: int = 512
    resampling: Literal["average", "bilinear", "nearest", "cubic"] = "average"


class RasterLimits(Frozen):
    """Beyond these a raster is refused; pixel sizes in metres, values in ``unit``."""

    min_pixel_m: float
    max_pixel_m: float
    min_value: float | None = None
    max_value: float | None = None
    min_valid_share: float = 0.0001
    max_pixels: int = 40_000_000_000


class RasterContract(Frozen):
    """One raster layer. ``bands`` are the colour or measure names in order."""

    id: Identifier
    title: Text
    description: Text
    theme: Identifier
    steward: Text
    collection: CollectionId
    dtype: Literal["uint8", "float32"]
    bands: tuple[str, ...]
    unit: str | None = None
    nodata: float | None = None
    mask: bool = False
    serve: tuple[Literal["tiles", "map", "coverage", "position"], ...]
    encoding: Encoding
    limits: RasterLimits
    max_zoom: int = Setting(default=21, ge=0, le=24)
    max_request_pixels: int = 16_000_000
