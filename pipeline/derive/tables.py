"""The SQLAlchemy/GeoAlchemy2 tables of a layer: what is in force, what was, what is personal.

A table's columns, key, ranges, comments and indexes are the same in every city.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint
from sqlalchemy.types import TypeEngine

from pipeline.contracts.field import Field, FieldType
from pipeline.contracts.layer import Geometry as Shape
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import conditions
from pipeline.derive.columns import BEGUN, SINCE, UNTIL, VALID, WITHDRAWN
from pipeline.derive.columns import DATA as DATA
from pipeline.derive.columns import ENDED as ENDED
from pipeline.derive.columns import GEOMETRY as GEOMETRY
from pipeline.derive.columns import HISTORY as HISTORY
from pipeline.derive.columns import ID as ID
from pipeline.derive.columns import KEY_ENDING as KEY_ENDING
from pipeline.derive.columns import LINE as LINE
from pipeline.derive.columns import PRIVATE as PRIVATE
from pipeline.derive.columns import RUN as RUN
from pipeline.derive.columns import SYSTEM_COLUMNS as SYSTEM_COLUMNS
from pipeline.derive.columns import home as home

#: What a table's ``info`` holds the statement under that must follow its creation.
AFTERWARDS = "afterwards"

_TYPES: dict[FieldType, type[TypeEngine[Any]]] = {
    "text": Text,
    "parcel_code": Text,
    "integer": BigInteger,
    "number": Double,
    "boolean": Boolean,
    "date": Date,
    "datetime": DateTime,
}


def column_type(field: Field) -> TypeEngine[Any]:
    """The database type of a field."""
    if field.type == "datetime":
        return DateTime(timezone=True)
    return _TYPES[field.type]()


def _comment(field: Field) -> str:
    unit = f" [{field.unit}]" if field.unit else ""
    return f"{field.title.en}{unit} | {field.title.fa}"


def _column(field: Field) -> Column[Any]:
    nullable, comment = not field.required, _comment(field)
    return Column(field.name, column_type(field), nullable=nullable, comment=comment)


def _numbers(layer: LayerContract) -> Iterator[Column[Any]]:
    """What a load makes of other texts comes last: tables that were there got it later."""
    yield from (_column(field) for field in layer.fields if field.numbers_of)


def _shape(wanted: Shape, srid: int) -> Geometry:
    """The type of the geometry's column."""
    kind = f"{wanted.type}Z" if wanted.is_high else wanted.type
    return Geometry(kind, srid=srid, dimension=wanted.dimension, spatial_index=False)


def _columns(layer: LayerContract, srid: int) -> Iterator[Column[Any]]:
    yield Column(ID, BigInteger, Identity(), primary_key=True, comment="Stable feature id")
    yield from (_column(field) for field in layer.fields if not field.numbers_of)
    if layer.geometry:
        yield Column(
            GEOMETRY,
            _shape(layer.geometry, srid),
            nullable=not layer.geometry.required,
            comment=f"{layer.geometry.type} | هندسه",
        )
    yield Column(RUN, BigInteger, nullable=False, comment="Load that last changed the row")
    if layer.source == "feed":
        yield Column(LINE, BigInteger, nullable=False, comment="Row of that load's file, from 1")


def _keys(layer: LayerContract) -> Iterator[Column[Any]]:
    """The folded texts by which rows are searched; the database makes and keeps them."""
    for field in layer.fields:
        if field.search:
            folded = Computed(f"makan.fold({field.name})", persisted=True)
            comment = f"Folded for search: {field.title.en} | {field.title.fa}"
            yield Column(field.name + KEY_ENDING, Text, folded, comment=comment)


def _validity() -> Iterator[Column[Any]]:
    """When the row holds; all empty for most rows: they hold from what their load says."""
    since = "Holds from, by the data themselves; empty: from the moment of its load"
    yield Column(SINCE, DateTime(timezone=True), comment=since)
    yield Column(UNTIL, DateTime(timezone=True), comment="Holds until, by the data themselves")
    yield Column(BEGUN, BigInteger, comment="Undo that put the row in force again; empty: its load")


def _indexes(table: Table, layer: LayerContract) -> Iterator[Index]:
    if layer.geometry:
        yield Index(f"ix_{layer.id}_{GEOMETRY}", table.c[GEOMETRY], postgresql_using="gist")
    for field in layer.fields:
        if field.index:
            yield Index(f"ix_{layer.id}_{field.name}", table.c[field.name])
        if field.search:
            key = field.name + KEY_ENDING
            yield Index(
                f"ix_{layer.id}_{key}",
                table.c[key],
                postgresql_using="gin",
                postgresql_ops={key: "gin_trgm_ops"},
            )
    # Rows of one load lie together: a few kB tell where, and cost nothing to keep.
    yield Index(f"ix_{layer.id}_{RUN}", table.c[RUN], postgresql_using="brin")


