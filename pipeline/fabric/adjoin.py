"""Neighbourhood: rows that must lie in, near, on or beside the row that they name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.fabric.contain import place
from pipeline.fabric.faults import Faults, areal
from pipeline.fabric.fill import beside
from pipeline.fabric.part import Floats, Ints, Mask, Part, Shapes, lookup

# Less than this sticking out is no encroachment, however far.
_LEAST_M2 = 0.01


def _named(rule: FabricRule, part: Part, others: Part) -> tuple[Ints, Mask]:
    """The place of the row that each row names, -1 where it is not here; and who names one."""
    values = part.joined(tuple(rule.link))
    found = lookup(values, others.joined(tuple(rule.link.values())))
    return found, np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def within(rule: FabricRule, part: Part, others: Part, metres: float) -> Faults:
    """Own rows that stick out of the row they name (or the one they are on) by more than allowed.

    What sticks out is measured beyond the tolerance; the rows it lies on are named.
    """
    asked = part.own & part.having(rule.where)
    named, says = _named(rule, part, others)
    silent = asked & ~says
    if silent.any():
        lost = part.only(silent)
        named[silent] = place(lost, others).container
    inside = np.zeros(len(part), dtype=bool)
    there = np.flatnonzero(named >= 0)
    inside[there] = shapely.covers(others.shapes[named[there]], part.shapes[there])
    places = np.flatnonzero(asked & ~inside)
    outside = _beyond(part.shapes[places], named[places], others, rule.tolerance / metres)
    areas = np.asarray(shapely.area(outside))
    bad = areas * metres**2 > _LEAST_M2
    places, outside, areas = places[bad], outside[bad], areas[bad]
    found = Faults()
    details = _encroached(outside, areas, others, metres)
    values = others.texts(np.maximum(named[places], 0)) if len(others) else [""] * len(places)
    told = [key if at >= 0 else None for key, at in zip(values, named[places], strict=True)]
    found.add("fabric.encroachment", part.texts(places), outside, values=told, details=details)
    return found


def _beyond(shapes: Shapes, named: Ints, others: Part, reach: float) -> Shapes:
    made = shapes.copy()
    there = named >= 0
    allowed = shapely.buffer(others.shapes[named[there]], reach, join_style="mitre")
    made[there] = shapely.difference(shapes[there], allowed)
    return areal(made)


def _encroached(outside: Shapes, areas: Floats, others: Part, metres: float) -> list[str]:
    """How much sticks out, and onto which rows how much of it."""
    one, row = others.tree.query(outside, predicate="intersects")
    shared = shapely.area(shapely.intersection(outside[one], others.shapes[row])) * metres**2
    much = shared > _LEAST_M2
    keys = others.texts(row[much])
    told = [f"{key} {area:.2f}" for key, area in zip(keys, shared[much], strict=True)]
    onto = beside(len(outside), one[much], told)
    return [
        f"{area * metres**2:.2f} m2" + (f": {names}" if names else "")
        for area, names in zip(areas, onto, strict=True)
    ]


def near(rule: FabricRule, part: Part, others: Part, metres: float) -> Faults:
    """Own rows farther from the row they name (or from any) than the tolerance."""
    asked = part.own & part.having(rule.where)
    named, says = _named(rule, part, others)
    reach = rule.tolerance / metres
    away = np.full(len(part), np.inf)
    there = np.flatnonzero(named >= 0)
    away[there] = shapely.distance(part.shapes[there], others.shapes[named[there]])
    silent = np.flatnonzero(asked & ~says)
    close, _ = others.tree.query(part.shapes[silent], predicate="dwithin", distance=reach)
    away[silent[close]] = 0.0
    places = np.flatnonzero(asked & (away > reach))
    wanted = part.joined(tuple(rule.link))
    found = Faults()
    details = [
        f"{one * metres:.2f} m" if np.isfinite(one) else f"> {rule.tolerance:g} m"
        for one in away[places]
    ]
    found.add(
        "fabric.far",
        part.texts(places),
        part.shapes[places],
        values=wanted.take(places).to_pylist(),
        details=details,
    )
    return found


def fronts(rule: FabricRule, part: Part, others: Part, metres: float) -> Faults:
    """Own rows that share less of the boundary of the row they are in than the tolerance."""
    asked = part.own & part.having(rule.where)
    if rule.unless:
        asked &= ~(np.nan_to_num(part.numbers(rule.unless)) > 0)
    named, _ = _named(rule, part, others)
    asked &= named >= 0
    least = rule.tolerance / metres
    front = _common(part.shapes, others.shapes)
    places = np.flatnonzero(asked & (front < least))
    shared = shapely.intersection(
        shapely.boundary(part.shapes[places]), shapely.boundary(others.shapes[named[places]])
    )
    lengths = np.asarray(shapely.length(shared))
    bad = lengths < least
    places, lengths = places[bad], lengths[bad]
    found = Faults()
    found.add(
        "fabric.landlocked",
        part.texts(places),
        part.shapes[places],
        values=others.texts(named[places]),
        details=[f"{one * metres:.2f} m" for one in lengths],
    )
    return found


def _common(shapes: Shapes, others: Shapes) -> Floats:
    """For each shape the length of its edges that are, vertex for vertex, edges of ``others``."""
    edges, owner = _edges(shapes)
    among, _ = _edges(others)
    shared = np.asarray(pc.is_in(_bytes(edges), _bytes(among)))
    lengths = np.hypot(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1])
    return np.bincount(owner, weights=lengths * shared, minlength=len(shapes))


def _edges(shapes: Shapes) -> tuple[Floats, Ints]:
    """All edges (x0, y0, x1, y1) of polygons, in one direction, and whose they are."""
    parts, part_of = shapely.get_parts(shapes, return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    points, point_of = shapely.get_coordinates(rings, return_index=True)
    within_ring = point_of[1:] == point_of[:-1]
    edges = np.hstack([points[:-1], points[1:]])[within_ring]
    turned = (edges[:, 0] > edges[:, 2]) | (
        (edges[:, 0] == edges[:, 2]) & (edges[:, 1] > edges[:, 3])
    )
    edges[turned] = edges[turned][:, [2, 3, 0, 1]]
    return edges, part_of[ring_of[point_of[1:][within_ring]]]


def _bytes(edges: Floats) -> pa.Array:
    """Each edge as its 32 bytes, by which Arrow compares them exactly."""
    buffer = pa.py_buffer(np.ascontiguousarray(edges))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(edges), [None, buffer])


def parallel(rule: FabricRule, part: Part, others: Part, metres: float) -> Faults:
    """Own lines that do not keep the distance from their axis that the axis states for that side.

    Looked at are vertices and middles of edges, where they lie beside the axis, not beyond its end.
    """
    asked = np.flatnonzero(part.own & part.having(rule.where))
    axes = others.only(others.having(rule.other_where))
    axis = lookup(part.joined(rule.per).take(asked), axes.joined(rule.per))
    asked, axis = asked[axis >= 0], axis[axis >= 0]
    wanted = _offset(rule, part, axes, asked, axis)
    # An axis in several pieces has no beside and beyond.
    whole = shapely.line_merge(axes.shapes[axis])
    known = np.isfinite(wanted) & (shapely.get_type_id(whole) == shapely.GeometryType.LINESTRING)
    whole = whole[known]
    asked, axis, wanted = asked[known], axis[known], wanted[known]
    off = _deviation(part.shapes[asked], whole, wanted / metres) * metres
    bad = np.flatnonzero(np.abs(off) > rule.tolerance)
    found = Faults()
    found.add(
        "fabric.not_parallel",
        part.texts(asked[bad]),
        part.shapes[asked[bad]],
        values=axes.texts(axis[bad]),
        details=[f"{wanted[at] + off[at]:.2f} m != {wanted[at]:.2f} m" for at in bad],
    )
    return found


def _offset(rule: FabricRule, part: Part, axes: Part, asked: Ints, axis: Ints) -> Floats:
    """How far each line should be from its axis, in metres; NaN where nobody says."""
    wanted = np.full(len(asked), np.nan)
    if rule.side is None:
        return wanted
    side = part.columns[rule.side].take(asked)
    for name, column in rule.offsets.items():
        here = np.asarray(pc.fill_null(pc.equal(side, name), fill_value=False), dtype=bool)
        wanted[here] = axes.numbers(column)[axis[here]]
    return wanted


def _deviation(lines: Shapes, axes: Shapes, wanted: Floats) -> Floats:
    """The largest deviation from ``wanted`` of each line's vertices and middles, with its sign.

    Only beside straight pieces of the axis: round its bends a mitred edge is farther away.
    """
    points, owner = shapely.get_coordinates(lines, return_index=True)
    joined = owner[1:] == owner[:-1]
    middles = ((points[1:] + points[:-1]) / 2)[joined]
    points, owner = np.vstack([points, middles]), np.append(owner, owner[1:][joined])
    probes = shapely.points(points)
    foot = shapely.line_interpolate_point(
        axes[owner], shapely.line_locate_point(axes[owner], probes)
    )
    vertices, whose = shapely.get_coordinates(axes, return_index=True)
    bends: Shapes = np.asarray(shapely.multipoints(vertices, indices=whose), dtype=object)
    straight = shapely.distance(foot, bends[owner]) > 1e-6
    off = np.where(straight, shapely.distance(probes, axes[owner]) - wanted[owner], 0.0)
    made = np.zeros(len(lines))
    order = np.argsort(np.abs(off), kind="stable")
    made[owner[order]] = off[order]
    return made
