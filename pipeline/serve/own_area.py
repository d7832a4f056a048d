"""What people of a region see first: lists that are asked without any condition begin with the area
of the key, and everything that is searched for is searched for everywhere.

``area=all`` lists the whole city, ``area=regions/2`` what belongs to another area.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from pipeline.serve import within
from pipeline.serve.door import AREA
from pipeline.serve.errors import bad
from pipeline.serve.query import Query
from pipeline.serve.served import Served
from pipeline.serve.site import Site
from pipeline.serve.within import Area

PARAMETER, EVERYWHERE = "area", "all"
_CONDITIONS = ("bbox", "filter")


def parameters(served: Served) -> tuple[str, ...]:
    """The parameter by which another area is asked for, of servers whose keys have areas."""
    takes = served.audience.needs_key and PARAMETER not in served.fields
    return (PARAMETER,) if takes else ()


def of(request: Request, served: Served, given: dict[str, str]) -> str | None:
    """The area that the answer is cut by, as collection/key; None: by none."""
    if PARAMETER in served.fields:
        return None
    asked = given.get(PARAMETER)
    if asked is not None:
        return None if asked == EVERYWHERE else asked
    searched = any(name in given for name in (*_CONDITIONS, *served.fields))
    own: str | None = request.scope.get(AREA)
    return None if searched else own


def cut(site: Site, wished: Query, area: str | None) -> Query:
    """``wished`` of what belongs to ``area`` alone; 400 for one that cannot be."""
    if area is None:
        return wished
    name, _, key = area.partition("/")
    served = site.served.get(name)
    if served is None or not key or not Area.can_be(served):
        raise bad(f"{PARAMETER}: {area!r} is not {EVERYWHERE} or an area such as regions/1")
    clause = within.clause(wished.served, Area(served, key), site.served)
    return wished if clause is None else replace(wished, where=(*wished.where, clause))
