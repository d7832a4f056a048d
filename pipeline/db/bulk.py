"""Bulk: Arrow tables into PostgreSQL by binary COPY."""

from __future__ import annotations

import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from pipeline.db import queries
from pipeline.db.engine import Connection


def copy_table(
    connection: Connection, target: sql.Identifier, table: pa.Table, *, frozen: bool = False
) -> int:
    """Appends ``table`` to ``target``, whose columns it names, in the connection's transaction.

    ``frozen``: the transaction has made the target, whose rows are then visible to every snapshot.
    Returns how many rows the server took, as it says.
    """
    if not table.num_rows:
        return 0
    encoder = ArrowToPostgresBinaryEncoder(table.schema)
    query = sql.SQL(queries.load("stage")["copy_frozen" if frozen else "copy"]).format(
        target=target, columns=sql.SQL(", ").join(map(sql.Identifier, table.column_names))
    )
    with connection.cursor() as cursor:
        with cursor.copy(query) as copy:
            copy.write(encoder.write_header())
            for batch in table.to_batches():
                copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
        return cursor.rowcount
