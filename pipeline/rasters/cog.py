"""Writes the Cloud Optimized GeoTIFF, and proves that it is one before anybody sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import rasterio
import rasterio.shutil
from rio_cogeo.cogeo import cog_validate

from pipeline.contracts.raster import Encoding
from pipeline.errors import ResourceError
from pipeline.rasters.disk import writing
from pipeline.rasters.opening import CACHE_BYTES

_PREDICTORS = {1: "NO", 2: "STANDARD", 3: "FLOATING_POINT"}
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Cog:
    """A finished COG: ``bounds`` are xmin, ymin, xmax, ymax in its CRS."""

    path: Path
    sha256: str
    size: int
    width: int
    height: int
    bounds: tuple[float, float, float, float]
    pixel: tuple[float, float]


def options(encoding: Encoding) -> dict[str, str | int]:
    """The creation options of GDAL's COG driver for a contract's encoding."""
    chosen: dict[str, str | int] = {
        "COMPRESS": encoding.compress,
        "BLOCKSIZE": encoding.blocksize,
        "OVERVIEW_RESAMPLING": encoding.resampling.upper(),
        "OVERVIEWS": "IGNORE_EXISTING",
        "NUM_THREADS": "ALL_CPUS",
        "BIGTIFF": "IF_SAFER",
    }
    if encoding.quality is not None:
        chosen["QUALITY"] = encoding.quality
    if encoding.compress in ("DEFLATE", "ZSTD"):
        chosen["PREDICTOR"] = _PREDICTORS[encoding.predictor]
    return chosen


def write(source: Path, target: Path, encoding: Encoding, *, driver: str = "GTiff") -> Cog:
    """Writes ``source`` as COG ``target`` and validates it; ``driver`` is the source's.

    The folder of ``target`` takes GDAL's temporary overviews too. Raises ResourceError when there
    is no room, or when what was written is no COG.
    """
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_PAM_ENABLED="NO"), writing(target):
        with rasterio.open(source, driver=driver) as dataset:
            rasterio.shutil.copy(dataset, target, driver="COG", **options(encoding))
        _validate(target)
        return describe(target)


def proven(path: Path) -> Cog:
    """A COG that was written otherwise, validated; raises ResourceError where it is none."""
    _validate(path)
    return describe(path)


def _validate(path: Path) -> None:
    valid, errors, warnings = cog_validate(str(path), strict=True, quiet=True)
    if not valid:
        raise ResourceError(f"what was written is no valid COG: {'; '.join(errors + warnings)}")


def describe(path: Path) -> Cog:
    """A finished COG with its checksum."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    with rasterio.open(path, driver="GTiff") as dataset:
        bounds, transform = dataset.bounds, dataset.transform
        return Cog(
            path,
            digest.hexdigest(),
            path.stat().st_size,
            dataset.width,
            dataset.height,
            (bounds.left, bounds.bottom, bounds.right, bounds.top),
            (transform.a, -transform.e),
        )