def table(layer: LayerContract, srid: int, metadata: MetaData) -> Table:
    """The table of ``layer`` in its schema (``home``), geometry in ``srid``, in ``metadata``."""
    made = Table(
        layer.id,
        metadata,
        *_columns(layer, srid),
        *_keys(layer),
        *(_validity() if layer.source == "feed" else ()),
        *_numbers(layer),
        schema=home(layer),
        comment=f"{layer.title.en} | {layer.title.fa}",
    )
    made.append_constraint(
        UniqueConstraint(*(made.c[name] for name in layer.key), name=f"uq_{layer.id}_key")
    )
    for field in layer.fields:
        if field.unique and layer.key != (field.name,):
            made.append_constraint(
                UniqueConstraint(made.c[field.name], name=f"uq_{layer.id}_{field.name}")
            )
    for check in conditions.checks(made, layer):
        made.append_constraint(check)
    # An index registers itself with the table its columns belong to.
    list(_indexes(made, layer))
    if layer.guards:
        made.info[AFTERWARDS] = ";\n".join(_watch(layer, guard) for guard in layer.guards)
        event.listen(made, "after_create", DDL(made.info[AFTERWARDS]))  # type: ignore[no-untyped-call]
    return made


def _watch(layer: LayerContract, guard: str) -> str:
    """The trigger by which the function ``guard`` sees every row that comes or changes."""
    return (
        f"CREATE CONSTRAINT TRIGGER {guard} AFTER INSERT OR UPDATE ON {home(layer)}.{layer.id} "
        f"DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION ops.{guard}()"
    )


def history(layer: LayerContract, srid: int, metadata: MetaData) -> Table:
    """The table of former versions of rows: as they were, and the run that ended them.

    It has no checks of values: what was once published must be kept even when the contract has
    changed. No two versions of an object hold at the same time: among former ones an exclusion
    constraint sees to that, against the one in force the triggers of ``ops.guard_versions``.
    """
    columns, last = (
        [Column(column.name, column.type, nullable=True) for column in some]
        for some in (_columns(layer, srid), _numbers(layer))
    )
    ended = Column(
        ENDED, BigInteger, nullable=False, comment="Run that replaced or removed the row"
    )
    held = "When the version held in the real world, as is known today; empty: it never did"
    valid = Column(VALID, TSTZRANGE, nullable=False, comment=held)
    withdrawn = Column(WITHDRAWN, BigInteger, comment="Undo after which the version counts no more")
    made = Table(
        layer.id,
        metadata,
        *columns,
        ended,
        *_validity(),
        valid,
        withdrawn,
        *last,
        schema=HISTORY,
        comment=f"Former versions: {layer.title.en} | {layer.title.fa}",
    )
    _former_indexes(made, layer)
    guard = guard_statement(layer)
    made.info[AFTERWARDS] = guard
    event.listen(made, "after_create", DDL(guard))  # type: ignore[no-untyped-call]
    return made


def guard_statement(layer: LayerContract) -> str:
    """Makes the triggers that keep a former version from overlapping the one in force."""
    return f"SELECT ops.guard_versions('{layer.id}')"


def _former_indexes(made: Table, layer: LayerContract) -> None:
    stands = text(f"{WITHDRAWN} IS NULL")
    Index(f"ix_{layer.id}_{ENDED}", made.c[ENDED])
    Index(f"ix_{layer.id}_former_key", *(made.c[name] for name in layer.key))
    Index(f"ix_{layer.id}_former_{RUN}", made.c[RUN], made.c[ID])
    brought = text(f"{BEGUN} IS NOT NULL")
    Index(f"ix_{layer.id}_former_{BEGUN}", made.c[BEGUN], made.c[ID], postgresql_where=brought)
    if layer.geometry:
        Index(
            f"ix_{layer.id}_former_{GEOMETRY}", made.c[GEOMETRY],
            postgresql_using="gist", postgresql_where=stands,
        )  # fmt: skip
    apart = ExcludeConstraint(
        (made.c[ID], "="), (made.c[VALID], "&&"),
        name=f"ex_{layer.id}_valid", using="gist", where=stands,
    )  # fmt: skip
    made.append_constraint(apart)


def personal(layer: LayerContract, _srid: int, metadata: MetaData) -> Table:
    """The table of what was cut off of rows, by the run and line of each; no role of ours reads it.

    ``key`` finds it again when a later delivery leaves the row unchanged.
    """
    made = Table(
        layer.id,
        metadata,
        Column(RUN, BigInteger, nullable=False, comment="Load that brought it"),
        Column(LINE, BigInteger, nullable=False, comment="Row of that load's file, from 1"),
        Column("key", Text, nullable=True, comment="Key of the row, if it had one"),
        *(
            Column(one.name, Text, nullable=True, comment=f"{one.title.en} | {one.title.fa}")
            for one in layer.personal
        ),
        PrimaryKeyConstraint(RUN, LINE, name=f"pk_{layer.id}"),
        schema=PRIVATE,
        comment=f"Personal (P3): {layer.title.en} | {layer.title.fa}",
    )
    Index(f"ix_{layer.id}_key", made.c["key"])
    return made


def makers(layer: LayerContract) -> tuple[Callable[[LayerContract, int, MetaData], Table], ...]:
    """What makes the tables of ``layer``: no history of what is computed."""
    made = {"feed": (table, history), "process": (table,), "view": (), "log": ()}[layer.source]
    return (*made, personal) if layer.personal else made


def metadata(schemas: Schemas) -> MetaData:
    """All layer tables and, of what feeds fill, the tables of former versions, in load order."""
    found = MetaData()
    for name in schemas.load_order:
        for make in makers(schemas.layers[name]):
            make(schemas.layers[name], schemas.city.srid, found)
    return found
