"""Boundary: facts about edges of areas, what roads leave of them, and the height before them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from psycopg import sql

from pipeline.contracts.fact import FactContract
from pipeline.db import queries
from pipeline.derive.facts import BESIDE, COLUMNS
from pipeline.geo import Geometries, Mask
from pipeline.joins import ways
from pipeline.joins.bevels import bevels
from pipeline.joins.corridor import numbers
from pipeline.joins.cuts import ON_M, Lines, Takers, leave, moved
from pipeline.joins.edges import Drawing
from pipeline.joins.edges import edges as drawn
from pipeline.joins.levels import Heights, between
from pipeline.joins.pairs import equal
from pipeline.joins.reading import Columns, Reading, empty, named, with_shape
from pipeline.joins.side import Ints, Reader, Side, listed
from pipeline.joins.touched import along

_MANY = 500
"""From so many edges on all streets are read: to look near each of them takes longer."""
_NOBODY = np.zeros(0, dtype=np.int64)
_NOTHING = Side(_NOBODY, _NOBODY, np.zeros(0, dtype=object), {})


def edges(reading: Reading, fact: FactContract, ids: Ints | None) -> Columns:
    """The edges of subjects."""
    metres = reading.schemas.city.metres_per_unit
    subjects, others = reading.among(fact, ids)
    rule = Drawing(fact.straight_m, fact.reach_m, fact.min_length_m, metres)
    found = drawn(subjects.shapes, others.shapes, others.place_of(subjects.ids), rule)
    beside = found.neighbour >= 0
    way, streets = _along(reading, fact, found.shape, beside, whole=ids is None)
    run = np.maximum(subjects.runs[found.area], others.runs[found.neighbour] * beside)
    run[way >= 0] = np.maximum(run[way >= 0], streets.runs[way[way >= 0]])
    neighbour, street = _ids(others, found.neighbour), _ids(streets, way)
    kind = np.where(way >= 0, BESIDE[0], np.where(beside, BESIDE[1], BESIDE[2]))
    shapes = shapely.set_srid(found.shape, reading.schemas.city.srid)
    return [
        subjects.ids[found.area], found.seq, found.part, found.ring, found.corner, kind,
        neighbour, street, found.side, found.azimuth, found.length,
        shapely.to_wkb(shapes, include_srid=True), run,
    ]  # fmt: skip


def _along(
    reading: Reading, fact: FactContract, shapes: Geometries, taken: Mask, *, whole: bool
) -> tuple[Ints, Side]:
    """The street that each edge lies along (its place in the streets, -1 for none)."""
    way = np.full(len(shapes), -1, dtype=np.int64)
    if fact.ways is None:
        return way, _NOTHING
    metres = reading.schemas.city.metres_per_unit
    layer = reading.schemas.layer(fact.ways.layer)
    reader = Reader(reading.connection, layer, (fact.ways.width,))
    free = np.flatnonzero(~taken)
    far = along(reading.schemas, fact)
    whole = whole or len(free) > _MANY
    axes = with_shape(reader.all() if whole else reader.near(shapes[free], far))
    half = numbers(axes, fact.ways.width) / 2
    half = np.where(np.isnan(half), fact.ways.unknown_m - fact.ways.margin_m, half) / metres
    way[free] = ways.beside(shapes[free], axes.shapes, half, fact.ways.margin_m / metres)
    return way, axes


def remainder(reading: Reading, fact: FactContract, ids: Ints | None) -> Columns:
    """What overlays leave of subjects."""
    takers, names = _takers(reading, _laid(reading, fact, ids))
    subjects = with_shape(reading.subjects(fact, ids))
    if not len(subjects) or not len(takers.shape):
        return empty(6)
    square = reading.schemas.city.metres_per_unit**2
    left = leave(subjects.shapes, takers, fact.min_area_m2 / square)
    shapes = shapely.set_srid(left.shape, reading.schemas.city.srid)
    return [
        subjects.ids[left.area], named(names, left.group), left.taken * square,
        shapely.area(left.shape) * square, shapely.to_wkb(shapes, include_srid=True),
        np.maximum(left.run, subjects.runs[left.area]),
    ]  # fmt: skip


def cut(reading: Reading, fact: FactContract, ids: Ints | None) -> Columns:
    """What becomes of the edges of subjects."""
    takers, names = _takers(reading, _laid(reading, fact, ids))
    subjects = with_shape(reading.subjects(fact, ids))
    if not len(subjects) or not len(takers.shape):
        return empty(6)
    _, near = shapely.STRtree(subjects.shapes).query(takers.shape, predicate="intersects")
    subjects = subjects.take(np.unique(near))
    lines, areas, run = _drawn_edges(reading, fact, subjects)
    metres = reading.schemas.city.metres_per_unit
    left = leave(areas, takers, fact.min_area_m2 / metres**2)
    found = moved(left, lines, ON_M / metres)
    area, group = left.area[found.left], left.group[found.left]
    return [
        subjects.ids[area], lines.seq[found.edge], named(names, group),
        found.length * metres, found.depth * metres,
        np.maximum(np.maximum(left.run[found.left], subjects.runs[area]), run[found.edge]),
    ]  # fmt: skip


def bevel(reading: Reading, fact: FactContract, ids: Ints | None) -> Columns:
    """The edges of subjects whose corners are cut off, each cut an edge of its own."""
    laid = _laid(reading, fact, ids)
    takers, names = _takers(reading, laid)
    corner = np.concatenate([np.full(len(side), one.object == fact.object) for one, side in laid])
    subjects = with_shape(reading.subjects(fact, ids))
    if not len(subjects) or not corner.any():
        return empty(len(COLUMNS[fact.kind]))
    _, near = shapely.STRtree(subjects.shapes).query(takers.shape[corner], predicate="intersects")
    subjects = subjects.take(np.unique(near))
    lines, areas, run = _drawn_edges(reading, fact, subjects)
    metres = reading.schemas.city.metres_per_unit
    left, found = bevels(areas, lines, takers, corner, fact.min_area_m2 / metres**2, ON_M / metres)
    area, group = left.area[found.left], left.group[found.left]
    other = np.concatenate([side.ids for _, side in laid])
    shapes = shapely.set_srid(found.shape, reading.schemas.city.srid)
    latest = np.maximum(left.run[found.left], subjects.runs[area])
    return [
        subjects.ids[area], lines.seq[found.edge], _at(lines.seq, found.after),
        named(names, group), _at(other, found.corner), found.length * metres,
        shapely.to_wkb(shapes, include_srid=True), np.maximum(latest, run[found.edge]),
    ]  # fmt: skip


def _drawn_edges(
    reading: Reading, fact: FactContract, subjects: Side
) -> tuple[Lines, Geometries, Ints]:
    """The edges of ``subjects``, the subjects drawn by them, and the run of each edge."""
    query = sql.SQL(queries.load("facts")["edges_of"]).format(
        table=reading.beside.table(str(fact.edges))
    )
    cursor = reading.connection.cursor(binary=True)
    rows = cursor.execute(query, {"ids": listed(subjects.ids)}).fetchall()
    columns = list(zip(*rows, strict=True)) or [() for _ in range(6)]
    whole = [np.array(columns[at], dtype=np.int64) for at in range(5)]
    shapes = np.asarray(shapely.from_wkb(np.array(columns[5], dtype=object)), dtype=object)
    lines = Lines(subjects.place_of(whole[0]), whole[1], shapes)
    return lines, lines.areas(whole[2], whole[3], len(subjects)), whole[4]


def _laid(
    reading: Reading, fact: FactContract, ids: Ints | None
) -> list[tuple[FactContract, Side]]:
    """The overlays that ``fact`` is of, and what they lay on subjects."""
    return [(one, reading.laid(one, ids)) for one in map(reading.schemas.fact, fact.of)]


def _takers(
    reading: Reading, laid: list[tuple[FactContract, Side]]
) -> tuple[Takers, list[str | None]]:
    """All that takes from subjects, and its groups."""
    grouped = [reading.groups(one, objects) for one, objects in laid]
    names = list(dict.fromkeys(name for found, _ in grouped for name in found))
    place = {name: at for at, name in enumerate(names)}
    group = [np.array([place[name] for name in found], dtype=np.int64)[of] for found, of in grouped]
    objects = [objects for _, objects in laid]
    takers = Takers(
        np.concatenate([one.shapes for one in objects]), np.concatenate(group), len(names),
        np.concatenate([one.runs for one in objects]),
    )  # fmt: skip
    return takers, names


def level(reading: Reading, fact: FactContract, ids: Ints | None) -> Columns:
    """The height of the street in front of the edges of subjects."""
    lanes, rule = reading.schemas.fact(str(fact.edges)).ways, fact.level
    if not rule or not lanes or not reading.reader(fact).any():
        return empty(8)
    points = with_shape(reading.reader(fact).all())
    layer = reading.schemas.layer(lanes.layer)
    texts = [str(one) for one in points.columns[rule.street].unique().to_pylist() if one]
    streets = with_shape(
        Reader(reading.connection, layer, (rule.street,)).saying(rule.street, texts)
    )
    subject, seq, way, run, shapes = _fronts(reading, fact, ids, streets.ids)
    if not len(subject):
        return empty(8)
    street = streets.place_of(way)
    said = streets.columns[rule.street].take(pa.array(street))
    edge, point = equal([said.cast(pa.string())], points.columns[rule.street].cast(pa.string()))
    kind, names = _kinds(points, (fact.group, rule.system))
    axis = shapely.line_merge(streets.shapes)[street[edge]]
    middle = shapely.line_interpolate_point(shapes[edge], 0.5, normalized=True)
    found = between(
        Heights(
            edge, point, kind[point], shapely.line_locate_point(axis, middle),
            shapely.line_locate_point(axis, points.shapes[point]),
            numbers(points, rule.height)[point],
        )
    )  # fmt: skip
    latest = np.maximum(run, streets.runs[street])
    np.maximum.at(latest, edge, points.runs[point])
    return [
        subject[found.edge], seq[found.edge], named(names, found.kind), points.ids[found.point],
        found.height, found.between, found.far * reading.schemas.city.metres_per_unit,
        latest[found.edge],
    ]  # fmt: skip


def _kinds(points: Side, fields: tuple[str | None, str]) -> tuple[Ints, list[str | None]]:
    """The kind of each point, which all of ``fields`` decide, and the first field of each kind."""
    said = [points.columns[name].to_pylist() if name else [None] * len(points) for name in fields]
    both = list(zip(*said, strict=True))
    place = {one: at for at, one in enumerate(dict.fromkeys(both))}
    return np.array([place[one] for one in both], dtype=np.int64), [one[0] for one in place]


def _fronts(
    reading: Reading, fact: FactContract, ids: Ints | None, streets: Ints
) -> tuple[Ints, Ints, Ints, Ints, Geometries]:
    """Edges along ``streets``: subject, number, street, run and shape."""
    query = sql.SQL(queries.load("facts")["fronts_of"]).format(
        table=reading.beside.table(str(fact.edges))
    )
    values = {"ways": listed(streets), "ids": None if ids is None else listed(ids)}
    rows = reading.connection.cursor(binary=True).execute(query, values).fetchall()
    columns = list(zip(*rows, strict=True)) or [() for _ in range(5)]
    subject, seq, way, run = (np.array(columns[at], dtype=np.int64) for at in range(4))
    shapes = np.asarray(shapely.from_wkb(np.array(columns[4], dtype=object)), dtype=object)
    return subject, seq, way, run, shapes


def _ids(side: Side, places: Ints) -> Any:
    """The ids at ``places``, None where there is no place."""
    return _at(side.ids, places)


def _at(values: Ints, places: Ints) -> Any:
    """The ``values`` at ``places``, None where there is no place."""
    found = np.full(len(places), None, dtype=object)
    found[places >= 0] = values[places[places >= 0]]
    return found
