"""Geometry by the column: CRS, reprojection, validity and repair, all vectorised by shapely."""

from __future__ import annotations

from functools import cache
from operator import is_
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

Geometries = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TYPES = {
    "Point": 0,
    "LineString": 1,
    "Polygon": 3,
    "MultiPoint": 4,
    "MultiLineString": 5,
    "MultiPolygon": 6,
}
TYPE_NAMES = {
    **{number: name for name, number in TYPES.items()},
    2: "LinearRing",
    7: "GeometryCollection",
}
_MEASURED = [TYPES[name] for name in TYPES if not name.endswith("Point")]
DIMENSION = {"Point": 0, "LineString": 1, "Polygon": 2}


def parse_crs(text: str) -> CRS | None:
    """The CRS that ``text`` (EPSG code, WKT, PROJ) names, or None if it names none."""
    try:
        return CRS.from_user_input(text)
    except CRSError:
        return None


def same_crs(one: CRS, other: CRS) -> bool:
    """Whether two CRSs give a point the same numbers (axis order in the file does not count)."""
    return bool(one.equals(other, ignore_axis_order=True)) or (
        one.to_epsg(min_confidence=70) is not None
        and one.to_epsg(min_confidence=70) == other.to_epsg(min_confidence=70)
    )


@cache
def transformer(source: CRS, target: CRS) -> Transformer:
    """The best transformation for GIS axis order (x east, y north); made once, it is expensive."""
    return Transformer.from_crs(source, target, always_xy=True)


def reproject(geometries: Geometries, source: CRS, target: CRS) -> Geometries:
    """``geometries`` from ``source`` to ``target``; what cannot be transformed becomes inf."""
    if same_crs(source, target):
        return geometries
    move = transformer(source, target)

    def to_target(xy: Floats) -> Floats:
        return np.column_stack(move.transform(xy[:, 0], xy[:, 1]))

    return np.asarray(shapely.transform(geometries, to_target))


def identical(one: Geometries, other: Geometries) -> Mask:
    """True where both hold the very same object, which is how what was left alone is known."""
    return np.asarray(np.frompyfunc(is_, 2, 1)(one, other), dtype=bool)


def swapped(geometries: Geometries) -> Geometries:
    """The geometries with east and north exchanged."""
    return np.asarray(shapely.transform(geometries, lambda xy: xy[:, ::-1]))


def finite(geometries: Geometries) -> Mask:
    """True where every coordinate is a finite number."""
    # What is not finite makes a line's length so; points and mixtures have none that tells.
    sure = np.isin(shapely.get_type_id(geometries), _MEASURED)
    with np.errstate(invalid="ignore", over="ignore"):
        sure &= np.isfinite(shapely.length(geometries))
    unsure = np.flatnonzero(~sure)
    coordinates, index = shapely.get_coordinates(geometries[unsure], return_index=True)
    good = np.isfinite(coordinates).all(axis=1)
    result = np.ones(len(geometries), dtype=bool)
    result[unsure[index[~good]]] = False
    return result


def within(geometries: Geometries, bounds: tuple[float, float, float, float]) -> Mask:
    """True where the geometry's box lies in ``bounds`` (xmin, ymin, xmax, ymax).

    As PostGIS sees it, whose constraint asks the same: boxes in single precision, rounded outwards.
    """
    boxes, outer = shapely.bounds(geometries), np.array([bounds])
    # Only at the edges can rounding tell; to round all would take six times as long.
    room = 4 * float(np.spacing(np.abs(outer).max().astype(np.float32)))
    inside = _inside(boxes, outer + room * np.array([1, 1, -1, -1]))
    near = np.flatnonzero(~inside)
    inside[near] = _inside(_box32(boxes[near]), _box32(outer))
    return inside


def _inside(boxes: npt.NDArray[Any], outer: npt.NDArray[Any]) -> Mask:
    """Axis by axis: numpy takes several times as long for pairs."""
    west, south, east, north = outer[0]
    found: Mask = (boxes[:, 0] >= west) & (boxes[:, 1] >= south)
    found &= (boxes[:, 2] <= east) & (boxes[:, 3] <= north)
    return found


