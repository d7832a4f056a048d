"""Place: coordinates of a body in the city's CRS. What was served comes back as what is stored.

A client gets rounded coordinates, in another CRS perhaps. Transforming them back would move every
point by up to half of the last digit: a parcel that is read and written unchanged would creep, and
come apart from its neighbours. So each point that is one that we serve for a stored point of the
row or of its neighbours, to the last digit, is that stored point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.operations import Operation

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Vertices:
    """Stored points (n, 2) in the city's CRS, and as served: x before y, with ``digits``."""

    served: Points
    stored: Points
    digits: int

    def find(self, points: Points) -> tuple[npt.NDArray[np.bool_], Points]:
        """Which of ``points`` (m, 2) were served, and the stored point of each (m, 2)."""
        found, exact = np.zeros(len(points), dtype=np.bool_), points.copy()
        known = _keys(self.served, self.digits)
        places: dict[bytes, int] = {}
        for place in range(len(known) - 1, -1, -1):  # of several the first, which is the row's own
            places[known[place].tobytes()] = place
        for number, key in enumerate(_keys(points, self.digits)):
            place = places.get(key.tobytes(), -1)
            if place >= 0:
                found[number], exact[number] = True, self.stored[place]
        return found, exact


def _keys(points: Points, digits: int) -> Points:
    """Points as whole numbers of the last digit; a negative zero is none."""
    return np.asarray(np.rint(points * 10.0**digits) + 0.0)


def placed(shape: BaseGeometry, operation: Operation, known: Vertices) -> BaseGeometry:
    """``shape`` in the city's CRS: points that were served are the stored ones, the others are
    transformed by ``operation``."""

    def move(points: Points) -> Points:
        flat = points[:, :2]
        found, exact = known.find(flat)
        moved = points.copy()
        moved[:, :2] = operation.points(flat)
        moved[found, :2] = exact[found]
        return moved

    # Heights stay with their points: whether the layer takes them is judged later.
    made: BaseGeometry = shapely.transform(shape, move, include_z=shape.has_z)
    return made


def same_place(one: BaseGeometry | None, other: BaseGeometry | None) -> bool:
    """Whether both are the same shape, wherever their rings begin and however they turn."""
    if one is None or other is None:
        return one is other
    return bool(shapely.normalize(one).equals_exact(shapely.normalize(other), tolerance=0.0))
