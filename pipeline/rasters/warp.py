"""Resamples the checked copy into the city's CRS, north up, in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import aligned_target

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.rasters import crs as crses
from pipeline.rasters import plain
from pipeline.rasters.georeference import Georeference
from pipeline.rasters.header import pixel_size
from pipeline.rasters.opening import CACHE_BYTES, Dataset
from pipeline.rasters.placement import Placement
from pipeline.rasters.scan import windows

_ALPHA_VALID = 128
_TOLERANCE = 0.001  # of a pixel, between the nodes of the transformation; 0 is refused by GDAL


def warp(
    source: Path, target: Path, contract: RasterContract, placed: Placement, city: City
) -> None:
    """Writes ``source`` (a checked copy) resampled to the city's CRS as ``target``.

    Pixels keep their size in metres, and lie on multiples of it, so that neighbouring sheets of
    one survey fit together. Imagery is resampled by cubic convolution; heights bilinearly, which
    never overshoots.
    """
    environment = rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS="ALL_CPUS")
    with environment, rasterio.open(source) as dataset:
        middle = placed.place.transform @ (dataset.width / 2, dataset.height / 2)
        how = _how(contract, city)
        how["src_crs"] = crses.bound(placed.place.crs, city.crs, placed.operation, middle)
        with WarpedVRT(dataset, **how) as guess:
            transform, width, height = _grid(guess, placed, city)
        place = Georeference(transform, city.crs)
        with (
            WarpedVRT(dataset, transform=transform, width=width, height=height, **how) as view,
            plain.creating(target, contract, (width, height), place, dataset.tags()) as written,
        ):
            _copy(view, written, contract)


def _how(contract: RasterContract, city: City) -> dict[str, Any]:
    return {
        "crs": crses.for_gdal(city.crs),
        "resampling": Resampling.bilinear if contract.unit else Resampling.cubic,
        "tolerance": _TOLERANCE,
        "add_alpha": contract.mask,
        "nodata": contract.nodata,
    }


def _grid(guess: Dataset, placed: Placement, city: City) -> tuple[Affine, int, int]:
    """The target grid: what GDAL proposes for the extent, with our pixel size."""
    size = pixel_size(guess.transform)
    if placed.place.crs.is_projected:
        width_m, height_m = placed.pixel_m
        size = (width_m / city.metres_per_unit, height_m / city.metres_per_unit)
    transform, width, height = aligned_target(guess.transform, guess.width, guess.height, size)
    return transform, width, height


def _copy(view: Dataset, written: Dataset, contract: RasterContract) -> None:
    bands = tuple(range(1, len(contract.bands) + 1))
    invalid = 0 if contract.nodata is None else contract.nodata
    for window in windows(view.width, view.height, tiled=True):
        values = view.read(bands, window=window)
        if contract.mask:
            valid = view.read(view.count, window=window) >= _ALPHA_VALID
        else:
            valid = np.asarray(view.read_masks(1, window=window) > 0)
        plain.write_window(written, window, values, valid, invalid, contract.mask)
