"""Heights (or any measured raster) as a coverage, as a pygeoapi provider with bounded answers.

Provider definition (``pipeline.derive.raster_collections`` writes it):

    type: coverage
    name: pipeline.serve.coverage.RasterCoverage
    data: <layer id>
    storage_crs: <URI of the city's CRS>
    options:
        home: <MAKAN_HOME>
        max_pixels: 16000000                 # of one GeoTIFF
        max_values: 1000000                  # of one CoverageJSON
        crs: [<URI>, ...]                    # that answers are offered in
        bands:
            - {name: height, title: {fa: ..., en: ...}, unit: m}
    format: {name: GTiff, mimetype: image/tiff; application=geotiff}

A request for the whole raster is answered by as fine an overview as fits; a request for a part
that is too large is refused (413) and says how it can be asked for. ``scale-factor``,
``scale-size`` and ``crs`` reach us through ``raster_api``; pygeoapi does not pass them on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pygeoapi.provider.base import (
    BaseProvider,
    ProviderNoDataError,
)
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.windows import Window

from pipeline.serve import coverage_json
from pipeline.serve.coverage_part import OUTPUT, Part, part_of, placed
from pipeline.serve.period import when
from pipeline.serve.raster_source import (
    Bounds,
    Dataset,
    Source,
    crs_of,
    crs_uri,
    is_north_first,
    moved,
    refused,
)

_TILE = 256
_AXES = {"x": 0, "E": 0, "y": 1, "N": 1}
_DEGREES = {"Lon": 0, "Lat": 1}


class RasterCoverage(BaseProvider):  # type: ignore[misc]
    """The coverage of one raster layer."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From the definition above; the COG is opened by each request."""
        super().__init__(provider_def)
        self.source = Source.of(provider_def)
        self.bands: list[coverage_json.Band] = self.options["bands"]
        self.native_format = provider_def["format"]["name"]
        self.axes = [*_AXES, *_DEGREES]
        self.num_bands = len(self.bands)
        self.crs = crs_uri(self.storage_crs)
        self.filename = f"{self.source.layer}.tif"
        self._fields: dict[str, Any] = coverage_json.fields(self.bands)

    def get_fields(self) -> dict[str, Any]:
        """The bands with their unit and title."""
        return self._fields

    @property
    def _coverage_properties(self) -> dict[str, Any]:
        """What pygeoapi's description of the collection asks for."""
        served = self.source.served()
        if served is None:
            return {"width": 0, "height": 0, "resx": 0.0, "resy": 0.0}
        xmin, ymin, xmax, ymax = served.bounds
        return {
            "width": served.width,
            "height": served.height,
            "resx": (xmax - xmin) / served.width,
            "resy": (ymax - ymin) / served.height,
        }

    def query(
        self,
        properties: list[str] | None = None,
        subsets: dict[str, list[Any]] | None = None,
        bbox: list[float] | None = None,
        bbox_crs: str | int | None = None,
        format_: str = "json",
        datetime_: str | None = None,
        **_: Any,
    ) -> dict[str, Any] | bytes:
        """CoverageJSON (a dict) or, if ``format_`` is the definition's, a GeoTIFF.

        Raises ProviderNoDataError (204) outside the raster, ProviderInvalidQueryError (400),
        ProviderItemNotFoundError (404), ProviderRequestEntityTooLargeError (413).
        """
        bands = self._chosen(properties)
        native = format_ == self.native_format
        most = self.options["max_pixels" if native else "max_values"] // len(bands)
        target = self._target()
        with (
            self.source.opened(when(datetime_)) as opened,
            placed(opened, target, self.storage_crs) as dataset,
        ):
            box = self._box(dataset, subsets or {}, bbox or [], bbox_crs)
            part = part_of(dataset, box, most)
            numbers = [number for number, _ in bands]
            if native:
                return _geotiff(dataset, part, numbers)
            values, valid = _pixels(dataset, part, numbers)
            transform = part.transform(dataset)
        chosen = [band for _, band in bands]
        return coverage_json.grid(chosen, values, valid, transform, target)

    def _target(self) -> CRS:
        """The CRS of the answer: the raster's own, unless the request names another on offer."""
        asked = OUTPUT.get()
        if asked is None:
            own: CRS = self.storage_crs
            return own
        target, offered = crs_of(asked), self.options["crs"]
        if crs_uri(target) not in offered:
            raise refused(f"crs: {asked} is not offered; there are {', '.join(offered)}")
        return target

    def _chosen(self, names: list[str] | None) -> list[tuple[int, coverage_json.Band]]:
        """The bands that ``properties`` names, with their number in the file."""
        known = {band["name"]: (number, band) for number, band in enumerate(self.bands, start=1)}
        unknown = [name for name in names or [] if name not in known]
        if unknown:
            raise refused(f"properties: {', '.join(unknown)} is none of {', '.join(known)}")
        return [known[name] for name in dict.fromkeys(names or known)]

    def _box(
        self,
        dataset: Dataset,
        subsets: dict[str, list[Any]],
        bbox: list[float],
        bbox_crs: str | int | None,
    ) -> Bounds | None:
        """The wanted box in the CRS of the answer, None for the whole."""
        if subsets and bbox:
            raise refused("give either bbox or subset, not both")
        if subsets:
            return self._subset(dataset, subsets)
        if not bbox:
            return None
        numbers = [float(number) for number in bbox]
        if len(numbers) == 6:
            del numbers[5], numbers[2]
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            raise refused("bbox: give 4 finite numbers")
        given = crs_of(bbox_crs) if bbox_crs else crs_of("OGC:CRS84")
        xmin, ymin, xmax, ymax = _in_x_y(numbers, given)
        if xmin > xmax or ymin > ymax:
            raise refused("bbox: the lower left corner comes first")
        box = moved((xmin, ymin, xmax, ymax), given, self._target())
        if not all(map(math.isfinite, box)):
            raise ProviderNoDataError
        return box

    def _subset(self, dataset: Dataset, subsets: dict[str, list[Any]]) -> Bounds:
        """``subset=E(488600:488700),N(...)`` in the CRS of the raster, or ``Lat(...),Lon(...)`` in
        degrees, as a box; an axis that is not named is whole."""
        own, degrees = set(subsets) & set(_AXES), set(subsets) & set(_DEGREES)
        if unknown := set(subsets) - own - degrees:
            listed = ", ".join(self.axes)
            raise refused(f"subset: there is no axis {', '.join(unknown)}; there are {listed}")
        if own and degrees:
            raise refused("subset: name either axes in degrees or those of the raster's CRS")
        given = crs_of("OGC:CRS84") if degrees else self.storage_crs
        ours = self._target()
        whole = moved(tuple(dataset.bounds), ours, given)
        return moved(_ends(subsets, _DEGREES if degrees else _AXES, whole), given, ours)

    def __repr__(self) -> str:
        return f"<RasterCoverage> {self.data}"


