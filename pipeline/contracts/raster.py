"""The raster contract: what an orthophoto or a DEM must be, and how it is stored and served."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field as Setting

from pipeline.contracts.base import CollectionId, Frozen, Identifier, Text

_REPORTS = "accuracy"
#: In which languages and forms the accuracy of a raster is told.
ENDINGS = ("en.html", "fa.html", "en.pdf", "fa.pdf", "json")


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
    """One raster layer. ``bands`` are the colour or measure names in order, ``labels`` what people
    call them (the layer's title where none is given)."""

    id: Identifier
    title: Text
    description: Text
    theme: Identifier
    steward: Text
    collection: CollectionId
    match: tuple[str, ...] = ()
    dtype: Literal["uint8", "float32"]
    bands: tuple[str, ...]
    labels: dict[str, Text] = Setting(default_factory=dict)
    unit: str | None = None
    nodata: float | None = None
    mask: bool = False
    serve: tuple[Literal["tiles", "map", "coverage", "position"], ...]
    encoding: Encoding
    limits: RasterLimits
    min_zoom: int = Setting(default=8, ge=0, le=24)
    max_zoom: int = Setting(default=21, ge=0, le=24)
    max_request_pixels: int = 16_000_000

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides how a raster is judged and written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def is_terrain(self) -> bool:
        """Whether values are heights, for which the city's profile knows a believable range."""
        return self.unit == "m" and len(self.bands) == 1

    def label(self, band: str) -> Text:
        """What people call ``band``."""
        return self.labels.get(band, self.title)


class ServedSheet(Frozen):
    """A sheet in force: a part of what is served, or an earlier state of it.

    ``path`` is relative to MAKAN_HOME, ``version`` the file's SHA-256; ``bounds`` are of what is
    valid, in the city's CRS; ``footprint`` is GeoJSON in degrees; ``acquired`` an ISO date;
    ``transform`` leads from column and row of the file to the city's CRS, row by row.
    """

    sheet: str
    path: str
    version: str
    size: int
    acquired: str | None
    width: int
    height: int
    pixel_m: float
    bounds: tuple[float, float, float, float]
    footprint: dict[str, Any]
    transform: tuple[float, float, float, float, float, float] | None = None

    @property
    def name(self) -> str:
        """What its file is called."""
        return self.path.rsplit("/", 1)[-1].removesuffix(".tif")


class ServedRaster(Frozen):
    """Which file the server answers from: rasters/<layer>/served.json, written by each load.

    ``path`` is relative to MAKAN_HOME; ``version`` is the file's SHA-256, ``made_of`` a digest of
    the sheets in it; ``bounds`` are xmin, ymin, xmax, ymax in the city's CRS, ``lonlat`` west,
    south, east, north in degrees; ``updated`` is an ISO time; ``parts`` are all sheets in force.
    """

    layer: Identifier
    path: str
    version: str
    made_of: str
    run: int
    sheets: int
    srid: int
    width: int
    height: int
    bounds: tuple[float, float, float, float]
    lonlat: tuple[float, float, float, float]
    updated: str
    parts: tuple[ServedSheet, ...] = ()

    @property
    def taken(self) -> tuple[str, str] | None:
        """The first and the last day on which sheets in force were taken (ISO dates)."""
        days = sorted(part.acquired for part in self.parts if part.acquired)
        return (days[0], days[-1]) if days else None

    @staticmethod
    def folder(home: Path, layer: str) -> Path:
        """Where the rasters of ``layer`` are kept."""
        return home / "rasters" / layer

    @staticmethod
    def pointer(home: Path, layer: str) -> Path:
        """The file that holds this object for ``layer``."""
        return ServedRaster.folder(home, layer) / "served.json"

    @staticmethod
    def report(home: Path, layer: str, name: str, ending: str) -> Path:
        """The accuracy report about the file ``name`` (without .tif), in one of ENDINGS."""
        return ServedRaster.folder(home, layer) / _REPORTS / f"{name}.{ending}"

    @staticmethod
    def reports(home: Path, layer: str) -> dict[str, str]:
        """Files of ``layer`` about which there is a report, and what changes with each of them."""
        found = {}
        for path in sorted((ServedRaster.folder(home, layer) / _REPORTS).glob("*.json")):
            state = path.stat()
            found[path.name.removesuffix(".json")] = f"{state.st_mtime_ns:x}-{state.st_size:x}"
        return found

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.rsplit("/", 1)[-1].removesuffix(".tif")
