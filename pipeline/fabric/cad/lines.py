"""Line work: drawn lines with shared ends joined, ends that nearly meet closed or told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely

from pipeline.fabric.cad.entities import Entities, Floats, Ints, Shapes

GRID_MM = 1.0
# An end so near to a line (in steps of the grid) is noded with it; what is farther must be moved.
_ON = 0.45
# Neighbouring sheets: 0.3 mm on the map; up to three times of it is told as a mismatch.
_MATCH_MM, _MISMATCH = 0.3, 3.0


@dataclass(frozen=True)
class Reach:
    """Distances in CRS units: ``grid`` of coordinates, ``snap`` of line ends, ``told`` of gaps,
    ``sheet`` of ends on neighbouring sheets."""

    grid: float
    snap: float
    told: float
    sheet: float

    @classmethod
    def of(cls, snap_mm: float, open_mm: float, scale: int, metres: float) -> Reach:
        """In the units of a CRS of ``metres`` each."""
        mm = 0.001 / metres
        return cls(GRID_MM * mm, snap_mm * mm, open_mm * mm, _MATCH_MM * scale * mm)


@dataclass(frozen=True)
class Meeting:
    """Two places that nearly meet: an end of one entity, and an entity near it (-1: none)."""

    entity: int
    other: int
    distance: float
    place: shapely.Geometry


@dataclass
class Lines:
    """Lines as coordinates (n, 2); ``line`` is the line of each, ``entity`` the entity of each
    line."""

    points: Floats
    line: Ints
    entity: Ints

    @property
    def shapes(self) -> Shapes:
        """As shapes."""
        if not len(self.points):
            return np.zeros(0, dtype=object)
        return np.asarray(shapely.linestrings(self.points, indices=self.line), dtype=object)

    @property
    def ends(self) -> Ints:
        """The places of first and last points among all points, two a line."""
        first = np.flatnonzero(np.diff(self.line, prepend=-1))
        last = np.flatnonzero(np.diff(self.line, append=-1))
        return np.column_stack([first, last])


def drawn(found: Entities, places: Ints, reach: Reach) -> Lines:
    """The lines of some entities, areas by their rings; doubled ones and dots are set aside.

    Coordinates are rounded to the grid, and points nearer than it are one point.
    """
    parts, owner = shapely.get_parts(found.shapes[places], return_index=True)
    areal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts[areal] = shapely.boundary(parts[areal])
    parts, index = shapely.get_parts(parts, return_index=True)
    owner = places[owner[index]]
    points, line = shapely.get_coordinates(parts, return_index=True)
    points = joined(np.round(points / reach.grid) * reach.grid, reach.grid * 1.5)
    again = np.zeros(len(line), dtype=bool)
    again[1:] = (line[1:] == line[:-1]) & (points[1:] == points[:-1]).all(axis=1)
    points, line = points[~again], line[~again]
    return _without_doubles(found, _long_enough(found, points, line, owner))


def _long_enough(found: Entities, points: Floats, line: Ints, owner: Ints) -> Lines:
    """Only lines of two points and more."""
    count = np.bincount(line, minlength=len(owner))
    kept = count > 1
    found.settle(np.setdiff1d(owner[~kept], owner[kept]), "without length")
    number = np.cumsum(kept) - 1
    chosen = kept[line]
    return Lines(points[chosen], number[line[chosen]], owner[kept])


def _without_doubles(found: Entities, lines: Lines) -> Lines:
    wkb = pa.array(shapely.to_wkb(shapely.normalize(lines.shapes)), pa.binary())
    _, first = np.unique(np.asarray(wkb.dictionary_encode().indices), return_index=True)
    kept = np.zeros(len(wkb), dtype=bool)
    kept[first] = True
    found.settle(np.setdiff1d(lines.entity[~kept], lines.entity[kept]), "drawn twice")
    chosen = kept[lines.line]
    return Lines(
        lines.points[chosen], (np.cumsum(kept) - 1)[lines.line[chosen]], lines.entity[kept]
    )


def joined(points: Floats, reach: float) -> Floats:
    """Points that are nearer to each other than ``reach`` as one: the lowest of them in order."""
    if not len(points):
        return points
    distinct, inverse = np.unique(points, axis=0, return_inverse=True)
    dots: Shapes = np.asarray(shapely.points(distinct), dtype=object)
    one, two = shapely.STRtree(dots).query(dots, predicate="dwithin", distance=reach)
    label = np.arange(len(distinct))
    while True:
        lower = label.copy()
        np.minimum.at(lower, one, label[two])
        if np.array_equal(lower, label):
            return np.asarray(distinct[label[inverse.reshape(-1)]])
        label = lower


def free_ends(lines: Lines, reach: float) -> Ints:
    """The places of ends that meet no other line (nor the other end of their own)."""
    ends = lines.ends
    closed = (lines.points[ends[:, 0]] == lines.points[ends[:, 1]]).all(axis=1)
    places: Ints = ends[~closed].reshape(-1)
    if not len(places):
        return places
    shapes = lines.shapes
    end, line = shapely.STRtree(shapes).query(
        shapely.points(lines.points[places]), predicate="dwithin", distance=reach
    )
    met = np.zeros(len(places), dtype=bool)
    met[end[line != lines.line[places[end]]]] = True
    return np.asarray(places[~met], dtype=np.int64)


def close(lines: Lines, reach: Reach) -> list[Meeting]:
    """Joins free ends to what they nearly meet, in place; returns what was joined."""
    made: list[Meeting] = []
    free = free_ends(lines, reach.grid * _ON)
    one, two, gap = _nearest_ends(lines, free, reach.snap)
    for a, b, distance in zip(one.tolist(), two.tolist(), gap.tolist(), strict=True):
        made.append(_meeting(lines, a, int(lines.entity[lines.line[b]]), b, distance))
        lines.points[a] = lines.points[b]
    free = free_ends(lines, reach.grid * _ON)
    for end, line, foot, distance in _nearest_lines(lines, free, reach.snap):
        other = int(lines.entity[line])
        made.append(_at(lines, end, other, distance, lines.points[end], foot))
        lines.points[end] = foot
    # What was nearer than the grid is rounding, not a gap.
    return [one for one in made if one.distance > reach.grid]


def gaps(lines: Lines, reach: Reach) -> list[Meeting]:
    """Free ends that come near something, but not near enough to be joined."""
    free = free_ends(lines, reach.grid * _ON)
    made: list[Meeting] = []
    one, two, gap = _nearest_ends(lines, free, reach.told)
    for a, b, distance in zip(one.tolist(), two.tolist(), gap.tolist(), strict=True):
        made.append(_meeting(lines, a, int(lines.entity[lines.line[b]]), b, distance))
    rest = np.setdiff1d(free, np.append(one, two))
    for end, line, foot, distance in _nearest_lines(lines, rest, reach.told):
        made.append(_at(lines, end, int(lines.entity[line]), distance, lines.points[end], foot))
    return made


def match(
    lines: Lines, sheet: Ints, seam: shapely.Geometry | None, reach: Reach
) -> tuple[list[Meeting], list[Meeting], list[Meeting]]:
    """Joins ends on neighbouring sheets half way, in place.

    ``sheet`` is the number of each line's sheet; ``seam`` where sheets end (None: anywhere).
    Returns what was joined, what is too far apart, and ends at the seam that nothing continues.
    """
    free = free_ends(lines, reach.grid * _ON)
    if seam is not None and len(free):
        dots = shapely.points(lines.points[free])
        free = free[shapely.dwithin(dots, seam, reach.sheet + reach.grid)]
    within = reach.sheet + reach.grid
    one, two, gap = _nearest_ends(lines, free, within * _MISMATCH)
    across = sheet[lines.line[one]] != sheet[lines.line[two]]
    one, two, gap = one[across], two[across], gap[across]
    near: list[Meeting] = []
    far: list[Meeting] = []
    alone: list[Meeting] = []
    for a, b, distance in zip(one.tolist(), two.tolist(), gap.tolist(), strict=True):
        told = _meeting(lines, a, int(lines.entity[lines.line[b]]), b, distance)
        if distance > within:
            far.append(told)
            continue
        near.append(told)
        lines.points[[a, b]] = (lines.points[a] + lines.points[b]) / 2
    if seam is not None:
        left = np.setdiff1d(free, np.append(one, two)).tolist()
        alone = [_at(lines, end, -1, 0.0, lines.points[end], None) for end in left]
    return near, far, alone


def _nearest_ends(lines: Lines, free: Ints, reach: float) -> tuple[Ints, Ints, Floats]:
    """Pairs of free ends, each the other's nearest, within ``reach``; each end in one pair."""
    dots = np.asarray(shapely.points(lines.points[free]), dtype=object)
    if not len(dots):
        return free, free, np.zeros(0)
    one, two = shapely.STRtree(dots).query(dots, predicate="dwithin", distance=reach)
    pair = one < two
    one, two = one[pair], two[pair]
    gap = np.asarray(shapely.distance(dots[one], dots[two]))
    taken: set[int] = set()
    chosen = []
    for place in np.argsort(gap, kind="stable").tolist():
        a, b = int(one[place]), int(two[place])
        if not taken & {a, b}:
            taken |= {a, b}
            chosen.append(place)
    return free[one[chosen]], free[two[chosen]], gap[chosen]


