"""The questions asked of the database: a page of features, a count, one feature."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.types.numeric import Int8

from pipeline.derive.columns import GEOMETRY, ID, RUN, SINCE, UNTIL
from pipeline.serve import paging
from pipeline.serve.clause import Clause, conjunction, ready, template
from pipeline.serve.crs import CRS84, Crs
from pipeline.serve.paging import Key
from pipeline.serve.served import Served

#: When a version held, in a table of versions.
PERIOD = (SINCE, UNTIL)


class Statement(NamedTuple):
    """SQL and the values it binds; ``anew``: planned for these values, not once for all."""

    sql: bytes
    values: dict[str, Any]
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a feature is sent; ``names`` None means every property. ``placed``: as JSON-FG has
    it, the geometry of a CRS that is not GeoJSON's beside it, and the time."""

    crs: Crs
    names: tuple[str, ...] | None = None
    skip_geometry: bool = False
    placed: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A request for features, understood and checked; of ``past``: for the versions they had.
    Unless ``counted``, all that match are counted only where that takes no time."""

    served: Served
    shape: Shape
    where: tuple[Clause, ...]
    keys: tuple[Key, ...]
    limit: int
    offset: int = 0
    cursor: str | None = None
    hits: bool = False
    past: bool = False
    counted: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The properties of each feature; of a version, in a table, when it held as well."""
        names = self.shape.names if self.shape.names is not None else tuple(self.served.fields)
        return (*names, *PERIOD) if self.past else names

    @property
    def condition(self) -> bytes:
        """Stands for what is asked of the features, apart from page and shape."""
        where = conjunction(self.where)
        said = f"{where.text} {sorted(where.values.items())!r}"
        return blake2b(said.encode(), digest_size=16).digest()

    def page(self, *, counted: bool = False) -> Statement:
        """Asks for the page, and for the count of all pages unless that is ``counted`` already."""
        where = conjunction(self.where)
        after = paging.after(self.served, self.keys, self.cursor)
        first = self.cursor is None and self.offset == 0
        dear, free = (
            ("count_if_needed", "count_if_free") if first else ("count_always", "count_known")
        )
        count = "count_known" if counted else dear if self.counted else free
        made = _page(self.read, self.shape, self.keys, (where.text, after.text), count)
        extent = {"limit": Int8(self.limit), "offset": Int8(self.offset)}
        return Statement(made, {**where.values, **after.values, **extent}, where.varied)

    def rows(self, *, in_space: bool = False) -> Statement:
        """Asks for all features at once, as columns; ``limit`` 0 is no limit. ``in_space``: those
        that lie near each other come near each other, whatever the order was."""
        where = conjunction(self.where)
        columns: list[sql.Composable] = [
            sql.SQL("v.") + sql.Identifier(name) for name in (ID, *self.columns)
        ]
        if self.served.has_geometry and not self.shape.skip_geometry:
            shape = template("wkb").format(shape=_moved(self.served, self.shape))
            columns.append(shape + sql.SQL(" AS geometry"))
        made = template("rows_in_space" if in_space else "rows").format(
            columns=sql.SQL(", ").join(columns),
            geom=sql.Identifier(GEOMETRY),
            view=self.read.view,
            where=ready(where.text),
            order=paging.order(self.keys),
        )
        extent = {"limit": self.limit or None, "offset": self.offset}
        return Statement(made.as_bytes(None), {**where.values, **extent})

    def count(self) -> Statement:
        """Asks how many match."""
        where = conjunction(self.where)
        made = template("count").format(view=self.read.view, where=ready(where.text))
        return Statement(made.as_bytes(None), dict(where.values), where.varied)

    @property
    def read(self) -> _Read:
        """Of what collection which view is read."""
        return _Read(self.served, self.past)


class _Read(NamedTuple):
    """A collection, or the versions of its features."""

    served: Served
    past: bool = False

    @property
    def view(self) -> sql.Identifier:
        return self.served.versions if self.past else self.served.view


def item(served: Served, shape: Shape, number: int) -> Statement:
    """Asks for the feature with this id, and for the run that has written it."""
    return Statement(_item(served, shape), {"id": Int8(number)})


