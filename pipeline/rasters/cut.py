"""Cut: a box of what is served as a COG of its own, to be taken along."""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.rasters import cog, mosaic
from pipeline.rasters.cog import Cog
from pipeline.rasters.mosaic import Form, Grid, Tile
from pipeline.rasters.patch import Bounds
from pipeline.rasters.shelf import Shelf

_VRT = ".vrt"


def cut(home: Path, contract: RasterContract, city: City, box: Bounds, target: Path) -> Cog | None:
    """Writes the pixels of the raster ``contract`` that lie in ``box`` (xmin, ymin, xmax, ymax in
    the city's CRS) to ``target``; None where none is served there. Pixels stay on their grid.

    Raises ResourceError where there is no room.
    """
    found = served(home, contract)
    if found is None:
        return None
    whole = mosaic.tile(home / found.path)
    window = _window(whole, box)
    if window is None:
        return None
    part = target.with_suffix(_VRT)
    part.write_text(mosaic.document([whole], window, Form.of(contract, city)), encoding="utf-8")
    try:
        return cog.write(part, target, contract.encoding, driver="VRT")
    finally:
        part.unlink()


def served(home: Path, contract: RasterContract) -> ServedRaster | None:
    """What is served of ``contract`` now."""
    return Shelf(home, contract.id).served()


def _window(whole: Tile, box: Bounds) -> Grid | None:
    """The pixels of ``whole`` that ``box`` meets; None where it meets none."""
    across, down = whole.transform.a, -whole.transform.e
    left, top = whole.transform.c, whole.transform.f
    west = max(0, math.floor((box[0] - left) / across))
    east = min(whole.width, math.ceil((box[2] - left) / across))
    north = max(0, math.floor((top - box[3]) / down))
    south = min(whole.height, math.ceil((top - box[1]) / down))
    if west >= east or north >= south:
        return None
    return Grid(
        east - west, south - north, left + west * across, top - north * down, (across, down)
    )
