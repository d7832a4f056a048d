"""What a raster says of itself before a pixel is read, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import MaskFlags, WktVersion

from pipeline.rasters.opening import FAULTS, Dataset


@dataclass(frozen=True, slots=True)
class Header:
    """Size in pixels, band types, and georeference as embedded (None where there is none).

    ``interpretations`` are GDAL's colour names, one a band; ``masked``: an internal mask or an
    alpha band; ``block_bytes``: the decoded size of the largest piece that is read at once.
    """

    driver: str
    width: int
    height: int
    dtypes: tuple[str, ...]
    interpretations: tuple[str, ...]
    nodata: float | None
    masked: bool
    units: tuple[str | None, ...]
    transform: Affine | None
    crs: CRS | None
    tiled: bool
    block_bytes: int

    @property
    def pixels(self) -> int:
        """Pixels of one band."""
        return self.width * self.height

    @property
    def alpha(self) -> int | None:
        """The 1-based number of the alpha band, or None."""
        names = self.interpretations
        return names.index("alpha") + 1 if "alpha" in names else None


def read(dataset: Dataset) -> Header:
    """The header of an open dataset; raises one of FAULTS when even that is damaged."""
    rows, columns = (max(sizes) for sizes in zip(*dataset.block_shapes, strict=True))
    return Header(
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        dtypes=tuple(dataset.dtypes),
        interpretations=tuple(color.name for color in dataset.colorinterp),
        nodata=None if dataset.nodata is None else float(dataset.nodata),
        masked=MaskFlags.per_dataset in dataset.mask_flag_enums[0],
        units=tuple(dataset.units),
        transform=None if dataset.transform.is_identity else dataset.transform,
        crs=_crs(dataset),
        tiled=columns < dataset.width,
        block_bytes=rows * columns * dataset.count * _bytes(dataset.dtypes[0]),
    )


def _bytes(dtype: str) -> int:
    digits = "".join(filter(str.isdigit, dtype))
    return max(1, int(digits or 8) // 8)


def _crs(dataset: Dataset) -> CRS | None:
    """The embedded CRS; keys that GDAL or PROJ cannot make sense of count as none."""
    try:
        if not dataset.crs:
            return None
        return CRS.from_wkt(dataset.crs.to_wkt(version=WktVersion.WKT2_2019))
    except (CRSError, *FAULTS):
        return None


def pixel_size(transform: Affine) -> tuple[float, float]:
    """Width and height of a pixel in units of the CRS, also when rotated."""
    return math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)


def is_rotated(transform: Affine) -> bool:
    """Whether rows do not run along an axis, beyond what rounding leaves (1e-9 of a pixel)."""
    width, height = pixel_size(transform)
    return abs(transform.b) > 1e-9 * height or abs(transform.d) > 1e-9 * width
