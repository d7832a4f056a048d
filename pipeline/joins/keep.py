"""Keep: what was worked out, written to a fact's table: as a whole, or where it differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from psycopg import sql

from pipeline.contracts.fact import FactContract
from pipeline.db import queries
from pipeline.db.bulk import copy_table
from pipeline.db.engine import Connection
from pipeline.derive.facts import COLUMNS, FACTS, OBJECT, SUBJECT, Stored
from pipeline.joins.beside import Beside
from pipeline.joins.reading import Columns
from pipeline.joins.side import Ints, listed

_FRESH = "pg_temp"
#: As many rows are compared, and indexed one by one, sooner than anybody notices.
_FEW = 20_000
_ARROW: dict[str, pa.DataType] = {
    "int8": pa.int64(),
    "float8": pa.float64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "LineString": pa.binary(),
    "MultiPolygon": pa.binary(),
}


@dataclass(frozen=True)
class Written:
    """How many ``rows`` a fact has, or has more, and the subjects that may be led (``led``) to
    another object than before (None: any)."""

    rows: int
    led: Ints | None


@dataclass(frozen=True)
class Table:
    """The rows of one fact, in the transaction of ``beside``."""

    beside: Beside
    fact: FactContract

    @property
    def connection(self) -> Connection:
        """That of the transaction."""
        return self.beside.connection

    def replace(self, columns: Columns) -> Written:
        """All of it.

        Many rows go into a table beside, with its indexes when they are there; few are written
        where they differ. Either way readers keep what they have.
        """
        if self._is_small(columns):
            self.change(None, columns)
            self.connection.execute(queries.load("facts")["analyze"], {"fact": self.fact.id})
        else:
            name = self.beside.begin(self.fact.id)
            copy_table(self.connection, name, self._arrow(columns), frozen=True)
            self.connection.execute(queries.load("facts")["filled"], {"fact": self.fact.id})
        return Written(len(columns[0]), None)

    def mix(self) -> None:
        """What was made beside into what is read, row by row where they differ."""
        fresh = self.beside.made.pop(self.fact.id)
        self.connection.execute(self._made("remove", None, fresh))
        self.connection.execute(self._made("add", None, fresh))
        self.connection.execute(queries.load("facts")["analyze"], {"fact": self.fact.id})

    def _is_small(self, columns: Columns) -> bool:
        if len(columns[0]) > _FEW:
            return False
        row = self.connection.execute(self._made("many"), {"few": _FEW}).fetchone()
        return not (row and row[0])

    def change(self, ids: Ints | None, columns: Columns) -> Written:
        """What it says of the subjects ``ids`` (None: of all), and to others about them where it
        tells both sides. Rows that say what they said stay as they are."""
        values = {} if ids is None else {"ids": listed(ids)}
        self.connection.execute(self._made("stage"))
        copy_table(self.connection, self._fresh, self._arrow(columns))
        led = ids
        if self.fact.kind == "match":
            rows = self.connection.execute(self._made("led", ids), values).fetchall()
            led = np.array([row[0] for row in rows], dtype=np.int64)
        less = self.connection.execute(self._made("remove", ids), values).rowcount
        more = self.connection.execute(self._made("add", ids), values).rowcount
        return Written(more - less, led)

    def _arrow(self, columns: Columns) -> pa.Table:
        return stored(COLUMNS[self.fact.kind], columns)

    @property
    def _name(self) -> sql.Identifier:
        return sql.Identifier(FACTS, self.fact.id)

    @property
    def _fresh(self) -> sql.Identifier:
        return sql.Identifier(_FRESH, f"fresh_{self.fact.id}")

    def _made(
        self, query: str, ids: Ints | None = None, fresh: sql.Identifier | None = None
    ) -> sql.Composed:
        names = [one.name for one in COLUMNS[self.fact.kind]]
        # What is never null can be joined by; two such columns leave few rows to be compared.
        whole = [one.name for one in COLUMNS[self.fact.kind] if one.needed][:2]
        match = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("n", name), sql.Identifier("f", name))
            for name in whole
        )

        def listed(table: str | None = None) -> sql.Composed:
            parts = [sql.Identifier(table, one) if table else sql.Identifier(one) for one in names]
            return sql.SQL(", ").join(parts)

        return sql.SQL(queries.load("facts")[query]).format(
            table=self._name, fresh=fresh or self._fresh, columns=listed(), theirs=listed("n"),
            ours=listed("f"), match=match, about=sql.SQL("true") if ids is None else self._about(),
        )  # fmt: skip

    def _about(self) -> sql.Composed:
        """Which rows are about the subjects that are worked out again."""
        sides = (SUBJECT, OBJECT) if self.fact.mutual else (SUBJECT,)
        asked = sql.SQL("{} = ANY(%(ids)s::bigint[])")
        return sql.SQL(" OR ").join(asked.format(sql.Identifier("f", side)) for side in sides)


def stored(wanted: Sequence[Stored], columns: Columns) -> pa.Table:
    """Columns of a fact as its table takes them; what is not a number is null."""
    arrays = [
        pa.array(values, type=_ARROW[one.type], from_pandas=True)
        for one, values in zip(wanted, columns, strict=True)
    ]
    return pa.table(arrays, names=[one.name for one in wanted])
