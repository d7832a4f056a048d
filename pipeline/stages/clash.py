"""Clash: delivered rows that the layer's guards would refuse beside others are found one by one, so
that they can be set aside and the rest of the delivery is published."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.stages.batch import Found
from pipeline.stages.context import Context


def clashes(
    connection: Connection,
    context: Context,
    parts: Mapping[str, sql.Composable],
    values: Mapping[str, object],
) -> Found:
    """What the guards say of the delivered rows; ``parts`` are the relations ``arriving``,
    ``before`` and ``staying`` of schemas/sql/guards.sql."""
    found, named = Found(), queries.load("guards")
    for guard in context.layer.guards:
        query = sql.SQL(named[guard]).format(**parts)
        unit = {"unit": context.city.metres_per_unit}
        for code, line, other, detail in connection.execute(query, {**values, **unit}).fetchall():
            lines = np.array([line], dtype=np.int64)
            found.mark(str(code), lines, values=[str(other)], details=str(detail))
    return found