def version(served: Served, shape: Shape, number: int, moment: datetime) -> Statement:
    """Asks for the version that the feature with this id had at a moment."""
    return Statement(_version(served, shape), {"id": Int8(number), "moment": moment})


def held(served: Served, number: int, most: int) -> Statement:
    """Asks when there were versions of the feature with this id, as one text."""
    made = template("held").format(view=served.versions, id=sql.Identifier(ID))
    return Statement(made.as_bytes(None), {"id": Int8(number), "most": most})


@lru_cache(maxsize=1024)
def _feature(read: _Read, shape: Shape) -> sql.Composed:
    served = read.served
    names = shape.names if shape.names is not None else tuple(served.fields)
    parts = {"geometry": geometry(served, shape), "properties": properties(served, names)}
    kind = "version" if read.past else "feature"
    if shape.placed:
        none, shown = sql.SQL("'null'"), parts["geometry"]
        apart = shape.crs.uri != CRS84
        parts |= {"geometry": none, "place": shown} if apart else {"place": none}
        parts["time"] = template("interval").format() if read.past else _time(served)
        kind = "placed"
    return template(kind).format(id=sql.Identifier(ID), **parts)


def _time(served: Served) -> sql.Composable:
    """SQL for the time of the row ``v`` as JSON-FG tells it."""
    if served.time is None:
        return sql.SQL("'null'")
    name = "date" if served.kinds[served.time] == "date" else "timestamp"
    return template(name).format(time=sql.Identifier(served.time))


def _moved(served: Served, shape: Shape) -> sql.Composable:
    """The stored geometry in the CRS that was asked for, east before north."""
    stored: sql.Composable = sql.SQL("v.") + sql.Identifier(GEOMETRY)
    if shape.crs.srid == served.city.srid:
        return stored
    return sql.SQL("ST_Transform({}, {})").format(stored, sql.Literal(shape.crs.srid))


def properties(served: Served, names: tuple[str, ...]) -> sql.Composable:
    """SQL for the properties ``names`` of the row ``v``, as JSON text."""
    if not names:
        return sql.SQL("'{{}}'").format()
    columns = sql.SQL(", ").join([_told(served, name) for name in names])
    return template("properties").format(columns=columns)


def _told(served: Served, name: str) -> sql.Composable:
    """The column ``name``, or the array of the values that its text holds."""
    column = sql.SQL("v.") + sql.Identifier(name)
    if name not in served.fields or not served.fields[name].several:
        return column
    values = template("values").format(text=column)
    return template("several").format(values=values, name=sql.Identifier(name))


def geometry(served: Served, shape: Shape) -> sql.Composable:
    """SQL for the geometry of the row ``v``, as GeoJSON text."""
    if shape.skip_geometry or not served.has_geometry:
        return sql.SQL("'null'")
    moved = _moved(served, shape)
    if shape.crs.flipped:
        moved = sql.SQL("ST_FlipCoordinates({})").format(moved)
    digits = sql.Literal(served.digits(shape.crs))
    return template("geometry").format(shape=moved, digits=digits)


@lru_cache(maxsize=1024)
def _page(
    read: _Read,
    shape: Shape,
    keys: tuple[Key, ...],
    conditions: tuple[str, str],
    count: str,
) -> bytes:
    where, after = (ready(text) for text in conditions)
    made = template("page").format(
        matched=template(count).format(view=read.view, where=where),
        feature=_feature(read, shape),
        keys=paging.key_texts(keys),
        view=read.view,
        where=where,
        after=after,
        order=paging.order(keys),
    )
    return made.as_bytes(None)


@lru_cache(maxsize=1024)
def _item(served: Served, shape: Shape) -> bytes:
    run = sql.SQL("NULL::bigint") if served.layer.source == "view" else sql.Identifier("v", RUN)
    made = template("item").format(
        feature=_feature(_Read(served), shape), view=served.view, id=sql.Identifier(ID), run=run
    )
    return made.as_bytes(None)


@lru_cache(maxsize=1024)
def _version(served: Served, shape: Shape) -> bytes:
    feature = _feature(_Read(served, past=True), shape)
    made = template("version_at").format(
        feature=feature, view=served.versions, id=sql.Identifier(ID)
    )
    return made.as_bytes(None)
