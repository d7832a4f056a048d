"""A box of a raster layer as people see it: colours as they are, heights as a tinted hillshade."""

from __future__ import annotations

import math
from typing import Any

from pyproj import CRS

from pipeline.serve import raster_image
from pipeline.serve.raster_image import Known, Pixels
from pipeline.serve.raster_look import Look
from pipeline.serve.raster_source import Bounds

_METRES_PER_DEGREE = 111_320.0

#: The believable range of heights, None where values are colours.
Heights = tuple[float, float] | None


def believable(definition: dict[str, Any]) -> Heights:
    """The range in a provider's definition."""
    found = definition["options"].get("heights")
    return (found[0], found[1]) if found else None


def drawn(
    look: Look, box: Bounds, target: CRS, size: tuple[int, int], heights: Heights
) -> tuple[Pixels, Known]:
    """The picture of ``box``, three bands, and where there is any."""
    if not heights:
        image = look.see(box, target, size)
        return image.values, image.known
    # Slopes need a neighbour on each side.
    width, height = size
    across, down = (box[2] - box[0]) / width, (box[3] - box[1]) / height
    wide = (box[0] - across, box[1] - down, box[2] + across, box[3] + down)
    ground = look.see(wide, target, (width + 2, height + 2))
    pixel = _metres(target, box, (across, down))
    made = raster_image.tinted(ground.values[0], ground.known, pixel, heights)
    return made, ground.known[1:-1, 1:-1]


def _metres(crs: CRS, box: Bounds, pixel: tuple[float, float]) -> tuple[float, float]:
    """A pixel in metres, near enough for a shade."""
    if crs.is_geographic:
        shrink = math.cos(math.radians((box[1] + box[3]) / 2))
        return pixel[0] * _METRES_PER_DEGREE * shrink, pixel[1] * _METRES_PER_DEGREE
    factor = float(crs.axis_info[0].unit_conversion_factor)
    return pixel[0] * factor, pixel[1] * factor
