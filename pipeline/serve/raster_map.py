"""Maps of a raster: any box, in any offered CRS and size, as a pygeoapi map provider.

Provider definition (``pipeline.derive.raster_collections`` writes it):

    type: map
    name: pipeline.serve.raster_map.RasterMap
    data: <layer id>
    storage_crs: <URI of the city's CRS>     # the map's CRS where the request names none
    options:
        home: <MAKAN_HOME>
        max_pixels: 16000000                 # of one image
        heights: [850.0, 1400.0] | null      # believable range: heights are drawn as a hillshade
        formats: {png: image/png, jpeg: image/jpeg}
    format: {name: png, mimetype: image/png}

pygeoapi knows by it that there is a map; ``maps`` asks it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pygeoapi.provider.base import BaseProvider, ProviderRequestEntityTooLargeError
from pyproj import CRS

from pipeline.serve import raster_draw, raster_image
from pipeline.serve.period import when
from pipeline.serve.raster_look import Look, looking
from pipeline.serve.raster_source import Bounds, Source, crs_of, crs_uri, moved, refused

_WORLD = (-180.0, -90.0, 180.0, 90.0)
_FALSE = ("false", "0", "no")
_COLORS = 3
_STRIP_PIXELS = 1_000_000


class RasterMap(BaseProvider):  # type: ignore[misc]
    """Maps of one raster layer."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From the definition above; the COG is opened by each request."""
        super().__init__(provider_def)
        self.source = Source.of(provider_def)
        self.form = provider_def["format"]["name"]
        self.heights = raster_draw.believable(provider_def)

    def get_fields(self) -> dict[str, Any]:
        """An image has no fields."""
        return {}

    def query(
        self,
        bbox: list[float] | tuple[float, ...] = _WORLD,
        width: int = 500,
        height: int = 300,
        crs: str | None = None,
        **more: Any,
    ) -> bytes:
        """The image of ``bbox`` (x before y, in ``crs``), ``width`` x ``height`` pixels.

        Raises ProviderInvalidQueryError (400), ProviderRequestEntityTooLargeError (413).
        """
        form = more.get("format_") or self.form
        if form not in self.options.get("formats", {self.form}):
            raise refused(f"f: maps are not offered as {form!r}")
        if width < 1 or height < 1:
            raise refused("width and height: give 1 or more")
        target = crs_of(crs) if crs else self.storage_crs
        transparent = str(more.get("transparent", True)).lower() not in _FALSE
        with looking(self.source, when(more.get("datetime_"))) as look:
            box = self._box(look, bbox, target)
            self._must_be_drawable(width, height)
            pixels, known = self._drawn(look, box, target, (width, height))
        return raster_image.encode(pixels, known, form, transparent=transparent)

    def bounds(self, crs: str, datetime_: str | None = None) -> Bounds:
        """Where it has pixels, now or at another time, in ``crs``, x before y."""
        with looking(self.source, when(datetime_)) as look:
            return moved(look.bounds, look.crs, crs_of(crs))

    def _must_be_drawable(self, width: int, height: int) -> None:
        most = self.options["max_pixels"]
        if width * height > most:
            told = f"a map of {width} x {height} is too large; at most {most:,} pixels are drawn"
            raise ProviderRequestEntityTooLargeError(told)

    def _box(self, look: Look, bbox: Any, target: CRS) -> Bounds:
        """The box to draw; by the world the whole raster is meant."""
        box = tuple(float(number) for number in bbox)
        if len(box) != 4:
            raise refused("bbox: give 4 numbers, xmin,ymin,xmax,ymax")
        if box == _WORLD:
            return moved(look.bounds, look.crs, target)
        xmin, ymin, xmax, ymax = box
        if not all(math.isfinite(number) for number in box) or xmin >= xmax or ymin >= ymax:
            raise refused(
                "bbox: give xmin,ymin,xmax,ymax with xmin < xmax and ymin < ymax, "
                f"in reach of {crs_uri(target)}"
            )
        return (xmin, ymin, xmax, ymax)

    def _drawn(
        self, look: Look, box: Bounds, target: CRS, size: tuple[int, int]
    ) -> tuple[raster_image.Pixels, raster_image.Known]:
        """The picture of ``box``, drawn in strips so that memory stays small."""
        width, height = size
        pixels = np.empty((_COLORS, height, width), np.uint8)
        known = np.empty((height, width), np.bool_)
        down = (box[3] - box[1]) / height
        rows = max(1, _STRIP_PIXELS // width)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            strip = (box[0], box[3] - last * down, box[2], box[3] - first * down)
            part = raster_draw.drawn(look, strip, target, (width, last - first), self.heights)
            pixels[:, first:last], known[first:last] = part
        return pixels, known

    def __repr__(self) -> str:
        return f"<RasterMap> {self.data}"
