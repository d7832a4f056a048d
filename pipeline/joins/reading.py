"""Reading: the rows that facts are worked out from, each layer read once in a transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from pipeline.contracts.fact import FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Connection
from pipeline.geo import Geometries
from pipeline.joins.beside import Beside
from pipeline.joins.corridor import corridors, strips
from pipeline.joins.side import Ints, Reader, Side
from pipeline.joins.touched import reach

Columns = list[Any]
"""Columns (n,) of a fact's table: lists or arrays; NaN and None are null."""


@dataclass
class Reading:
    """Rows within one transaction, in which some facts are made ``beside``; ``read`` keeps whole
    layers for the next fact."""

    connection: Connection
    schemas: Schemas
    beside: Beside
    read: dict[str, Side] = field(default_factory=dict)
    some: dict[tuple[str, bytes], Side] = field(default_factory=dict)

    def laid(self, fact: FactContract, ids: Ints | None) -> Side:
        """The objects of an overlay as the areas that they stand for."""
        objects = self.objects(fact, ids)
        metres = self.schemas.city.metres_per_unit
        if fact.corridor:
            objects = _drawn_as(objects, corridors(objects, fact.corridor, metres))
        if fact.strip:
            axes = with_shape(self.whole(fact.strip.toward)).shapes
            objects = _drawn_as(objects, strips(objects, fact.strip.depth, axes, metres))
        return with_shape(objects)

    def groups(self, fact: FactContract, objects: Side) -> tuple[list[str | None], Ints]:
        """The names of all groups of the layer, and the group of each object."""
        if fact.group is None:
            return [None], np.zeros(len(objects), dtype=np.int64)
        names = self.reader(fact).groups(fact.group)
        place = {name: at for at, name in enumerate(names)}
        said = objects.columns[fact.group].to_pylist()
        return list(names), np.array([place[str(one)] for one in said], dtype=np.int64)

    def among(self, fact: FactContract, ids: Ints | None) -> tuple[Side, Side]:
        """Subjects, and the rows of their own layer around them, themselves among those."""
        if ids is None:
            whole = with_shape(self.whole(fact.subject))
            return whole, whole
        subjects = with_shape(self.subjects(fact, ids))
        return subjects, with_shape(
            self.reader(fact).near(subjects.shapes, reach(self.schemas, fact))
        )

    def subjects(self, fact: FactContract, ids: Ints | None) -> Side:
        """The subjects that are asked for."""
        if ids is None:
            return self.whole(fact.subject)
        named = (fact.subject, ids.tobytes())
        if named not in self.some:
            reader = Reader(self.connection, self.schemas.layer(fact.subject))
            self.some[named] = reader.some(ids)
        return self.some[named]

    def objects(self, fact: FactContract, ids: Ints | None) -> Side:
        """The objects that may have to do with them."""
        if ids is not None:
            return self.reader(fact).near(
                self.subjects(fact, ids).shapes, reach(self.schemas, fact)
            )
        plain = not (fact.group or fact.corridor or fact.strip or fact.where)
        return self.whole(fact.object) if plain else self.reader(fact).all()

    def whole(self, layer: str) -> Side:
        """All rows of a layer."""
        if layer not in self.read:
            self.read[layer] = Reader(self.connection, self.schemas.layer(layer)).all()
        return self.read[layer]

    def reader(self, fact: FactContract) -> Reader:
        """Of the objects, with the fields that the fact needs."""
        lane = fact.corridor
        used = {name for name in (fact.group, fact.strip and fact.strip.depth) if name}
        if fact.level:
            used |= {fact.level.height, fact.level.street, fact.level.system}
        if lane:
            used |= {lane.width, *lane.along}
            used |= {name for name in (lane.left, lane.right) if name}
        layer = self.schemas.layer(fact.object)
        return Reader(self.connection, layer, tuple(sorted(used)), fact.where)


def with_shape(side: Side) -> Side:
    """The rows that have a shape."""
    drawn = ~shapely.is_missing(side.shapes)
    return side if drawn.all() else side.take(drawn)


def _drawn_as(side: Side, shapes: Geometries) -> Side:
    return Side(side.ids, side.runs, shapes, side.columns)


def named(names: list[str | None], places: Ints) -> Any:
    """The names of groups at ``places``."""
    return np.array(names, dtype=object)[places]


def empty(width: int) -> Columns:
    """No rows of so many columns."""
    return [[] for _ in range(width)]