def _nearest_lines(lines: Lines, free: Ints, reach: float) -> list[tuple[int, int, Floats, float]]:
    """For each free end the nearest other line within ``reach``, and the place on it."""
    if not len(free):
        return []
    shapes = lines.shapes
    dots = np.asarray(shapely.points(lines.points[free]), dtype=object)
    end, line = shapely.STRtree(shapes).query(dots, predicate="dwithin", distance=reach)
    own = lines.line[free[end]]
    # An end beyond a line that its own crosses does not want to reach it.
    last = shapely.intersection(shapes[own], shapely.buffer(dots[end], reach * 2))
    other = (line != own) & ~shapely.intersects(last, shapes[line])
    end, line = end[other], line[other]
    gap = np.asarray(shapely.distance(dots[end], shapes[line]))
    order = np.argsort(gap, kind="stable")
    end, line, gap = end[order], line[order], gap[order]
    _, first = np.unique(end, return_index=True)
    feet = shapely.get_coordinates(
        shapely.line_interpolate_point(
            shapes[line[first]], shapely.line_locate_point(shapes[line[first]], dots[end[first]])
        )
    )
    return [
        (int(free[end[at]]), int(line[at]), foot, float(gap[at]))
        for at, foot in zip(first, feet, strict=True)
    ]


def _meeting(lines: Lines, end: int, other: int, far: int, distance: float) -> Meeting:
    return _at(lines, end, other, distance, lines.points[end], lines.points[far])


def _at(
    lines: Lines, end: int, other: int, distance: float, here: Floats, there: Floats | None
) -> Meeting:
    entity = int(lines.entity[lines.line[end]])
    if there is None or np.array_equal(here, there):
        return Meeting(entity, other, distance, shapely.Point(here))
    return Meeting(entity, other, distance, shapely.LineString([here, there]))
