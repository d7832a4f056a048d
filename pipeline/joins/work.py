"""Work: one fact worked out over the subjects that are asked for, as columns of its table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from pipeline.contracts.fact import FactContract, FactKind
from pipeline.derive.facts import IN, OVERLAP, REST
from pipeline.joins import boundary, match
from pipeline.joins.neighbours import borders
from pipeline.joins.overlay import Overlay
from pipeline.joins.reading import Columns, Reading, empty, named, with_shape
from pipeline.joins.side import Ints, Reader

_PARTS = np.array([IN, REST, OVERLAP], dtype=object)
_BOUNDARY: dict[FactKind, Callable[[Reading, FactContract, Ints | None], Columns]] = {
    "edge": boundary.edges,
    "remainder": boundary.remainder,
    "cut": boundary.cut,
    "bevel": boundary.bevel,
    "level": boundary.level,
}


class Work(Reading):
    """Works out facts within one transaction."""

    def columns(self, fact: FactContract, ids: Ints | None) -> Columns:
        """The fact's rows for the subjects ``ids`` (None: all), column by column as stored."""
        if fact.kind in _BOUNDARY:
            return _BOUNDARY[fact.kind](self, fact, ids)
        if fact.kind == "overlay":
            return self._overlay(fact, ids)
        if fact.kind == "neighbour":
            return self._neighbours(fact, ids)
        return self._match(fact, ids)

    def _overlay(self, fact: FactContract, ids: Ints | None) -> Columns:
        if not self.reader(fact).any():
            return empty(7)
        subjects, objects = with_shape(self.subjects(fact, ids)), self.laid(fact, ids)
        names, group = self.groups(fact, objects)
        if not len(subjects) or not names:
            return empty(7)
        square = self.schemas.city.metres_per_unit**2
        found = Overlay(square, fact.min_area_m2, fact.closes).run(
            subjects.shapes, objects.shapes, group, len(names)
        )
        whole = shapely.area(subjects.shapes)[found.subject] * square
        inside = found.object >= 0
        other = np.full(len(inside), None, dtype=object)
        other[inside] = objects.ids[found.object[inside]]
        run = subjects.runs[found.subject]
        run[inside] = np.maximum(run[inside], objects.runs[found.object[inside]])
        return [
            subjects.ids[found.subject].tolist(), other.tolist(), _PARTS[found.kind].tolist(),
            named(names, found.group).tolist(), found.area.tolist(),
            (found.area / whole).tolist(), run.tolist(),
        ]  # fmt: skip

    def _neighbours(self, fact: FactContract, ids: Ints | None) -> Columns:
        metres = self.schemas.city.metres_per_unit
        subjects, others = self.among(fact, ids)
        found = borders(
            subjects.shapes, others.shapes, others.place_of(subjects.ids),
            metres=metres, least_m=fact.min_length_m, reach_m=fact.reach_m,
        )  # fmt: skip
        run = np.maximum(others.runs[found.one], others.runs[found.other])
        return [others.ids[found.one], others.ids[found.other], found.length, run]

    def _match(self, fact: FactContract, ids: Ints | None) -> Columns:
        names = tuple(sorted(fact.uses(self.schemas.facts)[fact.subject]))
        reader = Reader(self.connection, self.schemas.layer(fact.subject), names)
        subjects = reader.all() if ids is None else reader.some(ids)
        matcher = match.Matcher(
            self.connection, self.schemas, self.beside, fact, subjects, ids is None
        )
        state, run = matcher.run()
        methods, classes, scores = match.told(fact, state)
        far = state.distance * self.schemas.city.metres_per_unit
        return [
            subjects.ids.tolist(), [one if one >= 0 else None for one in state.object.tolist()],
            methods, classes, scores, state.candidates.tolist(),
            [None if np.isnan(one) else one for one in far.tolist()], run.tolist(),
        ]  # fmt: skip
