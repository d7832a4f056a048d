"""The ``bbox`` parameter: a box in any offered CRS as a condition on stored geometries."""

from __future__ import annotations

import math
from functools import lru_cache

from psycopg import sql

from pipeline.derive.columns import GEOMETRY
from pipeline.serve import crs
from pipeline.serve.clause import NEVER, Binder, Clause, template
from pipeline.serve.crs import Bounds, Crs
from pipeline.serve.errors import bad
from pipeline.serve.served import Served


def parse(text: str, given: Crs) -> list[Bounds]:
    """xmin, ymin, xmax, ymax; two boxes when it crosses the antimeridian. Heights are left out."""
    x1, y1, x2, y2 = _numbers(text)
    if given.flipped:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if y1 > y2:
        raise bad("bbox: the lower corner lies above the upper corner")
    if x1 <= x2:
        return [(x1, y1, x2, y2)]
    if given.srid != 4326:
        raise bad("bbox: the left corner lies right of the right corner")
    return [(x1, y1, 180.0, y2), (-180.0, y1, x2, y2)]


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise bad(f"bbox: {text!r} is not a list of numbers") from None
    if len(numbers) not in (4, 6):
        raise bad("bbox: give 4 numbers (xmin,ymin,xmax,ymax), or 6 with heights")
    if not all(math.isfinite(number) for number in numbers):
        raise bad("bbox: every number must be finite")
    return numbers if len(numbers) == 4 else [*numbers[:2], *numbers[3:5]]


def _grown(box: Bounds, served: Served, given: Crs) -> Bounds:
    """The box and half a unit of the last published digit round it, so that it meets what lies on
    its edge by the coordinates that clients see."""
    half = 0.5 * 10.0 ** -served.digits(given)
    return (box[0] - half, box[1] - half, box[2] + half, box[3] + half)


def _cut(box: Bounds, to: Bounds) -> Bounds | None:
    xmin, ymin = max(box[0], to[0]), max(box[1], to[1])
    xmax, ymax = min(box[2], to[2]), min(box[3], to[3])
    return (xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


@lru_cache(maxsize=2048)
def clause(served: Served, text: str, given: Crs) -> Clause:
    """Features whose geometry meets the box.

    Three shapes do it fast: the index finds what meets the outer rectangle, what lies in the inner
    one is taken as it is, and only along the edge the geometries themselves are compared.
    """
    if not served.has_geometry:
        return NEVER
    city = served.city
    meant = (_grown(box, served, given) for box in parse(text, given))
    cut = [_cut(box, crs.domain(city, given.srid)) for box in meant]
    boxes = [box for box in cut if box]
    if not boxes:
        return NEVER
    binder = Binder("b")
    # No city lies on both sides of the antimeridian: one box is left.
    bent = crs.bent(boxes[0], given, city.srid)
    inner = bent.inner if given.srid != city.srid else boxes[0]
    shapes = (
        crs.rectangle(bent.bounds, city.srid),
        crs.within(inner, city.srid),
        bent.ewkb(city.srid),
    )
    outer, within, exact = (binder.add(shape, "geometry") for shape in shapes)
    condition = template("meets_box").format(
        geom=sql.Identifier(GEOMETRY), outer=outer, inner=within, exact=exact
    )
    return binder.clause(condition)
