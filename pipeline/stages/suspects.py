"""Suspects: the mistakes about a CRS that are made here, each as a guess of the true coordinates.

A file says one CRS and its numbers are in another. What that does to a place is computed here, from
the city's list of suspects and nothing else: datums, neighbouring zones, feet, axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pyproj import CRS, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.enums import TransformDirection

from pipeline import geo, operations
from pipeline.contracts.city import City, Suspect
from pipeline.geo import Floats
from pipeline.operations import NoOperationError, Operation, crs_name

_UNITS = ((0.3048, "international feet"), (1200 / 3937, "US survey feet"), (1.0, "metres"))
_SAME_UNIT = 1e-9
_SURE = 70
_WEB = ("EPSG:4326", "EPSG:3857")


@dataclass(frozen=True)
class Guess:
    """One mistake: what the numbers would be, and the way from them to the city's CRS.

    ``factor`` scales the numbers first, ``swapped`` exchanges them; ``transformer`` None: they are
    in the city's CRS.
    """

    name: str
    transformer: Transformer | None
    factor: float = 1.0
    swapped: bool = False

    def places(self, numbers: Floats) -> Floats:
        """Where features of these coordinates (n x 2) would truly be, in the city's CRS."""
        xy = (numbers[:, ::-1] if self.swapped else numbers) * self.factor
        if self.transformer is None:
            return xy
        with np.errstate(all="ignore"):
            return np.column_stack(self.transformer.transform(xy[:, 0], xy[:, 1]))


def as_read(numbers: Floats, crs: CRS, city: City) -> Floats:
    """Where features of these coordinates are if ``crs`` is right, in the city's CRS."""
    return Guess("as it says", city.operation(crs).transformer).places(numbers)


def numbers_of(places: Floats, crs: CRS, city: City) -> Floats:
    """The coordinates in ``crs`` of places in the city's CRS."""
    move = city.operation(crs).transformer
    if move is None:
        return places
    x, y = move.transform(places[:, 0], places[:, 1], direction=TransformDirection.INVERSE)
    return np.column_stack([x, y])


def guesses(crs: CRS, city: City) -> Iterator[Guess]:
    """Every mistake that a file which says ``crs`` may make, the likelier ones first.

    Slow (a second): PROJ is asked about every suspect. Only a doubt is worth it.
    """
    yield from _other_crs(crs, city)
    own = city.operation(crs).transformer
    yield Guess(f"{crs_name(crs)} with east and north exchanged", own, swapped=True)
    unit = crs.axis_info[0].unit_conversion_factor if crs.is_projected else 0.0
    for size, name in _UNITS:
        if unit and abs(unit - size) > _SAME_UNIT:
            yield Guess(f"{crs_name(crs)} in {name}", own, factor=size / unit)


def _other_crs(crs: CRS, city: City) -> Iterator[Guess]:
    """Numbers in another CRS than the file says; those of the city and of the web as well."""
    plain = [CRS.from_user_input(name) for name in (f"EPSG:{city.srid}", *_WEB)]
    for other, suspect in (
        *((one, None) for one in plain),
        *((_placed(CRS.from_user_input(one.crs), crs), one) for one in city.suspects),
    ):
        if other is not None and not geo.same_crs(other, crs):
            yield from _guess(other, city, suspect)


def _placed(other: CRS, crs: CRS) -> CRS | None:
    """A suspect as coordinates like those of ``crs`` would be in it: on their projection."""
    if other.is_projected or crs.is_geographic:
        return other
    if crs.coordinate_operation is None:
        return None
    name = f"{other.name} / {crs.name.rsplit(' / ', 1)[-1]}"
    made = ProjectedCRS(name=name, conversion=crs.coordinate_operation, geodetic_crs=other)
    code = made.to_epsg(min_confidence=_SURE)
    return CRS.from_epsg(code) if code else made


def _guess(other: CRS, city: City, suspect: Suspect | None) -> Iterator[Guess]:
    """The way from ``other``, and the way of those who leave its datum shift out."""
    operation = _way(other, city, suspect)
    if operation is not None:
        yield Guess(crs_name(other), operation.transformer)
    ballpark = operations.without_shift(other, city.crs) if suspect else None
    if ballpark is not None:
        yield Guess(f"{crs_name(other)}, its datum shift left out", ballpark.transformer)


def _way(other: CRS, city: City, suspect: Suspect | None) -> Operation | None:
    if suspect is not None and suspect.operation is not None:
        return operations.by_code(other, city.crs, suspect.operation)
    try:
        return city.operation(other)
    except NoOperationError:
        return None
