"""Regions, districts, neighbourhoods and postal areas: unions of cells that tile the city limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Floats, Ints, Objects, clusters, objects, owners
from pipeline.sample.model import City

REGIONS = 8
_MM_OF_LINE = 10**9
_SHIFT_MM = 10**8
_STEP_M = 40.0
_CELLS_OF_DISTRICT = 58
_CELLS_OF_NEIGHBOURHOOD = 9
_MOST_POSTAL_AREAS = 440


@dataclass(frozen=True)
class Areas:
    """Numbers of the areas each cell belongs to (cells,), and the cells' polygons (EPSG:32639).

    ``region`` counts from 1; ``district`` is the region's digit and a serial (in region 1: 11, 12
    ...); ``neighbourhood`` and ``postal`` count from 0, the fixture is in 0.
    """

    region: Ints
    district: Ints
    neighbourhood: Ints
    postal: Ints
    shapes: Objects

    def dissolved(self, number: Ints) -> tuple[Ints, Objects]:
        """The distinct ``number`` s (cells,) and the union of the cells of each, exactly tiling."""
        order = np.argsort(number, kind="stable")
        values, first = np.unique(number[order], return_index=True)
        parts = np.split(self.shapes[order], first[1:])
        merged = np.empty(len(values), dtype=object)
        merged[:] = [shapely.coverage_union_all(part) for part in parts]
        return values.astype(np.int64), merged


def areas(city: City) -> Areas:
    """Divides the city limit; the fixture is in region 1, district 12."""
    x, y = city.cells.centre
    home = city.cells.home
    group = clusters(x, y, REGIONS, home)
    region = _by_direction(group, x, y)
    district = np.zeros(len(x), dtype=np.int64)
    neighbourhood = np.zeros(len(x), dtype=np.int64)
    found = 0
    for number in range(1, REGIONS + 1):
        at = np.flatnonzero(region == number)
        first = int(np.argmax(at == home))
        wanted = int(np.clip(round(len(at) / _CELLS_OF_DISTRICT), 2, 9))
        part = clusters(x[at], y[at], wanted, first)
        district[at] = 10 * number + _second(part)
        for one in range(int(part.max()) + 1):
            here = at[part == one]
            count = max(1, round(len(here) / _CELLS_OF_NEIGHBOURHOOD))
            label = clusters(x[here], y[here], count, int(np.argmax(here == home)))
            neighbourhood[here] = found + label
            found += int(label.max()) + 1
    postal_count = int(np.clip(len(x) // 8, 1, _MOST_POSTAL_AREAS))
    postal = clusters(x, y, postal_count, home)
    return Areas(region, district, neighbourhood, postal, _cell_shapes(city))


def _by_direction(group: Ints, x: Floats, y: Floats) -> Ints:
    """Region 1 is the fixture's, the others are numbered round the compass."""
    size = np.bincount(group)
    middle = [np.bincount(group, weights=axis) / size for axis in (x, y)]
    angle = np.arctan2(middle[1], middle[0])
    order = np.argsort(angle[1:], kind="stable") + 1
    number = np.ones(len(size), dtype=np.int64)
    number[order] = np.arange(2, len(size) + 1)
    return number[group]


def _second(part: Ints) -> Ints:
    """Serials from 1 in which group 0 is the second: the fixture's district ends in 2."""
    return np.where(part == 0, 2, np.where(part == 1, 1, part + 1)).astype(np.int64)


def _key(line: Ints, position: Floats) -> Ints:
    return line * _MM_OF_LINE + np.rint(position * 1000).astype(np.int64) + _SHIFT_MM


def _stations(line: Ints, start: Floats, end: Floats) -> Ints:
    """Keys of round distances on each side, so that long sides follow the curved ground."""
    first = np.ceil((start + 1.0) / _STEP_M)
    count = np.maximum(np.floor((end - 1.0) / _STEP_M) - first + 1, 0).astype(np.int64)
    side, within = owners(count)
    position: Floats = ((first[side] + within) * _STEP_M).astype(np.float64)
    return _key(line[side], position)


def _cell_shapes(city: City) -> Objects:
    """Polygons of the cells; neighbours share every vertex, also at T-junctions."""
    cells = city.cells
    sides = (
        (cells.line_south, cells.west, cells.east, cells.south),
        (cells.line_east, cells.south, cells.north, cells.east),
        (cells.line_north, cells.west, cells.east, cells.north),
        (cells.line_west, cells.south, cells.north, cells.west),
    )
    found = [_key(line, at) for line, start, end, _ in sides for at in (start, end)]
    found += [_stations(line, start, end) for line, start, end, _ in sides]
    keys = np.unique(np.concatenate(found))
    owner, order, east, north = [], [], [], []
    for number, (line, start, end, axis) in enumerate(sides):
        vertical, down = number % 2, number > 1
        # South and north sides have both corners, east and west sides have none.
        low = np.searchsorted(keys, _key(line, start)) + vertical
        count = np.searchsorted(keys, _key(line, end)) + 1 - vertical - low
        cell, within = owners(count)
        index = low[cell] + (count[cell] - 1 - within if down else within)
        along = (keys[index] % _MM_OF_LINE - _SHIFT_MM) / 1000.0
        owner.append(cell)
        order.append(np.full(len(cell), number))
        east.append(axis[cell] if vertical else along)
        north.append(along if vertical else axis[cell])
    cell = np.concatenate(owner)
    sort = np.argsort(cell * 4 + np.concatenate(order), kind="stable")
    points = city.ground.place(np.concatenate(east)[sort], np.concatenate(north)[sort])
    return objects(shapely.polygons(shapely.linearrings(points, indices=cell[sort])))


def block_numbers(city: City, areas: Areas) -> Ints:
    """Numbers of the blocks within their district (blocks,); the fixture's is 45, its park 46."""
    district = areas.district[city.blocks.cell]
    order = np.lexsort((np.arange(len(district)), district))
    count = np.unique(district, return_counts=True)[1]
    number = np.zeros(len(district), dtype=np.int64)
    number[order] = owners(count.astype(np.int64))[1] + 1
    # The fixture's two blocks are first of their district: the others move into the gap.
    same = district == fixture.DISTRICT
    number[same] -= 2
    number[same & (number >= fixture.BLOCK)] += 2
    number[:2] = fixture.BLOCK, fixture.BLOCK + 1
    return number


def labels(shapes: Objects) -> Floats:
    """Points inside the shapes, (n, 2)."""
    return np.asarray(shapely.get_coordinates(shapely.point_on_surface(shapes)), dtype=np.float64)