def _in_x_y(numbers: list[float], crs: CRS) -> list[float]:
    """A box in the axis order of its CRS as x before y."""
    if is_north_first(crs):
        return [numbers[1], numbers[0], numbers[3], numbers[2]]
    return numbers


def _ends(subsets: dict[str, list[Any]], axes: dict[str, int], whole: Bounds) -> Bounds:
    """The box that ``subsets`` name of the ``whole``."""
    box = [*whole]
    for axis, ends in subsets.items():
        place = axes[axis]
        low, high = (ends[0], ends[-1])
        for index, end in ((place, low), (place + 2, high)):
            if end != "*":
                box[index] = _number(end)
        if box[place] > box[place + 2]:
            raise refused(f"subset: {axis} ends before it begins")
    return (box[0], box[1], box[2], box[3])


def _number(end: Any) -> float:
    try:
        found = float(end)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise refused(f"subset: {end!r} is no number")
    return found


def _pixels(dataset: Dataset, part: Part, bands: list[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values (bands, rows, columns), averaged where answered more coarsely, and which are valid."""
    coarser = part.columns < part.window.width or part.rows < part.window.height
    found = dataset.read(
        bands,
        window=part.window,
        out_shape=(len(bands), part.rows, part.columns),
        resampling=Resampling.average if coarser else Resampling.nearest,
        masked=True,
    )
    valid = ~np.ma.getmaskarray(found).any(axis=0)
    return found.data, valid


def _geotiff(dataset: Dataset, part: Part, bands: list[int]) -> bytes:
    """A tiled, compressed GeoTIFF, read and written in strips so that memory stays small."""
    floating = np.issubdtype(np.dtype(dataset.dtypes[0]), np.floating)
    profile = {
        "driver": "GTiff",
        "dtype": dataset.dtypes[0],
        "count": len(bands),
        "height": part.rows,
        "width": part.columns,
        "crs": dataset.crs,
        "transform": part.transform(dataset),
        "nodata": dataset.nodata,
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "compress": "DEFLATE",
        "predictor": 3 if floating else 2,
    }
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as memory:
        with memory.open(**profile) as written:
            for first, strip in part.strips(_TILE):
                values, valid = _pixels(dataset, strip, bands)
                if dataset.nodata is not None:
                    values[:, ~valid] = dataset.nodata
                written.write(values, window=Window(0, first, part.columns, strip.rows))
            for place, number in enumerate(bands, start=1):
                if dataset.descriptions[number - 1]:
                    written.set_band_description(place, dataset.descriptions[number - 1])
        content: bytes = memory.read()
        return content
