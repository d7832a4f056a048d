"""The feed: how one source of one office arrives, and how its columns become a layer's fields."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field as Setting
from pydantic import model_validator

from pipeline.contracts.base import Frozen, Identifier, Text
from pipeline.contracts.cad import Cad

Parser = Literal["plain", "jalali", "date_dmy", "date_mdy", "excel", "persian_number", "digits"]
#: What a column is mapped to that says from, or until, when its row holds: no field of a layer.
SINCE, UNTIL = "valid_since", "valid_until"
#: Parsers that read written dates.
DATES = ("plain", "jalali", "date_dmy", "date_mdy")


_TABLES = ("CSV", "XLSX", "ODS")


class Points(Frozen):
    """Columns of a plain table that hold a point's coordinates."""

    x: str
    y: str


class Where(Frozen):
    """Takes only rows whose ``column`` is one of ``values``, or has no value (the rest is counted
    as skipped)."""

    column: str
    values: tuple[str, ...] = ()
    empty: bool = False

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if bool(self.values) == self.empty:
            raise ValueError("give either values or empty = true")
        return self


class Source(Frozen):
    """What the file is. ``crs`` and ``encoding`` are declarations: a file that says otherwise
    stops the load. ``sheet`` is the layer or sheet inside the file, ``member`` the file inside the
    archive (a pattern), ``geometry`` the geometry column, each where there are several. ``level``
    is the column with the height of rows whose points have none (level lines of a drawing),
    ``header`` the line of a table that names its columns: what is above is left out."""

    match: tuple[str, ...]
    driver: str
    member: str | None = None
    sheet: str | None = None
    header: int = Setting(default=1, ge=1, le=100)
    geometry: str | None = None
    encoding: str | None = None
    crs: str | None = None
    points: Points | None = None
    level: str | None = None
    where: Where | None = None
    polygonize: bool = False

    @model_validator(mode="after")
    def _of_a_table(self) -> Self:
        if self.header > 1 and self.driver not in _TABLES:
            raise ValueError(f"header is of tables: {', '.join(_TABLES)}")
        return self


class Column(Frozen):
    """One field of the layer: from a source column (or several, joined), a constant, or heights.

    ``values`` maps known dirty or foreign values to ours; ``nulls`` are values that mean nothing;
    ``scale`` multiplies a number (unit conversion); ``parser`` says how the text is written.
    ``row``: the number of the row in the file, for a table whose rows have no name of their own;
    ``value`` then stands before it. ``z``: the height that all points of the geometry have.
    ``century`` is that of two-digit years (1300); ``zero_pad`` the width of digits whose leading
    zeros a spreadsheet may have taken away.
    """

    to: Identifier
    source: str | tuple[str, ...] | None = Setting(default=None, alias="from")
    value: str | int | float | bool | None = None
    row: bool = False
    z: bool = False
    join: str = "-"
    parser: Parser = "plain"
    scale: float | None = None
    century: Literal[1200, 1300, 1400, 1800, 1900, 2000] | None = None
    zero_pad: int | None = Setting(default=None, ge=2, le=40)
    nulls: tuple[str, ...] = ()
    values: dict[str, str] = Setting(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """The source columns read, none for a constant."""
        if self.source is None:
            return ()
        return (self.source,) if isinstance(self.source, str) else self.source

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.z:
            if self.source is not None or self.value is not None or self.row:
                raise ValueError("z = true stands for from, value and row")
        elif (self.source is None) == (self.value is None and not self.row):
            raise ValueError("give either from or value, or row = true, or z = true")
        if self.century is not None and self.parser not in DATES:
            raise ValueError("century is for dates")
        return self


class FeedLimits(Frozen):
    """Limits of this source, overriding the layer's."""

    min_rows: int | None = None
    max_rows: int | None = None
    max_drop_share: float | None = None
    max_outside_share: float | None = None
    max_null_rise: float | None = None
    max_measure_drop: float | None = None


class Feed(Frozen):
    """One source. ``delivery`` full: rows that no longer arrive are removed; partial: they stay.

    ``valid_from`` is the day from which what it says holds, if all its files are of one day.
    ``renumber``: rows may come with another key; those that lie where one lay are the same objects.
    ``cad``: the file is a drawing (or a folder of sheets), and its rows are the areas it makes.
    """

    id: Identifier
    layer: Identifier
    title: Text
    source: Source
    delivery: Literal["full", "partial"] = "full"
    limits: FeedLimits = FeedLimits()
    columns: tuple[Column, ...]
    ignore: tuple[str, ...] = ()
    cad: Cad | None = None
    valid_from: date | None = None
    renumber: bool = False

    @property
    def needed(self) -> set[str]:
        """The columns of the source without which nothing can be read."""
        found = {source for column in self.columns for source in column.sources}
        if self.source.points:
            found |= {self.source.points.x, self.source.points.y}
        if self.source.level:
            found.add(self.source.level)
        if self.source.where:
            found.add(self.source.where.column)
        return found

    def tells(self, name: str) -> bool:
        """Whether one of its columns is mapped to ``name``."""
        return any(column.to == name for column in self.columns)
