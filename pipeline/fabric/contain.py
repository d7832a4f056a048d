"""Containers: in which row of another layer each row lies, whether wholly, and with what code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.fabric.faults import Faults, areal, square_metres
from pipeline.fabric.part import Floats, Ints, Mask, Part, Shapes, unions


@dataclass(frozen=True)
class Placement:
    """For each row of ``part`` its container among ``others`` (-1: none), the one that holds most
    of it; how many hold it wholly; and the area outside of it (square CRS units)."""

    container: Ints
    holders: Ints
    outside: Floats


def place(part: Part, others: Part) -> Placement:
    """Places every row of ``part``; by area only those that no container covers wholly."""
    count = len(part)
    container = np.full(count, -1, dtype=np.int64)
    outside = part.areas.copy()
    holder, row = part.covered(others)
    holders = np.bincount(row, minlength=count).astype(np.int64)
    container[row] = holder
    outside[row] = 0.0
    left = np.flatnonzero(holders == 0)
    one, other = others.tree.query(part.shapes[left], predicate="intersects")
    one = left[one]
    shared = shapely.area(shapely.intersection(part.shapes[one], others.shapes[other]))
    # Ascending, so that of several containers the one that shares most is written last.
    order = np.argsort(shared, kind="stable")
    one, other, shared = one[order], other[order], shared[order]
    met = shared > 0
    container[one[met]] = other[met]
    outside[one[met]] = part.areas[one[met]] - shared[met]
    return Placement(container, holders, outside)


def covered_by(rule: FabricRule, part: Part, others: Part, metres: float) -> Faults:
    """Own rows that stick out of their container (or of all together) by more than allowed."""
    others = others.only(others.having(rule.other_where))
    placed = place(part, others)
    asked = part.own & part.having(rule.where)
    bad = asked & (_excess(rule, part, placed.outside, metres) > rule.tolerance)
    places = np.flatnonzero(bad)
    if rule.union:
        shapes = _outside_all(part.shapes[places], others)
        areas = shapely.area(shapes)
        still = _excess(rule, part.only(bad), areas, metres) > rule.tolerance
        places, shapes = places[still], shapes[still]
    else:
        shapes = _outside_one(part.shapes[places], placed.container[places], others)
    found = Faults()
    details = square_metres(np.asarray(shapely.area(shapes)), metres)
    names = _names(others, placed.container[places])
    found.add("fabric.outside", part.texts(places), shapes, values=names, details=details)
    if not rule.union:
        found.extend(_in_several(part, placed, asked))
    return found


def _excess(rule: FabricRule, part: Part, outside: Floats, metres: float) -> Floats:
    if rule.measure == "share":
        return np.asarray(outside / np.maximum(part.areas, 1e-12))
    return outside * metres**2


def _outside_one(shapes: Shapes, container: Ints, others: Part) -> Shapes:
    there = container >= 0
    made = shapes.copy()
    made[there] = shapely.difference(shapes[there], others.shapes[container[there]])
    return areal(made)


def _outside_all(shapes: Shapes, others: Part) -> Shapes:
    made = shapes.copy()
    one, other = others.tree.query(shapes, predicate="intersects")
    met, ground = unions(one, others.shapes[other])
    made[met] = shapely.difference(made[met], ground)
    return areal(made)


def _in_several(part: Part, placed: Placement, asked: Mask) -> Faults:
    found = Faults()
    places = np.flatnonzero(asked & (placed.holders > 1))
    details = [f"{number}" for number in placed.holders[places]]
    shapes = part.shapes[places]
    found.add("fabric.in_several", part.texts(places), shapes, details=details)
    return found


def _names(others: Part, container: Ints) -> list[str | None]:
    keys = others.keys.take(pa.array(np.where(container < 0, 0, container))) if len(others) else []
    return [str(key) if at >= 0 else None for key, at in zip(keys, container, strict=False)] or [
        None
    ] * len(container)


def code_of_container(rule: FabricRule, part: Part, others: Part, separator: str) -> Faults:
    """Own rows whose code is not the one (or does not begin with the one) of their container."""
    others = others.only(others.having(rule.other_where))
    placed = place(part, others)
    found = Faults()
    if not len(others) or rule.field is None or rule.other_field is None:
        return found
    code = part.columns[rule.field]
    held = placed.container >= 0
    expected = others.columns[rule.other_field].take(pa.array(np.maximum(placed.container, 0)))
    prefix = rule.kind == "prefix_of_container"
    good = _begins(code, expected, separator) if prefix else pc.equal(code, expected)
    asked = part.own & held & part.having(rule.where)
    places = np.flatnonzero(asked & ~_true(pc.fill_null(good, fill_value=True)))
    backwards = np.zeros(len(part), dtype=bool)
    if prefix and separator and len(places):
        turned = pa.array([_reversed(one, separator) for one in code.to_pylist()], pa.string())
        backwards = _true(pc.fill_null(_begins(turned, expected, separator), fill_value=False))
    chosen = expected.take(pa.array(places)).to_pylist()
    arrived = code.take(pa.array(places)).to_pylist()
    for name, some in (
        ("fabric.code", ~backwards[places]),
        ("fabric.code_reversed", backwards[places]),
    ):
        where = np.flatnonzero(some)
        found.add(
            name,
            part.texts(places[where]),
            part.shapes[places[where]],
            values=[chosen[at] for at in where],
            details=[str(arrived[at]) for at in where],
        )
    return found


def _begins(code: pa.Array, expected: pa.Array, separator: str) -> pa.Array:
    """Whether ``code`` begins with ``expected`` and the separator, row by row."""
    # Fixed separators make it a comparison of so many parts, which Arrow does by column.
    head = pc.binary_join_element_wise(expected, "", separator)
    lengths = np.asarray(pc.fill_null(pc.utf8_length(head), 0))
    made = [
        None if one is None or want is None else one[:length] == want
        for one, want, length in zip(code.to_pylist(), head.to_pylist(), lengths, strict=True)
    ]
    return pa.array(made, pa.bool_())


def _reversed(code: str | None, separator: str) -> str | None:
    """The parts in the other order; last ones that were filled up with 0 are none."""
    if code is None:
        return None
    parts = code.split(separator)
    while len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return separator.join([*parts[::-1], ""])


def _true(values: pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)
