"""How a raster comes onto the city's grid: as it is, turned, or resampled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS, Geod
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.findings import Finding
from pipeline.operations import Operation
from pipeline.rasters import crs as crses
from pipeline.rasters import plain
from pipeline.rasters.georeference import Georeference, Subject
from pipeline.rasters.header import Header, is_rotated, pixel_size
from pipeline.rasters.tally import Tally, multipolygon

_STEPS = 20  # how many pieces an edge is cut into before it is transformed
_SQUARE = 1e-3


@dataclass(frozen=True, slots=True)
class Placement:
    """``place`` as it arrived; ``upright`` with rows and columns turned as ``turns`` says.

    ``outline`` is the whole raster in the city's CRS; ``operation`` the way there, None if the CRS
    is the city's; ``pixel_m`` a pixel's width and height in metres.
    """

    place: Georeference
    upright: Georeference
    turns: tuple[bool, bool]
    outline: BaseGeometry
    operation: Operation | None
    pixel_m: tuple[float, float]

    @property
    def is_resampled(self) -> bool:
        """Whether pixels must be computed anew: another CRS, or rotated."""
        return self.operation is not None or is_rotated(self.place.transform)

    def in_city(self, tally: Tally) -> MultiPolygon:
        """Where there are valid pixels, in the city's CRS."""
        return multipolygon(_moved(tally.footprint(self.place.transform), self.operation))


def settle(place: Georeference, head: Header, city: City) -> Placement:
    """How the raster comes onto the city's grid; NoOperationError where no pinned operation leads
    there."""
    corners = ((0, 0), (head.width, 0), (head.width, head.height), (0, head.height))
    outline = shapely.Polygon([place.transform @ corner for corner in corners])
    operation = None
    if not crses.same(place.crs, city.crs):
        operation = city.operation(place.crs)
    upright, turns = plain.upright(place, head)
    moved = _moved(outline, operation)
    return Placement(place, upright, turns, moved, operation, _pixel_m(place, outline))


def _moved(geometry: BaseGeometry, operation: Operation | None) -> BaseGeometry:
    """``geometry`` in another CRS, its edges cut so that they follow the bend."""
    if operation is None:
        return geometry
    step = math.sqrt(geometry.area) / _STEPS or 1.0
    return shapely.transform(shapely.segmentize(geometry, step), operation.points)


def _is_finite(geometry: BaseGeometry) -> bool:
    return bool(np.isfinite(shapely.get_coordinates(geometry)).all())


def _pixel_m(place: Georeference, outline: BaseGeometry) -> tuple[float, float]:
    width, height = pixel_size(place.transform)
    if place.crs.is_projected:
        factor = place.crs.axis_info[0].unit_conversion_factor
        return width * factor, height * factor
    middle = outline.centroid
    geod = place.crs.get_geod() or Geod(ellps="WGS84")
    degrees = math.degrees(place.crs.axis_info[0].unit_conversion_factor)
    x, y = middle.x * degrees, middle.y * degrees
    east = geod.inv(x, y, x + width * degrees, y)[2]
    north = geod.inv(x, y, x, y + height * degrees)[2]
    return float(east), float(north)


def place_findings(
    subject: Subject, placed: Placement, head: Header, contract: RasterContract, city: City
) -> Iterator[Finding]:
    """What is wrong, or worth telling, about where the raster lies and how large its pixels are."""
    yield from _pixel_findings(subject, placed.pixel_m, contract)
    where = _outside(placed.outline, city)
    if where:
        yield subject.finding("raster.outside", detail=where)
        return
    turned = _turned(placed)
    if turned:
        yield subject.finding("raster.rotated", detail=turned)
    if placed.operation is not None:
        source = crses.name(placed.place.crs)
        yield subject.finding("raster.warped", value=source, detail=str(placed.operation))
    yield from _vertical_findings(subject, placed.place.vertical, head, contract)


def _outside(outline: BaseGeometry, city: City) -> str | None:
    """Where the raster lies instead of in the city's extent, None if it touches that."""
    if not _is_finite(outline):
        return f"beyond the reach of {crses.name(city.crs)}"
    if outline.intersects(shapely.box(*city.extent.bounds)):
        return None
    numbers = " ".join(f"{value:.0f}" for value in outline.bounds)
    return f"{numbers} in {crses.name(city.crs)}"


def _turned(placed: Placement) -> str | None:
    transform = placed.place.transform
    if is_rotated(transform):
        degrees = math.degrees(math.atan2(transform.d, transform.a))
        return f"rotated by {degrees:.3f} degrees"
    rows, columns = placed.turns
    names = ["south up"] * rows + ["west to the right"] * columns
    return ", ".join(names) or None


def _pixel_findings(
    subject: Subject, pixel_m: tuple[float, float], contract: RasterContract
) -> Iterator[Finding]:
    width, height = pixel_m
    limits = contract.limits
    if not limits.min_pixel_m <= min(width, height) <= max(width, height) <= limits.max_pixel_m:
        allowed = f"{limits.min_pixel_m:g} ... {limits.max_pixel_m:g} m"
        value = f"{width:.4g} x {height:.4g}"
        yield subject.finding("raster.pixel_size", value=value, detail=allowed)
    elif abs(width / height - 1) > _SQUARE:
        detail = f"{width:.6g} x {height:.6g} m"
        yield subject.finding("raster.pixel_not_square", detail=detail)


def _vertical_findings(
    subject: Subject, vertical: CRS | None, head: Header, contract: RasterContract
) -> Iterator[Finding]:
    """Heights that a compound CRS says are in feet are refused: nothing here converts them."""
    if vertical is None or not contract.is_terrain:
        return
    axis = vertical.axis_info[0]
    if axis.unit_conversion_factor != 1.0:
        needed = f"heights in {contract.unit}"
        value = f"{len(head.dtypes)} band of heights in {axis.unit_name}"
        yield subject.finding("raster.bands", value=value, detail=needed)
