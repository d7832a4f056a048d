"""Side: the rows of one layer that take part in a fact, as columns in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from psycopg import sql

from pipeline.contracts.fact import Chosen
from pipeline.contracts.layer import LayerContract
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive.columns import DATA, GEOMETRY
from pipeline.geo import Floats, Geometries

Ints = npt.NDArray[np.int64]
_TOGETHER = 4.0
"""Shapes in a square of so many of their sizes lie together."""


def listed(numbers: npt.NDArray[Any]) -> str:
    """Numbers (n,) as PostgreSQL reads an array, ten times as fast as psycopg writes lists."""
    return "{" + ",".join(map(repr, numbers.tolist())) + "}"


@dataclass(frozen=True)
class Side:
    """Rows (n,) of one layer by ascending ``ids``: the run that last changed each, its shape (None
    for a layer without geometry) and the columns that were asked for."""

    ids: Ints
    runs: Ints
    shapes: Geometries
    columns: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: npt.NDArray[Any]) -> Side:
        """The rows at ``places`` (indices or mask)."""
        chosen = np.arange(len(self))[places]
        columns = {name: values.take(pa.array(chosen)) for name, values in self.columns.items()}
        return Side(self.ids[chosen], self.runs[chosen], self.shapes[chosen], columns)

    def place_of(self, ids: Ints) -> Ints:
        """Where ``ids`` are among the rows; all must be there."""
        return np.searchsorted(self.ids, ids)


@dataclass(frozen=True)
class Reader:
    """Reads rows of one layer, its shape among the columns where there is one and it is wanted."""

    connection: Connection
    layer: LayerContract
    fields: tuple[str, ...] = ()
    where: Chosen | None = None
    shaped: bool = True

    def all(self) -> Side:
        """Every row."""
        return self._read("everything", {}, {})

    def some(self, ids: Ints) -> Side:
        """The rows with these ``ids``; those that are no more are left out."""
        return self._read("some", {}, {"ids": listed(ids)})

    def near(self, shapes: Geometries, reach: float) -> Side:
        """Rows whose box comes within ``reach`` (units of the CRS) of ``shapes``, and a few more
        about them."""
        boxes = _boxes(shapes, reach)
        sides = zip(("xmin", "ymin", "xmax", "ymax"), map(listed, boxes.T), strict=True)
        return self._read("near", {"geom": sql.Identifier(GEOMETRY)}, dict(sides))

    def saying(self, field: str, texts: list[str]) -> Side:
        """Rows whose ``field`` is one of ``texts``."""
        return self._read("said_by", {"right": sql.Identifier(field)}, {"texts": texts})

    def groups(self, field: str) -> list[str]:
        """The different values of ``field``, as text."""
        query = sql.SQL(queries.load("facts")["groups"]).format(
            group=sql.Identifier("t", field), **self._parts()
        )
        rows = self.connection.execute(query, self._values()).fetchall()
        return [str(row[0]) for row in rows if row[0] is not None]

    def any(self) -> bool:
        """Whether there is any row."""
        query = sql.SQL(queries.load("facts")["any"]).format(**self._parts())
        row = self.connection.execute(query, self._values()).fetchone()
        return bool(row and row[0])

    def _parts(self) -> dict[str, sql.Composable]:
        where: sql.Composable = sql.SQL("true")
        if self.where:
            where = sql.SQL("t.{} = ANY(%(chosen)s)").format(sql.Identifier(self.where.field))
        return {"layer": sql.Identifier(DATA, self.layer.id), "where": where}

    def _values(self) -> dict[str, object]:
        return {"chosen": list(self.where.values)} if self.where else {}

    def _read(self, name: str, parts: dict[str, sql.Composable], values: dict[str, object]) -> Side:
        drawn = self.shaped and self.layer.geometry is not None
        asked = [sql.SQL(", t.{}").format(sql.Identifier(field)) for field in self.fields]
        if drawn:
            asked.append(sql.SQL(", ST_AsBinary(t.{})").format(sql.Identifier(GEOMETRY)))
        query = sql.SQL(queries.load("facts")[name]).format(
            columns=sql.Composed(asked), **self._parts(), **parts
        )
        cursor = self.connection.cursor(binary=True)
        rows = cursor.execute(query, {**self._values(), **values}).fetchall()
        return self._side([list(column) for column in zip(*rows, strict=True)], drawn=drawn)

    def _side(self, columns: list[list[Any]], *, drawn: bool) -> Side:
        if not columns:
            columns = [[] for _ in range(2 + len(self.fields) + drawn)]
        ids = np.array(columns[0], dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        shapes = np.full(len(ids), None, dtype=object)
        if drawn:
            shapes[:] = columns[-1]
            shapes = np.asarray(shapely.from_wkb(shapes), dtype=object)
        places = pa.array(order)
        named = zip(self.fields, columns[2:], strict=False)
        return Side(
            ids[order],
            np.array(columns[1], dtype=np.int64)[order],
            shapes[order],
            {name: pa.array(values).take(places) for name, values in named},
        )


def _boxes(shapes: Geometries, reach: float) -> Floats:
    """Boxes (boxes, 4) that hold all that lies within ``reach`` of ``shapes``: one for those that
    lie together, since looking into an index for each of them finds the same rows many times."""
    bounds = shapely.bounds(shapes[~shapely.is_missing(shapes)])
    if not len(bounds):
        return bounds
    middle, size = (bounds[:, :2] + bounds[:, 2:]) / 2, bounds[:, 2:] - bounds[:, :2]
    cell = max(float(np.median(size)) * _TOGETHER, reach, 1e-6)
    _, group = np.unique(np.floor(middle / cell), axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    low = np.minimum.reduceat(bounds[order, :2], first) - reach
    high = np.maximum.reduceat(bounds[order, 2:], first) + reach
    return np.hstack([low, high])
