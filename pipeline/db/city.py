"""Whose database it is: one database is one city."""

from __future__ import annotations

import psycopg

from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.errors import DatabaseError


def check_city(connection: psycopg.Connection[tuple[object, ...]], schemas: Schemas) -> None:
    """Raises DatabaseError unless the database is this city's and migrated."""
    try:
        found = connection.execute(queries.load("bootstrap")["read_city"]).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    if found is None:
        raise DatabaseError("the database is not prepared", todo="Run `makan db migrate`.")
    if found[0] != schemas.city.id:
        raise DatabaseError(
            f"the database belongs to the city {found[0]}, not to {schemas.city.id}",
            todo="Set MAKAN_CITY, or use another MAKAN_HOME or MAKAN_DATABASE_URL.",
        )
