"""Work: one fact worked out over the subjects that are asked for, as columns of its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from psycopg import sql

from pipeline.contracts.fact import FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.facts import BESIDE, FACTS, IN, OVERLAP, REST
from pipeline.geo import Geometries, Mask
from pipeline.joins import match, ways
from pipeline.joins.corridor import corridors, numbers
from pipeline.joins.cuts import ON_M, Lines, Takers, leave, moved
from pipeline.joins.edges import Drawing, edges
from pipeline.joins.neighbours import borders
from pipeline.joins.overlay import Overlay
from pipeline.joins.side import Ints, Reader, Side
from pipeline.joins.touched import along, reach

Columns = list[Any]
"""Columns (n,) of a fact's table: lists or arrays; NaN and None are null."""
_MANY = 20_000
"""For so many subjects all of another layer are read, rather than those near them."""
_NOBODY = np.zeros(0, dtype=np.int64)
_NOTHING = Side(_NOBODY, _NOBODY, np.zeros(0, dtype=object), {})
_PARTS = np.array([IN, REST, OVERLAP], dtype=object)


@dataclass
class Work:
    """Works out facts within one transaction; ``read`` keeps whole layers for the next fact."""

    connection: Connection
    schemas: Schemas
    read: dict[str, Side]

    def columns(self, fact: FactContract, ids: Ints | None) -> Columns:
        """The fact's rows for the subjects ``ids`` (None: all), column by column as stored."""
        if fact.kind == "overlay":
            return self._overlay(fact, ids)
        if fact.kind == "neighbour":
            return self._neighbours(fact, ids)
        if fact.kind == "edge":
            return self._edges(fact, ids)
        if fact.kind == "remainder":
            return self._remainder(fact, ids)
        if fact.kind == "cut":
            return self._cut(fact, ids)
        return self._match(fact, ids)

    def _overlay(self, fact: FactContract, ids: Ints | None) -> Columns:
        if not self._reader(fact).any():
            return _empty(7)
        subjects, objects = _with_shape(self._subjects(fact, ids)), self._laid(fact, ids)
        names, group = self._groups(fact, objects)
        if not len(subjects) or not names:
            return _empty(7)
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
            _named(names, found.group).tolist(), found.area.tolist(),
            (found.area / whole).tolist(), run.tolist(),
        ]  # fmt: skip

    def _laid(self, fact: FactContract, ids: Ints | None) -> Side:
        """The objects of an overlay as the areas that they stand for."""
        objects = self._objects(fact, ids)
        if fact.corridor:
            metres = self.schemas.city.metres_per_unit
            objects = _drawn_as(objects, corridors(objects, fact.corridor, metres))
        return _with_shape(objects)

    def _takers(self, fact: FactContract, ids: Ints | None) -> tuple[Takers, list[str | None]]:
        """All that takes from subjects by the overlays that ``fact`` is of, and its groups."""
        laid = [(one, self._laid(one, ids)) for one in map(self.schemas.fact, fact.of)]
        grouped = [self._groups(one, objects) for one, objects in laid]
        names = list(dict.fromkeys(name for found, _ in grouped for name in found))
        place = {name: at for at, name in enumerate(names)}
        group = [
            np.array([place[name] for name in found], dtype=np.int64)[of] for found, of in grouped
        ]
        objects = [objects for _, objects in laid]
        takers = Takers(
            np.concatenate([one.shapes for one in objects]), np.concatenate(group), len(names),
            np.concatenate([one.runs for one in objects]),
        )  # fmt: skip
        return takers, names

    def _remainder(self, fact: FactContract, ids: Ints | None) -> Columns:
        takers, names = self._takers(fact, ids)
        subjects = _with_shape(self._subjects(fact, ids))
        if not len(subjects) or not len(takers.shape):
            return _empty(6)
        square = self.schemas.city.metres_per_unit**2
        left = leave(subjects.shapes, takers, fact.min_area_m2 / square)
        shapes = shapely.set_srid(left.shape, self.schemas.city.srid)
        return [
            subjects.ids[left.area], _named(names, left.group), left.taken * square,
            shapely.area(left.shape) * square, shapely.to_wkb(shapes, include_srid=True),
            np.maximum(left.run, subjects.runs[left.area]),
        ]  # fmt: skip

    def _cut(self, fact: FactContract, ids: Ints | None) -> Columns:
        takers, names = self._takers(fact, ids)
        subjects = _with_shape(self._subjects(fact, ids))
        if not len(subjects) or not len(takers.shape):
            return _empty(6)
        _, near = shapely.STRtree(subjects.shapes).query(takers.shape, predicate="intersects")
        subjects = subjects.take(np.unique(near))
        lines, areas, run = self._drawn_edges(fact, subjects)
        metres = self.schemas.city.metres_per_unit
        left = leave(areas, takers, fact.min_area_m2 / metres**2)
        found = moved(left, lines, ON_M / metres)
        area, group = left.area[found.left], left.group[found.left]
        return [
            subjects.ids[area], lines.seq[found.edge], _named(names, group),
            found.length * metres, found.depth * metres,
            np.maximum(np.maximum(left.run[found.left], subjects.runs[area]), run[found.edge]),
        ]  # fmt: skip

    def _drawn_edges(self, fact: FactContract, subjects: Side) -> tuple[Lines, Geometries, Ints]:
        """The edges of ``subjects``, the subjects drawn by them, and the run of each edge."""
        query = sql.SQL(queries.load("facts")["edges_of"]).format(
            table=sql.Identifier(FACTS, str(fact.edges))
        )
        cursor = self.connection.cursor(binary=True)
        rows = cursor.execute(query, {"ids": subjects.ids.tolist()}).fetchall()
        columns = list(zip(*rows, strict=True)) or [() for _ in range(6)]
        whole = [np.array(columns[at], dtype=np.int64) for at in range(5)]
        shapes = np.asarray(shapely.from_wkb(np.array(columns[5], dtype=object)), dtype=object)
        lines = Lines(subjects.place_of(whole[0]), whole[1], shapes)
        return lines, lines.areas(whole[2], whole[3], len(subjects)), whole[4]

    def _groups(self, fact: FactContract, objects: Side) -> tuple[list[str | None], Ints]:
        """The names of all groups of the layer, and the group of each object."""
        if fact.group is None:
            return [None], np.zeros(len(objects), dtype=np.int64)
        names = self._reader(fact).groups(fact.group)
        place = {name: at for at, name in enumerate(names)}
        said = objects.columns[fact.group].to_pylist()
        return list(names), np.array([place[str(one)] for one in said], dtype=np.int64)

    def _neighbours(self, fact: FactContract, ids: Ints | None) -> Columns:
        metres = self.schemas.city.metres_per_unit
        subjects, others = self._among(fact, ids)
        found = borders(
            subjects.shapes, others.shapes, others.place_of(subjects.ids),
            metres=metres, least_m=fact.min_length_m, reach_m=fact.reach_m,
        )  # fmt: skip
        run = np.maximum(subjects.runs[found.subject], others.runs[found.object])
        return [
            subjects.ids[found.subject].tolist(), others.ids[found.object].tolist(),
            found.length.tolist(), run.tolist(),
        ]  # fmt: skip

    def _among(self, fact: FactContract, ids: Ints | None) -> tuple[Side, Side]:
        """Subjects, and the rows of their own layer around them, themselves among those."""
        if ids is None:
            whole = _with_shape(self._whole(fact.subject))
            return whole, whole
        layer, reader = self.schemas.layer(fact.subject), self._reader(fact)
        subjects = _with_shape(self._subjects(fact, ids))
        return subjects, _with_shape(reader.near(layer, subjects.ids, reach(self.schemas, fact)))

    def _edges(self, fact: FactContract, ids: Ints | None) -> Columns:
        metres = self.schemas.city.metres_per_unit
        subjects, others = self._among(fact, ids)
        rule = Drawing(fact.straight_m, fact.reach_m, fact.min_length_m, metres)
        found = edges(subjects.shapes, others.shapes, others.place_of(subjects.ids), rule)
        beside = found.neighbour >= 0
        way, streets = self._along(fact, subjects.ids, found.shape, beside)
        run = np.maximum(subjects.runs[found.area], others.runs[found.neighbour] * beside)
        run[way >= 0] = np.maximum(run[way >= 0], streets.runs[way[way >= 0]])
        neighbour, street = _ids(others, found.neighbour), _ids(streets, way)
        kind = np.where(way >= 0, BESIDE[0], np.where(beside, BESIDE[1], BESIDE[2]))
        shapes = shapely.set_srid(found.shape, self.schemas.city.srid)
        return [
            subjects.ids[found.area], found.seq, found.part, found.ring, found.corner, kind,
            neighbour, street, found.side, found.azimuth, found.length,
            shapely.to_wkb(shapes, include_srid=True), run,
        ]  # fmt: skip

    def _along(
        self, fact: FactContract, ids: Ints, shapes: Geometries, taken: Mask
    ) -> tuple[Ints, Side]:
        """The street that each edge lies along (its place in the streets, -1 for none)."""
        way = np.full(len(shapes), -1, dtype=np.int64)
        if fact.ways is None:
            return way, _NOTHING
        metres = self.schemas.city.metres_per_unit
        layer = self.schemas.layer(fact.ways.layer)
        reader = Reader(self.connection, layer, (fact.ways.width,))
        subject = self.schemas.layer(fact.subject)
        far = along(self.schemas, fact)
        axes = _with_shape(reader.all() if len(ids) > _MANY else reader.near(subject, ids, far))
        half = numbers(axes, fact.ways.width) / 2
        half = np.where(np.isnan(half), fact.ways.unknown_m - fact.ways.margin_m, half) / metres
        free = np.flatnonzero(~taken)
        way[free] = ways.beside(shapes[free], axes.shapes, half, fact.ways.margin_m / metres)
        return way, axes

    def _match(self, fact: FactContract, ids: Ints | None) -> Columns:
        names = tuple(sorted(fact.uses(self.schemas.facts)[fact.subject]))
        reader = Reader(self.connection, self.schemas.layer(fact.subject), names)
        subjects = reader.all() if ids is None else reader.some(ids)
        matcher = match.Matcher(self.connection, self.schemas, fact, subjects, ids is None)
        state, run = matcher.run()
        methods, classes, scores = match.told(fact, state)
        far = state.distance * self.schemas.city.metres_per_unit
        return [
            subjects.ids.tolist(), [one if one >= 0 else None for one in state.object.tolist()],
            methods, classes, scores, state.candidates.tolist(),
            [None if np.isnan(one) else one for one in far.tolist()], run.tolist(),
        ]  # fmt: skip

    def _subjects(self, fact: FactContract, ids: Ints | None) -> Side:
        if ids is None:
            return self._whole(fact.subject)
        return Reader(self.connection, self.schemas.layer(fact.subject)).some(ids)

    def _objects(self, fact: FactContract, ids: Ints | None) -> Side:
        if ids is not None:
            subject = self.schemas.layer(fact.subject)
            return self._reader(fact).near(subject, ids, reach(self.schemas, fact))
        plain = not fact.group and not fact.corridor and not fact.where
        return self._whole(fact.object) if plain else self._reader(fact).all()

    def _whole(self, layer: str) -> Side:
        if layer not in self.read:
            self.read[layer] = Reader(self.connection, self.schemas.layer(layer)).all()
        return self.read[layer]

    def _reader(self, fact: FactContract) -> Reader:
        lane = fact.corridor
        used = {fact.group} if fact.group else set()
        if lane:
            used |= {lane.width, *lane.along}
            used |= {name for name in (lane.left, lane.right) if name}
        layer = self.schemas.layer(fact.object)
        return Reader(self.connection, layer, tuple(sorted(used)), fact.where)


def _ids(side: Side, places: Ints) -> Any:
    """The ids at ``places``, None where there is no place."""
    found = np.full(len(places), None, dtype=object)
    found[places >= 0] = side.ids[places[places >= 0]]
    return found


def _with_shape(side: Side) -> Side:
    drawn = ~shapely.is_missing(side.shapes)
    return side if drawn.all() else side.take(drawn)


def _drawn_as(side: Side, shapes: np.ndarray) -> Side:
    return Side(side.ids, side.runs, shapes, side.columns)


def _named(names: list[str | None], places: Ints) -> Any:
    return np.array(names, dtype=object)[places]


def _empty(width: int) -> Columns:
    return [[] for _ in range(width)]
