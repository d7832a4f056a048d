"""The table of a fact: its columns follow from its kind, so that no migration has to make it.

Facts can always be worked out again, so a table whose contract has changed is made anew, empty.
``facts.<id>`` is a view over it, so that another table can take its place in a moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from pipeline.contracts.base import Text
from pipeline.contracts.fact import FactContract, FactKind
from pipeline.contracts.registry import Schemas
from pipeline.derive.columns import GEOMETRY, ID, RUN

FACTS, KEPT = "facts", "facts_kept"
# A row's id lasts until the fact is worked out again for its subject: enough for paging and tiles.
_ID = "{} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
SUBJECT, OBJECT, GROUP, PART = "subject_id", "object_id", "in_group", "part"
#: How a row of an overlay counts: in an object, in none, or in several (then it is negative, so
#: that the areas of a subject add up to its area and the shares to 1).
IN, REST, OVERLAP = "in", "rest", "overlap"


WAY = "way_id"
#: What lies along an edge.
BESIDE = ("way", "neighbour", "other")


@dataclass(frozen=True)
class Stored:
    """One column of a fact's table: its PostgreSQL type (as in a binary COPY) and meaning.

    ``index``: how it is looked up by (``btree``, ``gist``). The type of a geometry is its kind.
    """

    name: str
    type: str
    title: Text
    unit: str | None = None
    needed: bool = False
    index: LiteralString | None = None


def _text(en: str, fa: str) -> Text:
    return Text(en=en, fa=fa)


_SUBJECT = Stored(
    SUBJECT, "int8", _text("Id of the subject", "شناسه عارضه"), needed=True, index="btree"
)
_OBJECT = Stored(
    OBJECT, "int8", _text("Id of the object, if any", "شناسه عارضه مقابل"), index="btree"
)
_GROUP = Stored(GROUP, "text", _text("Group of objects that it closes over", "گروه"))
_RUN = Stored(
    RUN,
    "int8",
    _text("Latest load of the rows it derives from", "آخرین بارگذاری مبنا"),
    needed=True,
)
COLUMNS: dict[FactKind, tuple[Stored, ...]] = {
    "overlay": (
        _SUBJECT,
        _OBJECT,
        Stored(PART, "text", _text("In an object, in none, or doubled", "نوع سهم"), needed=True),
        _GROUP,
        Stored("area_m2", "float8", _text("Area on the grid", "مساحت"), "m2", needed=True),
        Stored("share", "float8", _text("Share of the subject", "سهم از کل"), needed=True),
        _RUN,
    ),
    "neighbour": (
        _SUBJECT,
        Stored(OBJECT, "int8", _text("Id of the neighbour", "شناسه همسایه"), needed=True,
               index="btree"),
        Stored("border_m", "float8", _text("Shared border", "مرز مشترک"), "m", needed=True),
        _RUN,
    ),
    "match": (
        _SUBJECT,
        _OBJECT,
        Stored("method", "text", _text("Rung that decided", "روش تطبیق"), needed=True),
        Stored("quality", "text", _text("Class of quality", "کلاس کیفیت"), needed=True),
        Stored("score", "float8", _text("How sure, 0 to 1", "اطمینان"), needed=True),
        Stored("candidates", "int8", _text("Objects that came into question", "تعداد نامزدها"),
               needed=True),
        Stored("distance_m", "float8", _text("From the place to the object", "فاصله"), "m"),
        _RUN,
    ),
    "edge": (
        _SUBJECT,
        Stored("seq", "int8", _text("Number, clockwise from the north-west corner",
               "شماره از گوشه شمال‌غربی در جهت ساعت"), needed=True),
        Stored("polygon", "int8", _text("Polygon of the subject", "شماره بخش"), needed=True),
        Stored("ring", "int8", _text("Ring of the polygon, 0 the outer one", "شماره حلقه"),
               needed=True),
        Stored("corner", "bool", _text("Begins at a corner", "آغاز در گوشه"), needed=True),
        Stored("beside", "text", _text("What lies along it", "نوع مجاورت"), needed=True),
        Stored(OBJECT, "int8", _text("Id of the neighbour, if any", "شناسه همسایه"), index="btree"),
        Stored(WAY, "int8", _text("Id of the street, if any", "شناسه معبر"), index="btree"),
        Stored("side", "text", _text("Side of the world it looks to", "جهت")),
        Stored("outwards_deg", "float8", _text("Azimuth outwards, of grid north", "آزیموت"), "deg"),
        Stored("length_m", "float8", _text("Length on the grid", "طول روی نقشه"), "m",
               needed=True),
        Stored(GEOMETRY, "LineString", _text("Line, the subject to its right", "هندسه"),
               needed=True, index="gist"),
        _RUN,
    ),
    "remainder": (
        _SUBJECT,
        _GROUP,
        Stored("taken_m2", "float8", _text("Area taken", "مساحت گرفته‌شده"), "m2", needed=True),
        Stored("left_m2", "float8", _text("Area left", "مساحت باقی‌مانده"), "m2", needed=True),
        Stored(GEOMETRY, "MultiPolygon", _text("What is left", "باقی‌مانده"), needed=True),
        _RUN,
    ),
    "cut": (
        _SUBJECT,
        Stored("seq", "int8", _text("Number of the edge", "شماره ضلع"), needed=True),
        _GROUP,
        Stored("left_m", "float8", _text("Length when the rest is taken", "طول پس از اصلاح"), "m",
               needed=True),
        Stored("depth_m", "float8", _text("How far it moves at most", "عمق اصلاح"), "m",
               needed=True),
        _RUN,
    ),
    "bevel": (
        _SUBJECT,
        Stored("seq", "int8", _text("Number of the edge, or of that which the cut follows",
               "شماره ضلع، یا ضلعی که پخ پس از آن است"), needed=True),
        Stored("next_seq", "int8", _text("Number of the edge after the cut",
               "شماره ضلع پس از پخ")),
        _GROUP,
        Stored(OBJECT, "int8", _text("Id of what cuts the corner; none: the edge itself",
               "شناسه پخ؛ تهی: خود ضلع"), index="btree"),
        Stored("left_m", "float8", _text("Length when the rest is taken",
               "طول پس از اصلاح و پخ"), "m", needed=True),
        Stored(GEOMETRY, "LineString", _text("Line of the cut", "هندسه پخ"), index="gist"),
        _RUN,
    ),
    "level": (
        _SUBJECT,
        Stored("seq", "int8", _text("Number of the edge", "شماره ضلع"), needed=True),
        _GROUP,
        Stored(OBJECT, "int8", _text("Id of the nearest given height", "شناسه نزدیک‌ترین رقوم"),
               needed=True, index="btree"),
        Stored("front_height_m", "float8", _text("Height of the street there", "رقوم معبر"), "m",
               needed=True),
        Stored("between", "bool", _text("Between two given heights", "میان دو رقوم"), needed=True),
        Stored("distance_m", "float8", _text("To the nearest, along the street", "فاصله"), "m",
               needed=True),
        _RUN,
    ),
}  # fmt: skip


def digest(schemas: Schemas, fact: FactContract) -> str:
    """SHA-256 of everything that decides what the fact's rows are."""
    text = fact.model_dump_json() + _ID + repr(COLUMNS[fact.kind]) + str(schemas.city.srid)
    return hashlib.sha256(text.encode()).hexdigest()


