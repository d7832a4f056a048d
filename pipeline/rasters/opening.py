"""Opens arriving rasters by their own first bytes, with no driver that follows links.

A VRT that calls itself .tif makes GDAL read other files and remote addresses; so the driver is
chosen here, from a short list, and no file beside the raster is opened by GDAL on its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

Dataset = Any
FAULTS = (RasterioError, CPLE_BaseError)
CACHE_BYTES = 256 * 2**20  # rasterio hands it to GDAL as bytes, though GDAL's own option is in MB

_SIGNATURES = (
    (b"II*\0", "GTiff"),
    (b"MM\0*", "GTiff"),
    (b"II+\0", "GTiff"),
    (b"MM\0+", "GTiff"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
)
# Siblings are ours to find; nothing is written beside an arrival; a damaged JPEG is an error,
# not a warning; and no network, whatever a file says.
_ARRIVALS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_CACHEMAX": CACHE_BYTES,
}
HEAD = 16  # bytes
TAKEN = "GeoTIFF, JPEG, PNG, JPEG 2000"


def driver_of(path: Path) -> str | None:
    """GDAL's driver for the file's first bytes, None if it is no raster we take."""
    with path.open("rb") as stream:
        return driver_of_head(stream.read(HEAD))


def driver_of_head(head: bytes) -> str | None:
    """As ``driver_of``, of the first ``HEAD`` bytes."""
    for signature, driver in _SIGNATURES:
        if head.startswith(signature):
            return driver
    return None


@contextmanager
def arrival(path: Path, driver: str, opener: Any = None) -> Iterator[Dataset]:
    """An arriving raster, open for reading; raises one of FAULTS if it cannot be opened.

    ``opener``: the file system (fsspec) that ``path`` is of, if it is not this machine's.
    """
    source = path if opener else path.resolve()
    with rasterio.Env(**_ARRIVALS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(source, driver=driver, opener=opener) as dataset:
            yield dataset


def reason(error: BaseException, path: Path) -> str:
    """GDAL's first cause in one short line, without the folder the file is in."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    line = " ".join(str(error).split()) or type(error).__name__
    for folder in (str(path.resolve().parent), str(path.parent)):
        if len(folder) > 1:
            line = line.replace(f"{folder}/", "")
    return line[:200]
