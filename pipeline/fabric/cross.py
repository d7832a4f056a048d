"""Lines of one layer that must not meet: contours of different heights."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.contracts.fabric import FabricRule
from pipeline.fabric.faults import Faults
from pipeline.fabric.part import Part


def no_crossing(rule: FabricRule, part: Part) -> Faults:
    """Pairs of rows that meet though their ``field`` differs; the lower id owns the finding."""
    found = Faults()
    height = part.numbers(rule.field or "")
    asked = np.flatnonzero(part.own)
    one, two = part.tree.query(part.shapes[asked], predicate="intersects")
    pairs = np.unique(np.sort(np.column_stack([asked[one], two]), axis=1), axis=0)
    one, two = pairs[:, 0], pairs[:, 1]
    bad = part.own[one] & (height[one] != height[two])
    one, two = one[bad], two[bad]
    details = [f"{a:g} / {b:g}" for a, b in zip(height[one], height[two], strict=True)]
    places = np.asarray(shapely.intersection(part.shapes[one], part.shapes[two]))
    found.add("fabric.crossing", part.texts(one), places, values=part.texts(two), details=details)
    return found
