"""Write: edits by the role of an audience's writer, each in a transaction that holds its layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import ConnectionPool

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.edits import trial
from pipeline.edits.one import Asked as Asked
from pipeline.edits.one import Edit, Make
from pipeline.edits.refusals import Busy, Done, Refused, Taken
from pipeline.findings import Catalog, Finding
from pipeline.stages.context import Context


class Editor:
    """Writes rows by the role of an audience's writer."""

    def __init__(self, database: Database, schemas: Schemas, role: str, *, size: int = 2) -> None:
        """At most ``size`` edits at once; nothing is connected yet."""
        self.database = database
        self.schemas = schemas
        self.role = role
        self._pool: ConnectionPool = database.pool(role, size=size)
        self._contexts: dict[str, Context] = {}
        self.catalog = Catalog.load()

    def context(self, layer: LayerContract) -> Context:
        """What the stages are told of rows of ``layer``; made once."""
        if layer.id not in self._contexts:
            made = trial.context_of(self.schemas, layer, self.catalog)
            self._contexts[layer.id] = made
        return self._contexts[layer.id]

    def open(self) -> None:
        """Connects when the first edit comes."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Lets the connections go."""
        self._pool.close(timeout=1.0)

    def put(self, asked: Asked, make: Make) -> Done:
        """Makes the row what ``make`` says of it; raises a refusal."""
        with self._transaction(asked.layer) as connection:
            return Edit(self.database, self.context(asked.layer), connection, asked).put(make)

    def delete(self, asked: Asked) -> Done:
        """Takes the row away; raises a refusal."""
        with self._transaction(asked.layer) as connection:
            return Edit(self.database, self.context(asked.layer), connection, asked).delete()

    def lately(self, who: str, seconds: int) -> tuple[int, int]:
        """How many edits ``who`` has made in so many seconds, and in how many one falls out."""
        values = {"who": who, "seconds": seconds}
        with self._pool.connection() as connection:
            found = connection.execute(queries.load("edits")["lately"], values).fetchone()
        count, wait = found or (0, None)
        return int(count), int(wait or seconds)

    @contextmanager
    def _transaction(self, layer: LayerContract) -> Iterator[Connection]:
        """A transaction that holds the layer as a load does."""
        with self._pool.connection() as connection, connection.transaction():
            try:
                connection.execute(queries.load("edits")["lock"], {"layer": layer.id})
            except psycopg.errors.LockNotAvailable:
                raise Busy(layer.id) from None
            try:
                yield connection
            except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation) as error:
                raise Taken([_constraint("edit.key_taken", layer, error)]) from None
            except psycopg.IntegrityError as error:
                raise Refused([_constraint("edit.constraint", layer, error)]) from None


def _constraint(code: str, layer: LayerContract, error: psycopg.Error) -> Finding:
    return Finding(code, layer.id, value=error.diag.constraint_name or "")
