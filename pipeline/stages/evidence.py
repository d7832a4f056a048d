"""Evidence: what an unknown file shows of its CRS and its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS

from pipeline import geo, text
from pipeline.contracts.city import City
from pipeline.operations import NoOperationError
from pipeline.stages.map import as_text

_FEET = 0.3048
_MOST = 0.5


@dataclass(frozen=True)
class Place:
    """What coordinates tell of their CRS; ``crs`` is what to declare, ``sure`` if it fits."""

    said: str
    crs: str | None = None
    sure: bool = False


def find_crs(drawn: geo.Geometries, own: CRS | None, city: City) -> Place:
    """The CRS that puts most of ``drawn`` into the city; the file's ``own`` is checked as well."""
    points = _middles(drawn)
    if own is not None:
        code = own.to_epsg()
        name = f"EPSG:{code}" if code else None
        try:
            city.operation(own)
        except NoOperationError as error:
            pins = "; ".join(error.known)
            return Place(f"{error}: ask for EPSG:{city.srid}, or pin one of {pins}", name)
        share = _share_inside(points, own, city)
        said = f"the file says {name or own.name}; read so {share:.0%} lies in the city"
        return Place(said, name, sure=share >= _MOST)
    others = [suspect.crs for suspect in city.suspects]
    for name in (f"EPSG:{city.srid}", "EPSG:4326", "EPSG:3857", *others):
        crs = CRS.from_user_input(name)
        share = _share_inside(points, crs, city)
        if share >= _MOST:
            return Place(f"read as {name}, {share:.0%} lies in the city", name, sure=True)
        if _share_inside(geo.swapped(points), crs, city) >= _MOST:
            return Place(f"fits {name} with east and north SWAPPED: ask the sender", name)
    return _in_other_units(points, city)


def _middles(drawn: geo.Geometries) -> geo.Geometries:
    box = shapely.bounds(drawn)
    middle = (box[:, :2] + box[:, 2:]) / 2
    return np.asarray(shapely.points(middle))


def _share_inside(points: geo.Geometries, crs: CRS, city: City) -> float:
    try:
        moved = city.operation(crs).apply(points)
    except NoOperationError:
        return 0.0
    return float(geo.within(moved, city.extent.bounds).mean())


def _in_other_units(points: geo.Geometries, city: City) -> Place:
    xy = shapely.get_coordinates(points)
    for factor, unit in ((_FEET, "feet"), (1 / _FEET, "metres"), (1000.0, "kilometres")):
        if _share_inside(np.asarray(shapely.points(xy * factor)), city.crs, city) >= _MOST:
            return Place(f"looks like the city's CRS in {unit}: ask the sender")
    (xmin, ymin), (xmax, ymax) = xy.min(axis=0), xy.max(axis=0)
    degrees = abs(xy[:, 0]).max() <= 180 and abs(xy[:, 1]).max() <= 90
    kind = "degrees outside of the city" if degrees else "a CRS nobody can tell from here"
    return Place(f"x {xmin:.6g} to {xmax:.6g}, y {ymin:.6g} to {ymax:.6g}: {kind}")


@dataclass(frozen=True)
class Profile:
    """One source column as its first rows show it; ``values`` are texts, blanks null."""

    name: str
    kind: str
    values: pa.Array

    @property
    def empty_share(self) -> float:
        """Share of rows without a value."""
        return float(self.values.null_count) / max(len(self.values), 1)

    @property
    def distinct_share(self) -> float:
        """Distinct values in those given; 1.0 and no empty ones make a key."""
        given = len(self.values) - int(self.values.null_count)
        return int(pc.count_distinct(self.values).as_py()) / max(given, 1)

    @property
    def may_be_key(self) -> bool:
        """Whether every row has a value of its own."""
        return len(self.values) > 1 and not self.values.null_count and self.distinct_share == 1.0

    @property
    def samples(self) -> list[str]:
        """The first three distinct values."""
        return [str(one) for one in pc.unique(self.values.drop_null())[:3].to_pylist()]


def profile(name: str, values: pa.Array) -> Profile:
    """The profile of one column, whose text is UTF-8 by now."""
    return Profile(name, str(values.type), text.display(as_text(values)))
