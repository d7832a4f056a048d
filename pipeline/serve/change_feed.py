"""Reading on in the feed of changes: from a place in it, publication by publication.

A box or a period leaves changes out and moves no place: a deletion has no place on the ground and
meets every box, for who keeps a copy of an area must learn of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from psycopg import sql
from psycopg.types.numeric import Int8

from pipeline.db import queries
from pipeline.derive import views
from pipeline.serve import query
from pipeline.serve.clause import ALWAYS, Clause, ready
from pipeline.serve.errors import bad
from pipeline.serve.query import Shape, Statement
from pipeline.serve.served import Served
from pipeline.serve.site import Site
from pipeline.serve.values import moment

#: How much of a change's number is that of its object; the SQL shifts by as many.
OBJECT_BITS = 32
_PUBLICATIONS = 100
_RUN = 19


class Place(NamedTuple):
    """Up to which publication, and which object of it, changes are known."""

    seq: int
    object: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(list(self))).decode().rstrip("=")

    @classmethod
    def read(cls, token: str) -> Place:
        """The place that a cursor of ours stands for; 400 for any other text."""
        try:
            plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            found = orjson.loads(plain)
            whole = isinstance(found, list) and all(type(n) is int for n in found)
            if whole and len(found) == 2 and all(0 <= n < 2**63 for n in found):
                return cls(*found)
        except (binascii.Error, ValueError):
            pass
        raise bad("cursor: it is not one that this server gave")


class Publication(NamedTuple):
    """One load or undo of a layer."""

    seq: int
    run: int
    layer: str
    is_undo: bool
    recorded: str


@dataclass
class Wanted:
    """What is asked for, and what was found of it."""

    site: Site
    served: Served
    shape: Shape
    limit: int
    only: Served | None
    gone: Callable[[], Awaitable[bool]]
    box: Callable[[Served], Clause] | None = None
    period: tuple[datetime | None, datetime | None] = (None, None)
    features: list[bytes] = field(default_factory=list)
    returned: int = 0
    more: bool = False

    async def row(self, name: str, **values: object) -> tuple[Any, ...] | None:
        """The first row of a query about publications."""
        view = sql.Identifier(self.site.audience.schema_name, views.PUBLICATION)
        made = _template(name).format(view=view).as_bytes(None)
        return await self.site.features.row(Statement(made, values), self.gone)


@lru_cache(maxsize=64)
def _template(name: str) -> sql.SQL:
    lines = queries.load("history")[name].splitlines()
    return sql.SQL("\n".join(line for line in lines if not line.startswith("--")))


async def begin(found: Wanted, given: dict[str, str]) -> Place:
    """The place after which changes are wanted."""
    if "cursor" in given:
        if "since" in given:
            raise bad("since: the cursor says it already")
        return Place.read(given["cursor"])
    since = given.get("since")
    if since is None:
        return Place(0, 0)
    if since.isascii() and since.isdigit() and len(since) < _RUN:
        row = await found.row("seq_of_run", run=Int8(int(since)))
        if row is None:
            raise bad(f"since: load {since} has changed nothing that is shown here")
    else:
        row = await found.row("seq_at", moment=_moment(since))
    return Place(int(row[0]) + 1 if row else 0, 0)


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise bad(f"since: {text!r} is neither the number of a load nor {error}") from None


async def read(found: Wanted, place: Place) -> Place:
    """Reads on from ``place`` until the page is full; the place that was reached."""
    layer = found.only.layer.id if found.only else None
    earliest, latest = found.period
    row = await found.row(
        "publications", seq=Int8(place.seq), layer=layer, most=Int8(_PUBLICATIONS),
        earliest=earliest, latest=latest,
    )  # fmt: skip
    listed = [Publication(*one) for one in orjson.loads(row[0] if row else b"[]")]
    for one in listed:
        place = await _take(found, one, place.object if one.seq == place.seq else 0)
        if found.more or found.returned >= found.limit:
            break
    # Whether more follows shows when it is asked for: an empty last page costs nobody anything.
    found.more |= len(listed) == _PUBLICATIONS or bool(listed and place.seq <= listed[-1].seq)
    return place


async def _take(found: Wanted, one: Publication, after: int) -> Place:
    """Takes what is left of one publication, as far as it fits."""
    collection = found.site.schemas.layer(one.layer).publish.collection
    served = found.site.served[collection]
    meets = found.box(served) if found.box and served.has_geometry else ALWAYS
    made = _statement(served, found.shape, meets.text, one.is_undo)
    values = {
        **meets.values,
        "seq": Int8(one.seq), "run": Int8(one.run), "after": Int8(after), "collection": collection,
        "recorded": one.recorded, "limit": Int8(found.limit - found.returned),
    }  # fmt: skip
    row = await found.site.features.row(Statement(made, values), found.gone)
    features, returned, more, last = row or (None, 0, False, None)
    if features:
        found.features.append(bytes(features))
    found.returned += int(returned)
    found.more = bool(more)
    return Place(one.seq, int(last)) if more else Place(one.seq + 1, 0)


@lru_cache(maxsize=256)
def _statement(served: Served, shape: Shape, meets: str, is_undo: bool) -> bytes:
    schema = served.audience.schema_name
    made = _template("changes").format(
        versions=sql.Identifier(schema, views.versions_view(served.layer)),
        begun=_template("begun_by_undo" if is_undo else "begun_by_load"),
        meets=ready(meets),
        geometry=query.geometry(served, shape),
        properties=query.properties(served, tuple(served.fields)),
    )
    return made.as_bytes(None)
