"""Operations: the way from a CRS to the city's, one pinned EPSG operation where the datum changes.

PROJ knows several ways between two datums, metres apart, and chooses by place and by the grids that
happen to be installed; where it knows none it takes one datum for the other without a word. So a
datum is changed only by the operation that the city's profile names.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup

from pipeline import geo

_SURE = 70
_LISTED = 6


class NoOperationError(Exception):
    """No pinned operation leads from a datum to the city's; ``known`` are those there are."""

    def __init__(self, source: CRS, known: list[str]) -> None:
        self.source = source
        self.known = known
        super().__init__(f"the datum of {crs_name(source)} has no pinned operation")


@dataclass(frozen=True)
class Operation:
    """A way between two CRSs in east, north order.

    ``code`` is the EPSG operation that changes the datum, None where the datum stays the same;
    ``accuracy_m`` is its accuracy, None where nobody states it.
    """

    name: str
    transformer: Transformer | None
    code: str | None = None
    accuracy_m: float | None = None

    def apply(self, geometries: geo.Geometries) -> geo.Geometries:
        """``geometries`` in the target CRS, heights (of all or none) as they are; what cannot be
        transformed becomes inf."""
        if self.transformer is None:
            return geometries
        if not shapely.has_z(geometries).any():
            return np.asarray(shapely.transform(geometries, self.points))

        def moved(xyz: geo.Floats) -> geo.Floats:
            return np.column_stack([self.points(xyz[:, :2]), xyz[:, 2]])

        return np.asarray(shapely.transform(geometries, moved, include_z=True))

    def points(self, xy: geo.Floats) -> geo.Floats:
        """Points, x and y by row, in the target CRS; inf where there is no way."""
        if self.transformer is None:
            return xy
        return np.column_stack(self.transformer.transform(xy[:, 0], xy[:, 1]))

    def __str__(self) -> str:
        if self.code is None:
            return self.name
        accuracy = "accuracy not stated" if self.accuracy_m is None else f"{self.accuracy_m:g} m"
        return f"{self.code} {self.name} ({accuracy})"


def crs_name(crs: CRS) -> str:
    """``EPSG:n (name)`` where there is a code, else the name."""
    code = crs.to_epsg()
    return f"EPSG:{code} ({crs.name})" if code else str(crs.name)


def datum(crs: CRS) -> CRS:
    """The geographic CRS that ``crs`` is built on, in two dimensions; EPSG's own where it is."""
    plain = _registered(horizontal(crs))
    base = _registered(plain.geodetic_crs or plain)
    return base.to_2d() if len(base.axis_info) > 2 else base


def horizontal(crs: CRS) -> CRS:
    """The horizontal part, without parameters of a datum shift that a file brings along."""
    plain = crs.sub_crs_list[0] if crs.is_compound else crs
    return plain.source_crs if plain.is_bound and plain.source_crs else plain


def _registered(crs: CRS) -> CRS:
    """EPSG's own definition of a CRS that a file spells out in other words."""
    code = crs.to_epsg(min_confidence=_SURE)
    return CRS.from_epsg(code) if code else crs


def same_datum(one: CRS, other: CRS) -> bool:
    """Whether both say the same latitude and longitude of a place."""
    first, second = datum(one), datum(other)
    return geo.same_crs(first, second) or _datum_name(first) == _datum_name(second)


def _datum_name(base: CRS) -> str:
    name = base.datum.name if base.datum else base.name
    return name.removesuffix(" ensemble").casefold()


@lru_cache(maxsize=64)
def find(source: CRS, target: CRS, pins: tuple[tuple[str, str, float], ...]) -> Operation:
    """The way from ``source`` to ``target``; ``pins`` are datum, operation and accuracy in metres.

    Raises NoOperationError where the datum changes and no pin says how.
    """
    if geo.same_crs(source, target):
        return Operation("no change of CRS", None)
    if same_datum(source, target):
        return Operation(f"{source.name} to {target.name}, same datum", _direct(source, target))
    code = datum(source).to_epsg()
    for pinned, operation, accuracy in pins:
        if f"EPSG:{code}" == pinned:
            found = by_code(source, target, operation)
            if found is not None:
                return Operation(found.name, found.transformer, operation, accuracy)
    raise NoOperationError(source, known(source, target))


def _direct(source: CRS, target: CRS) -> Transformer:
    try:
        return geo.transformer(source, target)
    except ProjError:
        raise NoOperationError(source, []) from None


def by_code(source: CRS, target: CRS, code: str) -> Operation | None:
    """The way from ``source`` to ``target`` whose datum step is the EPSG operation ``code``."""
    for way in _ways(_on_known_datum(source), target):
        for name, number in _steps(way).items():
            if number == code:
                return Operation(name, way, code, way.accuracy if way.accuracy >= 0 else None)
    return None


def without_shift(source: CRS, target: CRS) -> Operation | None:
    """The way that takes one datum for the other: a mistake to be recognised, never made."""
    if same_datum(source, target):
        return None
    for way in _ways(_on_known_datum(source), target, ballpark=True):
        if "allpark" in way.description:
            return Operation(f"{datum(source).name} without its datum shift", way)
    return None


def known(source: CRS, target: CRS) -> list[str]:
    """The operations EPSG knows between the datums, with their accuracies, PROJ's best first."""
    told: list[str] = []
    for way in _ways(datum(source), datum(target)):
        for name, code in _steps(way).items():
            accuracy = f"{way.accuracy:g} m" if way.accuracy >= 0 else "accuracy not stated"
            told.append(f"{code} {name} ({accuracy})")
    more = len(told) - _LISTED
    return [*told[:_LISTED], f"{more} more"] if more > 0 else told


def _on_known_datum(crs: CRS) -> CRS:
    """A CRS that a file spells out in its own words, on EPSG's datum of that name."""
    plain = _registered(horizontal(crs))
    if not plain.is_projected:
        return datum(plain)
    if plain.to_epsg() or plain.coordinate_operation is None:
        return plain
    conversion = plain.coordinate_operation
    return ProjectedCRS(name=plain.name, conversion=conversion, geodetic_crs=datum(plain))


def _ways(source: CRS, target: CRS, *, ballpark: bool = False) -> list[Transformer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of grids that are not on this machine
        group = TransformerGroup(source, target, always_xy=True, allow_ballpark=ballpark)
    return list(group.transformers)


def _steps(way: Transformer) -> dict[str, str]:
    """The EPSG transformations that ``way`` is made of, by name; conversions are left out."""
    whole: Mapping[str, object] = way.to_json_dict()
    steps = whole.get("steps") or [whole]
    found: dict[str, str] = {}
    for step in steps:  # type: ignore[attr-defined]
        number = step.get("id", {})
        registered = "EPSG" in number.get("authority", "")
        if registered and step.get("type", "").endswith("Transformation"):
            found[step["name"]] = f"EPSG:{number['code']}"
    return found
