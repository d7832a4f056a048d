"""Which COG answers for a raster layer, and opening it for one request.

rasters/<layer>/served.json names it; each load replaces that file at once. A request opens the COG
for itself (2 ms): rasterio's datasets must not be shared between threads, and the file a request
has open stays readable even when a load has just replaced it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import rasterio
from pydantic import ValidationError
from pygeoapi.provider.base import ProviderInvalidQueryError, ProviderItemNotFoundError
from pyproj import CRS
from rasterio.errors import RasterioIOError

from pipeline import geo
from pipeline.contracts.raster import ServedRaster
from pipeline.rasters import past
from pipeline.rasters.past import When

Dataset = Any
Bounds = tuple[float, float, float, float]

_EPSG_URI = "http://www.opengis.net/def/crs/EPSG/0/"
_CRS84 = ("crs84", "ogc:crs84", "crs:84")
_TRIES = 2
# Nothing beside the COG is looked for, and nothing written; the cache is a worker's.
SERVING = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_CACHEMAX": 64 * 2**20,  # bytes, to rasterio
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A raster layer as the server knows it: where Makan's files are, and the layer's id."""

    home: Path
    layer: str

    @classmethod
    def of(cls, definition: dict[str, Any]) -> Source:
        """From a provider's definition in the rendered configuration."""
        return cls(Path(definition["options"]["home"]), str(definition["data"]))

    def served(self) -> ServedRaster | None:
        """What is served now, None before the first load."""
        pointer = ServedRaster.pointer(self.home, self.layer)
        try:
            state = pointer.stat()
        except FileNotFoundError:
            return None
        return _read(pointer, (state.st_mtime_ns, state.st_ino, state.st_size))

    def version(self) -> str | None:
        """Changes when the pixels do, of now or of another time; an ETag can be made of it."""
        served = self.served()
        if served is None:
            return None
        return " ".join([served.version, *(part.version for part in served.parts)])

    @contextmanager
    def opened(self, when: When | None = None) -> Iterator[Dataset]:
        """The COG, open for reading, or the sheets of another time as one raster; raises
        ProviderItemNotFoundError (404) before the first load and for a time of which nothing is."""
        with rasterio.Env(**SERVING), ExitStack() as stack:
            yield self._open(when, stack)

    def _open(self, when: When | None, stack: ExitStack) -> Dataset:
        # A load may remove the file between our reading its name and opening it; then the
        # pointer names another.
        for left in reversed(range(_TRIES)):
            served = self.served()
            if served is None:
                break
            try:
                return stack.enter_context(past.opened(self.home, served, when))
            except past.NoSuchTimeError as error:
                raise no_such_time(error) from None
            except RasterioIOError:
                if not left:
                    raise
        told = f"no raster of {self.layer} has been loaded"
        raise ProviderItemNotFoundError(told, user_msg=told)


@lru_cache(maxsize=64)
def _read(pointer: Path, state: tuple[int, int, int]) -> ServedRaster | None:
    """The pointer's content, read again only when ``state`` of the file has changed."""
    del state
    try:
        return ServedRaster.model_validate_json(pointer.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def no_such_time(error: past.NoSuchTimeError) -> ProviderItemNotFoundError:
    """404, with the times that there are."""
    return ProviderItemNotFoundError(str(error), user_msg=str(error))


def refused(detail: str) -> ProviderInvalidQueryError:
    """400: what is asked for cannot be."""
    return ProviderInvalidQueryError(detail, user_msg=detail)


def crs_of(text: str | int) -> CRS:
    """The CRS that a URI, URN, CURIE or EPSG number of a request names; 400 if it is none."""
    found = _crs_of(str(text).strip().strip("[]<>"))
    if found is None:
        raise refused(f"{text!r} names no CRS; use a URI such as {_EPSG_URI}4326")
    return found


@cache
def _crs_of(text: str) -> CRS | None:
    lower = text.lower()
    if lower.endswith(_CRS84):
        return CRS.from_authority("OGC", "CRS84")
    code = lower.replace(":", "/").rsplit("/", maxsplit=1)[-1]
    if not code.isdecimal() or not (lower.isdecimal() or "epsg" in lower):
        return None
    return geo.parse_crs(f"EPSG:{code}")


def crs_uri(crs: CRS) -> str:
    """The OGC URI of ``crs``."""
    authority = crs.to_authority()
    if authority and authority[0] == "EPSG":
        return f"{_EPSG_URI}{authority[1]}"
    return "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


def is_north_first(crs: CRS) -> bool:
    """Whether the CRS writes its northing or latitude first, as EPSG:4326 does."""
    return bool(crs.axis_info[0].direction.lower() in ("north", "south"))


def moved(bounds: Bounds, source: CRS, target: CRS) -> Bounds:
    """``bounds`` (x before y) in another CRS, wide enough for its bent edges; 400 out of reach."""
    if geo.same_crs(source, target):
        return bounds
    west, south, east, north = geo.transformer(source, target).transform_bounds(*bounds)
    return (west, south, east, north)