def _box32(boxes: Floats) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = boxes.astype(np.float32)
        low, high = rounded[:, :2], rounded[:, 2:]
        low[low > boxes[:, :2]] = np.nextafter(low, -np.inf)[low > boxes[:, :2]]
        high[high < boxes[:, 2:]] = np.nextafter(high, np.inf)[high < boxes[:, 2:]]
    return rounded


def promote(geometries: Geometries, wanted: str) -> Geometries:
    """Single parts as ``wanted`` multi parts; what is neither stays as it is."""
    if not wanted.startswith("Multi"):
        return _demote(geometries, wanted)
    single = shapely.get_type_id(geometries) == TYPES[wanted.removeprefix("Multi")]
    make: Any = {
        "MultiPoint": shapely.multipoints,
        "MultiLineString": shapely.multilinestrings,
        "MultiPolygon": shapely.multipolygons,
    }[wanted]
    result = geometries.copy()
    count = int(single.sum())
    if count:
        result[single] = make(geometries[single], indices=np.arange(count))
    return result


def _demote(geometries: Geometries, wanted: str) -> Geometries:
    """Multi parts of exactly one part as that part."""
    multi = shapely.get_type_id(geometries) == TYPES[f"Multi{wanted}"]
    alone = multi & (shapely.get_num_geometries(geometries) == 1)
    result = geometries.copy()
    result[alone] = shapely.get_geometry(geometries[alone], 0)
    return result


def repair(geometries: Geometries, wanted: str) -> tuple[Geometries, Floats]:
    """Valid geometries of the dimension of ``wanted``, and the share of area each repair changed.

    The share is |after - before| / max(after, before), 1 where nothing is left. Lines change by
    length in the same way.
    """
    measure: Any = shapely.area if wanted.endswith("Polygon") else shapely.length
    before = np.abs(measure(geometries))
    made = shapely.make_valid(geometries, method="structure", keep_collapsed=False)
    made = np.array([_of_dimension(one, wanted) for one in made], dtype=object)
    after = measure(made)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.abs(after - before) / np.maximum(after, before)
    return made, np.nan_to_num(share, nan=1.0)


def _of_dimension(geometry: shapely.Geometry, wanted: str) -> shapely.Geometry:
    """The parts of ``geometry`` that have the dimension of ``wanted``, as one valid geometry."""
    parts = shapely.get_parts(geometry)
    # GEOS may leave two parts that share an edge: valid each, invalid together.
    if len(parts) <= 1 or (
        shapely.get_type_id(geometry) == TYPES["MultiPolygon"] and shapely.is_valid(geometry)
    ):
        return geometry
    dimension = DIMENSION[wanted.removeprefix("Multi")]
    return shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])


def places(geometries: Geometries, bounds: tuple[float, float, float, float]) -> Geometries:
    """A point on each geometry that lies within ``bounds`` (same CRS); None for the others.

    On an area or line that is valid the point lies on it; of one that is not it is the middle.
    """
    found = np.full(len(geometries), None, dtype=object)
    west, south, east, north = shapely.bounds(geometries).T
    inside = (west >= bounds[0]) & (south >= bounds[1]) & (east <= bounds[2]) & (north <= bounds[3])
    valid = inside & shapely.is_valid(geometries)
    found[valid] = shapely.point_on_surface(geometries[valid])
    rest = inside & ~valid
    found[rest] = shapely.centroid(shapely.envelope(geometries[rest]))
    return found


def from_wkb(raw: Any) -> Geometries:
    """Geometries from an array of WKB; what GEOS cannot read is None. Coordinates that are no
    numbers are looked for afterwards, and not warned of here."""
    with np.errstate(invalid="ignore"):
        return np.asarray(shapely.from_wkb(raw, on_invalid="ignore"), dtype=object)
