"""Overlay: how much of each subject lies in which objects, in none, and in several at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.geo import Floats, Geometries
from pipeline.joins.side import Ints

NOISE_M2 = 1e-4
"""What floating point leaves of nothing: areas of a city are known to about a millionth of a m2."""


@dataclass(frozen=True)
class Pieces:
    """Parts of subjects (pieces,): indices of subject, object (-1: none) and group, and the area in
    m2. ``kind`` 0: in the object, 1: in none of the group, 2: in several, counted negative: so the
    areas of a subject add up to its own in each group."""

    subject: Ints
    object: Ints
    group: Ints
    kind: npt.NDArray[np.int8]
    area: Floats

    @staticmethod
    def joined(parts: list[Pieces]) -> Pieces:
        """All parts as one."""
        names = ("subject", "object", "group", "kind", "area")
        return Pieces(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Overlay:
    """Settings of one overlay. ``square``: m2 in a square unit of the CRS; ``least_m2``: a smaller
    part is a matter of drawing and counts as outside; ``closes`` as in the fact contract."""

    square: float
    least_m2: float
    closes: str

    def run(self, subjects: Geometries, objects: Geometries, group: Ints, groups: int) -> Pieces:
        """The pieces of all ``subjects`` (n,) in ``objects`` (m,), whose groups (m,) count from 0
        to ``groups``."""
        whole = shapely.area(subjects) * self.square
        subject, other, shapes, area = self._inside(subjects, objects, whole)
        inside = Pieces(subject, other, group[other], np.zeros(len(subject), dtype=np.int8), area)
        if self.closes == "none":
            return inside
        return Pieces.joined([inside, *self._closing(inside, shapes, subjects, whole, groups)])

    def _inside(
        self, subjects: Geometries, objects: Geometries, whole: Floats
    ) -> tuple[Ints, Ints, Geometries, Floats]:
        """Pairs that have area in common, with the common part and its area (m2)."""
        tree = shapely.STRtree(subjects)
        other, subject = tree.query(objects, predicate="intersects")
        shapely.prepare(objects)
        # Most subjects lie wholly in one object: that is known without cutting anything.
        cut = ~shapely.covers(objects[other], subjects[subject])
        shapes, area = subjects[subject], whole[subject]
        shapes[cut] = shapely.intersection(shapes[cut], objects[other[cut]])
        area[cut] = shapely.area(shapes[cut]) * self.square
        kept = area >= self.least_m2
        order = np.lexsort((other[kept], subject[kept]))
        return (
            subject[kept][order].astype(np.int64),
            other[kept][order].astype(np.int64),
            shapes[kept][order],
            area[kept][order],
        )

    def _closing(
        self, inside: Pieces, shapes: Geometries, subjects: Geometries, whole: Floats, groups: int
    ) -> list[Pieces]:
        """What is in no object of a group, and what is in several."""
        every = np.arange(len(subjects) * groups, dtype=np.int64)
        key = inside.subject * groups + inside.group
        total = np.bincount(key, weights=inside.area, minlength=len(every))
        covered = total.copy()
        times = np.bincount(key, minlength=len(every))
        several = np.flatnonzero(times > 1)
        covered[several] = self._united(several, key, shapes)
        if self.closes == "touched":
            every = np.flatnonzero(times)
        rest = whole[every // groups] - covered[every]
        doubled = covered - total
        return [
            self._named(every[rest > NOISE_M2], rest[rest > NOISE_M2], 1, groups),
            self._named(
                np.flatnonzero(doubled < -NOISE_M2), doubled[doubled < -NOISE_M2], 2, groups
            ),
        ]

    def _united(self, several: Ints, key: Ints, shapes: Geometries) -> Floats:
        """The area (m2) that the pieces of each key of ``several`` cover together."""
        places = np.flatnonzero(np.isin(key, several))
        places = places[np.argsort(key[places], kind="stable")]
        first = np.searchsorted(key[places], several)
        count = np.append(first[1:], len(places)) - first
        united = shapes[places[first]]
        for turn in range(1, int(count.max(initial=0))):
            more = np.flatnonzero(count > turn)
            united[more] = shapely.union(united[more], shapes[places[first[more] + turn]])
        return np.asarray(shapely.area(united) * self.square)

    @staticmethod
    def _named(keys: Ints, area: Floats, kind: int, groups: int) -> Pieces:
        return Pieces(
            keys // groups,
            np.full(len(keys), -1, dtype=np.int64),
            keys % groups,
            np.full(len(keys), kind, dtype=np.int8),
            area,
        )