def table(fact: FactContract, srid: int) -> sql.Composed:
    """The first table of a fact with its indexes, and the view over it with comments."""
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(one.name),
            sql.SQL(f"geometry({one.type}, {int(srid)})" if one.name == GEOMETRY else one.type),
            sql.SQL(" NOT NULL" if one.needed else ""),
        )
        for one in COLUMNS[fact.kind]
    ]
    columns.insert(0, sql.SQL(_ID).format(sql.Identifier(ID)))
    kept, view = sql.Identifier(KEPT, f"{fact.id}.1"), sql.Identifier(FACTS, fact.id)
    made: list[sql.Composable] = [
        sql.SQL("CREATE TABLE {} ({});").format(kept, sql.SQL(", ").join(columns)),
        sql.SQL("CREATE VIEW {} AS SELECT * FROM {};").format(view, kept),
        sql.SQL("COMMENT ON VIEW {} IS {};").format(view, _comment(fact.title)),
    ]
    made += [
        sql.SQL("COMMENT ON COLUMN {} IS {};").format(
            sql.Identifier(FACTS, fact.id, one.name), _comment(one.title, one.unit)
        )
        for one in COLUMNS[fact.kind]
    ]
    made += [_index(kept, one, one.index) for one in COLUMNS[fact.kind] if one.index]
    return sql.Composed(made)


def _index(kept: sql.Identifier, column: Stored, method: LiteralString) -> sql.Composed:
    # Nobody looks for what is not there: most edges have no street.
    some = sql.SQL(" WHERE {} IS NOT NULL").format(sql.Identifier(column.name))
    return sql.SQL("CREATE INDEX ON {} USING {} ({}){};").format(
        kept,
        sql.SQL(method),
        sql.Identifier(column.name),
        sql.SQL("") if column.needed else some,
    )


def _comment(title: Text, unit: str | None = None) -> sql.Literal:
    return sql.Literal(f"{title.en}{f' [{unit}]' if unit else ''} | {title.fa}")
