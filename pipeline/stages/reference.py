"""Reference: what the database knows already of the places that a delivery names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.city import check_city
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import DATA
from pipeline.errors import MakanError
from pipeline.geo import Floats
from pipeline.stages.batch import Lines

_KEY_TYPES = {"integer": "bigint", "text": "text", "parcel_code": "text"}


@dataclass(frozen=True)
class Reference:
    """The published layers of the city, for the layer that is arriving."""

    connection: Connection
    schemas: Schemas
    layer: LayerContract
    holds_layer: bool

    @classmethod
    def of(cls, connection: Connection, schemas: Schemas, layer: LayerContract) -> Reference:
        """Looks whether the layer holds anything: while it is being filled, nobody may ask it."""
        target = sql.Identifier(DATA, layer.id)
        empty = sql.SQL(queries.load("fill")["is_empty"]).format(target=target)
        row = connection.execute(empty).fetchone()
        asked = all(layer.field(name).type in _KEY_TYPES for name in layer.key)
        return cls(connection, schemas, layer, asked and not (row and row[0]))

    def _area_layers(self) -> Iterator[LayerContract]:
        for layer in map(self.schemas.layer, reversed(self.schemas.load_order)):
            areas = layer.geometry is not None and layer.geometry.type.endswith("Polygon")
            if areas and layer.source == "feed" and layer.id != self.layer.id:
                yield layer

    def named(self) -> list[LayerContract]:
        """Layers of areas whose key arriving rows name, small ones (that load late) first."""
        mine = {field.name: field.type for field in self.layer.fields}
        return [
            layer for layer in self._area_layers()
            if all(mine.get(name) == layer.field(name).type in _KEY_TYPES for name in layer.key)
        ]  # fmt: skip

    def around(self) -> list[LayerContract]:
        """Layers of areas that this layer builds on, whether or not it names them."""
        return [layer for layer in self._area_layers() if layer.id in self.layer.after]

    def places(self, keys: Mapping[str, pa.Array]) -> tuple[Lines, Floats]:
        """Which of ``keys`` the layer has already, and where (n x 2, in the city's CRS)."""
        rows = self._ask("places", self.layer, keys, {})
        found = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return found[:, 0].astype(np.int64) - 1, found[:, 1:]

    def inside(
        self, layer: LayerContract, points: list[Floats], keys: Mapping[str, pa.Array] | None
    ) -> list[tuple[int, int]]:
        """For each set of points how many lie in areas of ``layer``, and how many were looked at.

        With ``keys`` (as many as points in a set) each point is looked for in its own area only.
        """
        sets = [np.where(np.isfinite(one), one, 0.0) for one in points]
        values = {
            "guesses": np.repeat(np.arange(len(sets)), [len(one) for one in sets]).tolist(),
            "x": np.concatenate(sets)[:, 0].tolist(),
            "y": np.concatenate(sets)[:, 1].tolist(),
        }
        if keys is not None:
            keys = {name: pa.concat_arrays([keys[name]] * len(sets)) for name in layer.key}
        rows = self._ask("inside_own" if keys else "inside_any", layer, keys or {}, values)
        counted = {int(str(guess)): (int(str(good)), int(str(all_)))
                   for guess, all_, good in rows}  # fmt: skip
        return [counted.get(number, (0, 0)) for number in range(len(sets))]

    def known_codes(self) -> pa.Array:
        """The first parts of parcel codes that exist, as the city's profile says where."""
        known = self.schemas.city.parcel_code.known
        if known is None or known.layer == self.layer.id:
            return pa.array([], type=pa.string())
        query = sql.SQL(queries.load("reference")["codes"]).format(
            field=sql.Identifier(known.field), target=sql.Identifier(DATA, known.layer)
        )
        found = [row[0] for row in self.connection.execute(query).fetchall()]
        return pa.array(found, type=pa.string())

    def _ask(
        self,
        name: str,
        layer: LayerContract,
        keys: Mapping[str, pa.Array],
        values: Mapping[str, object],
    ) -> list[tuple[object, ...]]:
        lists, named, match, bound = [], [], [], dict(values)
        for number, column in enumerate(layer.key if keys else ()):
            kind = sql.SQL(_KEY_TYPES[layer.field(column).type])
            bound[f"key{number}"] = keys[column].to_pylist()
            lists.append(sql.SQL("{}::{}[]").format(sql.Placeholder(f"key{number}"), kind))
            named.append(sql.Identifier(f"key{number}"))
            match.append(sql.SQL("t.{} = {}").format(sql.Identifier(column), named[-1]))
        query = sql.SQL(queries.load("reference")[name]).format(
            keys=sql.SQL(", ").join(lists),
            names=sql.SQL(", ").join(named),
            match=sql.SQL(" AND ").join(match),
            target=sql.Identifier(DATA, layer.id),
            srid=sql.Literal(self.schemas.city.srid),
        )
        return self.connection.execute(query, bound).fetchall()


@contextmanager
def reachable(database: Database, schemas: Schemas) -> Iterator[Connection | None]:
    """A connection to look things up, or None where no database of this city answers."""
    try:
        entered = database.connect("loader", autocommit=True)
        connection = entered.__enter__()
    except MakanError:
        yield None
        return
    try:
        try:
            check_city(connection, schemas)
            known: Connection | None = connection
        except MakanError:
            known = None
        yield known
    finally:
        entered.__exit__(None, None, None)
